import Foundation

/// What a plan of a block promised, and what the block took in the same process.
public struct PlanPrediction: Sendable, Equatable {
    /// Sum of the stages, measured where they run, and of the conversions between them.
    public let predictedNs: Double
    /// Of whole runs of the chosen plan.
    public let measuredNs: Double

    public init(predictedNs: Double, measuredNs: Double) {
        self.predictedNs = predictedNs
        self.measuredNs = measuredNs
    }

    /// Half as much again as the planner itself allows before it measures anew (10 %).
    public static let bound = 0.15

    /// Logarithm of measured over predicted.
    public var error: Double { log(measuredNs / predictedNs) }
    public var holds: Bool { abs(error) <= log1p(Self.bound) }
}

/// Whether the time that a build's plans predict is still what its blocks take: a choice among kernels by their times inside a
/// block is worth as much as those times.
public enum PlanCheck {
    /// A block to plan: a variant or a JSON file, at a size.
    public struct Block: Sendable, Hashable {
        public let name, size, activation: String
        public let threads: Int

        /// `activation`: empty for the block's own.
        public init(_ name: String, size: String, activation: String, threads: Int) {
            self.name = name
            self.size = size
            self.activation = activation
            self.threads = threads
        }

        public var title: String { "\(name) \(size), threads \(threads)" }
    }

    public enum Verdict: String, Sendable {
        case holds = "holds"
        /// In head and not in base, twice.
        case off = "PREDICTION OFF"
        /// Head's does not hold, and base's does not either, or was not asked: nothing that head has brought.
        case offInBoth = "off in base, too"
        /// Head cannot plan what base can.
        case failed = "FAILED"
        case unknown = "not judged"

        public var isRegression: Bool { self == .off || self == .failed }
    }

    public struct Outcome: Sendable {
        public let block: Block
        /// nil where a build is from before its worker could plan.
        public internal(set) var base, head: PlanPrediction?
        /// Why a build could not.
        public internal(set) var failures: [Side: String] = [:]

        public var verdict: Verdict {
            guard let head else { return failures[.head] != nil && failures[.base] == nil ? .failed : .unknown }
            if head.holds { return .holds }
            return base?.holds == true ? .off : .offInBoth
        }

        /// `plan of literal 1x512x20x20, threads 1: predicted 2.301 ms, measured 2.335 ms (+1.5 %; base +0.9 %): holds`
        public var text: String {
            guard let head else {
                return "plan of \(block.title): \(verdict.rawValue): \(failures[.head] ?? "head is from before a worker could plan")"
            }
            func ms(_ ns: Double) -> String { String(format: "%.4g ms", ns / 1e6) }
            let other = base.map { "; base \(CheckOutcome.percent($0.error))" } ?? failures[.base].map { "; base failed: \($0)" } ?? ""
            return "plan of \(block.title): predicted \(ms(head.predictedNs)), measured \(ms(head.measuredNs)) (\(CheckOutcome.percent(head.error))\(other)): \(verdict.rawValue)"
        }
    }

    /// The protocol's version that has the command.
    private static let version = 2
    /// A block is planned by measuring every kernel in it, up to four times.
    private static let patience = 300.0

    /// Plans each block in both builds; where head's prediction does not hold, once more: a neighbour may have come between the
    /// stages' times and the block's.
    public static func run(_ blocks: [Block], base: String, head: String, progress: (Int) -> Void = { _ in }) -> [Outcome] {
        blocks.enumerated().map { index, block in
            progress(index)
            var outcome = Outcome(block: block)
            for _ in 0..<2 {
                outcome.failures = [:]
                outcome.base = prediction(block, base) { outcome.failures[.base] = $0 }
                outcome.head = prediction(block, head) { outcome.failures[.head] = $0 }
                if !outcome.verdict.isRegression { break }
            }
            return outcome
        }
    }

    /// In a process of its own: memory and pools are those of a user's run.
    private static func prediction(_ block: Block, _ build: String, failed: (String) -> Void) -> PlanPrediction? {
        do {
            let worker = try WorkerProcess(build)
            defer { worker.stop() }
            guard worker.version >= version else { return nil }
            let fields = try worker.ask(
                ["plan", "\(block.threads)", block.size, block.activation, block.name], expecting: "planned", within: patience)
            guard fields.count >= 2, let predicted = Double(fields[0]), let measured = Double(fields[1]), predicted > 0, measured > 0 else {
                throw WorkerError.lied(build, command: "plan", answer: fields.joined(separator: " "))
            }
            return PlanPrediction(predictedNs: predicted, measuredNs: measured)
        } catch {
            failed("\(error)")
            return nil
        }
    }
}
