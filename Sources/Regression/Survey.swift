import ConvCore
import Foundation

/// What both builds say about the cases before anything is timed: which they share, what each needs, whether they are right.
public struct Survey: Sendable {
    /// A case that both builds run.
    public struct Shared: Sendable {
        public let one: CheckCase
        /// Runs of a burst, the same for both sides.
        public let runs: Int
        /// Nanoseconds of one run, in the faster build.
        public let runNs: Double
        public let base, head: Facts

        /// Whether the rule gives it the wide threshold.
        public func isWide(_ rule: DecisionRule) -> Bool { one.streaming || runNs < rule.briefNs }
    }
    public struct Facts: Sendable, Equatable {
        public var scratchBytes = 0
        /// The largest |kernel − oracle| on reals.
        public var maxError = 0.0
        public init() {}
    }
    /// A case that is not timed, and why.
    public struct LeftOut: Sendable {
        public let one: CheckCase
        public let side: Side
        public let reason: String
        /// Whether the build has the case and failed on it, rather than not having it.
        public let failed: Bool

        /// With what repeats the case in that build, where it failed.
        public func detail(_ build: String) -> String { failed ? "\(reason); repeat with: \(one.command(build, side))" : reason }
    }

    public private(set) var shared: [Shared] = []
    public private(set) var leftOut: [LeftOut] = []
    public private(set) var arenaBytes = 0
    /// `harnessVersion` of each build that says it.
    public private(set) var harness: [Side: Int] = [:]

    /// Opens and verifies every case in both builds, and times it once to find the runs of a burst. Throws ``SideError`` where a side's
    /// worker does not start.
    public init(
        _ cases: [CheckCase], base: String, head: String, options: LaunchOptions, progress: (Double) -> Void = { _ in }
    ) throws {
        let builds: [Side: String] = [.base: base, .head: head]
        var workers: [Side: WorkerProcess] = [:]
        defer { for worker in workers.values { worker.stop() } }
        func start(_ side: Side) throws(SideError) {
            do { workers[side] = try WorkerProcess(builds[side]!) } catch { throw SideError(side, error) }
        }
        for side in [Side.base, .head] {
            try start(side)
            harness[side] = workers[side]!.harness
        }
        for (id, one) in cases.enumerated() {
            progress(Double(id) / Double(cases.count))
            var facts: [Side: Facts] = [:]
            var runNs = 0.0
            for side in [Side.base, .head] {
                do {
                    facts[side] = try examine(one, id: id, side, workers[side]!, patience: options.patience, runNs: &runNs)
                } catch let error as WorkerError {
                    // This machine's lack, and neither build's fault.
                    if error.isMachines { throw error }
                    let refused = if case .refused = error { true } else { false }
                    leftOut.append(LeftOut(one: one, side: side, reason: "\(error)", failed: !refused))
                    if error.endsWorker { try start(side) }
                } catch let fault as Wrong {
                    leftOut.append(LeftOut(one: one, side: side, reason: fault.text, failed: true))
                }
            }
            guard let base = facts[.base], let head = facts[.head] else { continue }
            let runs = max(1, Int((options.burstNs / runNs).rounded(.up)))
            shared.append(Shared(one: one, runs: runs, runNs: runNs, base: base, head: head))
        }
    }

    private struct Wrong: Error { let text: String }

    /// `runNs` becomes the shorter time of one run.
    private mutating func examine(_ one: CheckCase, id: Int, _ side: Side, _ worker: WorkerProcess, patience: Double, runNs: inout Double) throws -> Facts {
        let opened = try worker.ask(["open", "\(id)", "\(one.threads)", one.candidate(side), one.problem.text], expecting: "opened").compactMap { Int($0) }
        guard opened.count == 3 else { throw WorkerError.lied(worker.path, command: "open", answer: "\(opened)") }
        // The oracle's sums in double may take a while.
        try worker.send(["verify", "\(id)"])
        let verdict = try worker.anyAnswer(within: 300)
        guard verdict.first == "verified", verdict.count > 1, let error = Double(verdict[1]) else {
            throw Wrong(text: verdict.dropFirst().joined(separator: " "))
        }
        let memory = try SharedMemory(bytes: SharedMemory.stackBytes + opened[0])
        try worker.map(memory, place: 0)
        try worker.ask(["enter", "\(id)", "0"], expecting: "entered")
        // Once to see its size, then long enough for the clock.
        let first = try worker.burst(runs: 1, place: 0, cpu: 0, shift: 0, within: patience)
        let runs = min(100_000, max(1, Int(3e5 / first.ns)))
        let ns = try worker.burst(runs: runs, place: 0, cpu: 0, shift: 0, within: patience).ns / Double(runs)
        runNs = runNs == 0 ? ns : min(runNs, ns)
        arenaBytes = max(arenaBytes, memory.bytes)
        var facts = Facts()
        (facts.scratchBytes, facts.maxError) = (opened[2], error)
        return facts
    }

    /// The candidates that a side's build has for a problem; none where it is from before problems of that kind.
    public static func candidates(_ problem: Problem, threads: Int, _ side: Side, _ worker: WorkerProcess) throws(SideError) -> [String] {
        do {
            return try worker.ask(["cases", "\(threads)", problem.text], expecting: "cases")
        } catch {
            if case .refused = error { return [] }
            throw SideError(side, error, repeating: "verify --problem '\(problem.text)' --threads \(threads)")
        }
    }
}
