import ConvCore
import Foundation
import Harness
import ThreadPool

/// How the bursts of the two sides are paired.
public enum Pairing: String, CaseIterable, Sendable {
    /// One after the other in the same pages on the same CPU, ABBA or BAAB.
    case alternating
    /// At the same moment on two CPUs, each in the pages of its place; the sides swap places within a round.
    /// Source: Bulej et al., "Duet Benchmarking: Improving Measurement Accuracy in the Cloud", ICPE 2020.
    case duet
}

public struct LaunchOptions: Sendable {
    /// Undisturbed rounds of four bursts. With 20 a launch's value scattered by 0.15 … 0.2 % (median) over 26 equal cases, with 40 by
    /// 0.11 … 0.13 %, with 8 by 0.3 %: all far within the margin of 2 %, and where rounds scatter more, more are run.
    public var rounds = 20
    /// Nanoseconds of a burst. A stranger on the core's other hardware thread comes and goes within milliseconds, and a round that
    /// is shorter than his visits is not spoilt by them: in the same 0.3 s a case, the standard error of a launch's median was
    /// 0.09 … 0.15 % with bursts of 0.25 ms, 0.14 … 0.8 % with 0.5 ms and 0.3 … 0.5 % with 2 ms (two vCPUs of a busy host).
    public var burstNs = 0.25e6
    public var pairing = Pairing.alternating
    /// Seconds that a worker may take for a burst.
    public var patience = WorkerProcess.patience
    /// The clock of ``StealTime/ticks``.
    public var stealTicks: @Sendable () -> Int = { StealTime.shared.ticks }
    /// What a user may ask for.
    public static let roundsRange = 3...1000
    public init() {}
}

/// One launch: the workers of both sides started anew, in shared pages made anew. What a launch's memory layout adds to a
/// ratio is the same for all its rounds; that is why launches are counted and rounds are not.
///
/// Both builds as libraries in one process, on the same buffers, were tried too: over 12 launches of 10 cases, 20 rounds each, a
/// launch's value scattered by 0.22 % (robust, middle case; 0.25 … 0.35 % as a standard deviation), beside 0.20 … 0.24 % (0.21 %) of
/// two workers in the same minutes. Processes won: as quiet, and one that dies takes neither the other nor the check along.
public final class PairedLaunch {
    let builds: [Side: String]
    let options: LaunchOptions
    private let arenaBytes: Int
    private var workers: [Side: WorkerProcess] = [:]
    private var memory: [SharedMemory] = []
    private var open: [Side: Set<CheckCase>] = [:]
    private var ids: [CheckCase: Int] = [:]
    private let cores: QuietCores
    private let aliases: BuildAliases
    /// Moves the stacks of this launch's workers, both by as much.
    private let padding: String
    private var random: RandomSource

    /// Rounds take turns over so many arenas: their pages' luck is a scatter of the rounds then, and not of the launch.
    private static let mostPlaces = 10
    /// A duet works in two at once.
    private static let fewestPlaces = 2
    private static let mostBytes = 512 << 20

    /// So many times the rounds asked for, at most.
    private static let mostRounds = 6
    /// Rounds between two looks for a quiet CPU, and at the error.
    private static let lookEvery = 4

    /// `arenaBytes` fits every case. Throws ``SideError`` where a side's worker does not start.
    public init(_ builds: [Side: String], options: LaunchOptions, arenaBytes: Int, cores: QuietCores, seed: UInt64) throws {
        self.builds = builds
        self.options = options
        self.arenaBytes = arenaBytes
        random = RandomSource(seed: seed)
        self.cores = cores
        aliases = try BuildAliases(builds)
        padding = String(repeating: "x", count: 16 * Int.random(in: 0..<256, using: &random))
        let places = max(Self.fewestPlaces, min(options.rounds, Self.mostPlaces, Self.mostBytes / max(arenaBytes, 1)))
        // A container's /dev/shm holds 64 MiB by default: fewer places average over less luck, and are places all the same.
        while memory.count < places {
            let needed = memory.count < Self.fewestPlaces
            do {
                memory.append(try SharedMemory(bytes: arenaBytes, in: needed ? SharedMemory.folders : SharedMemory.memoryFolders))
            } catch {
                if needed { throw error }
                break
            }
        }
        for side in builds.keys.shuffled(using: &random) { try on(side) { _ throws(WorkerError) in } }
    }

    public func stop() {
        for worker in workers.values { worker.stop() }
        workers = [:]
    }

    /// Starts a side's worker in the launch's pages.
    private func start(_ side: Side) throws(WorkerError) {
        workers.removeValue(forKey: side)?.stop()
        open[side] = []
        let worker = try WorkerProcess(
            aliases.path(side), named: builds[side]!, environment: ["ATROUS_PADDING": padding], patience: max(options.patience, 10))
        for (place, shared) in memory.enumerated() { try worker.map(shared, place: place) }
        workers[side] = worker
    }

    /// Does something with a side's worker, and says whose error it was.
    private func on<T>(_ side: Side, _ body: (WorkerProcess) throws(WorkerError) -> T) throws(SideError) -> T {
        do {
            // Not yet, or no more: one whose case failed has ended.
            if workers[side] == nil { try start(side) }
            return try body(workers[side]!)
        } catch {
            throw SideError(side, error)
        }
    }

    /// Runs the rounds of a case, `a` against `b`, and more of them while the value's standard error is above `wantedError`. After an
    /// error that ends a worker, both are new for the next case: the other one may still have an answer to give.
    func measure(_ one: CheckCase, runs: Int, _ a: Side, _ b: Side, wantedError: Double) throws(SideError) -> LaunchValue? {
        do {
            return try rounds(one, runs: runs, a, b, wantedError)
        } catch {
            if error.cause.endsWorker { for side in [a, b] { workers.removeValue(forKey: side)?.stop() } }
            throw error
        }
    }

    /// nil where too few rounds were undisturbed.
    private func rounds(_ one: CheckCase, runs: Int, _ a: Side, _ b: Side, _ wantedError: Double) throws(SideError) -> LaunchValue? {
        for side in [a, b] { try enter(one, side) }
        // A case with several threads has both CPUs to itself.
        let duet = options.pairing == .duet && one.threads == 1 && cores.count > 1
        var collected: [Round] = []
        var kept: [Round] = []
        var cpu = 0
        // Disturbed rounds are replaced, and scattering ones added to: to stop by the error's size does not favour either side.
        while collected.count < Self.mostRounds * options.rounds {
            let turn = collected.count
            if turn % Self.lookEvery == 0 {
                if one.threads > 1 || duet {
                    cores.waitForAll()
                } else {
                    cpu = cores.choose(turn: turn / Self.lookEvery) { for side in [a, b] { workers[side]?.bindAsCaller() } }
                }
            }
            collected.append(duet ? try duetRound(runs, a, b, turn: turn) : try alternatingRound(runs, a, b, turn: turn, cpu: cpu))
            guard collected.count >= options.rounds, collected.count % Self.lookEvery == 0 else { continue }
            kept = collected.filter(\.isUndisturbed)
            if kept.count >= options.rounds, Self.errorOfMedian(kept.map(\.logRatio)) <= wantedError { break }
        }
        guard kept.count * 2 >= options.rounds, kept.count >= 2 else { return nil }
        let ratios = kept.map(\.logRatio)
        let (ofA, ofB) = (kept.flatMap(\.a), kept.flatMap(\.b))
        return LaunchValue(
            logRatio: Statistics.median(ratios), error: Self.errorOfMedian(ratios), rounds: ratios,
            dropped: collected.count - kept.count, baseNs: Statistics.median(ofA.map(\.ns)) / Double(runs),
            headNs: Statistics.median(ofB.map(\.ns)) / Double(runs), baseChainNs: Statistics.median(ofA.map(\.chainNs)),
            headChainNs: Statistics.median(ofB.map(\.chainNs)))
    }

    /// From the order statistics that lie one standard error of the rank, √n/2, to either side of the middle: rounds have heavy
    /// tails, on which a normal formula with the median absolute deviation puts the error three times too high.
    static func errorOfMedian(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        let middle = Double(sorted.count - 1) / 2
        let step = Double(sorted.count).squareRoot() / 2
        let (low, high) = (max(0, Int((middle - step).rounded())), min(sorted.count - 1, Int((middle + step).rounded())))
        return (sorted[high] - sorted[low]) / 2
    }

    /// The stack of a round begins so many bytes lower, in both builds: its place is averaged over.
    private func nextShift() -> Int { 16 * Int.random(in: 0..<256, using: &random) }

    private func enter(_ one: CheckCase, _ side: Side) throws(SideError) {
        let id = ids[one] ?? ids.count
        ids[one] = id
        try on(side) { worker throws(WorkerError) in
            if open[side]?.contains(one) != true {
                try worker.ask(["open", "\(id)", "\(one.threads)", one.candidate(side), one.problem.text], expecting: "opened")
                open[side, default: []].insert(one)
            }
            for place in memory.indices { try worker.ask(["enter", "\(id)", "\(place)"], expecting: "entered") }
        }
    }

    private func alternatingRound(_ runs: Int, _ a: Side, _ b: Side, turn: Int, cpu: Int) throws(SideError) -> Round {
        let first = Bool.random(using: &random) ? [a, b, b, a] : [b, a, a, b]
        var round = Round()
        let shift = nextShift()
        let steal = options.stealTicks()
        for side in first {
            let burst = try on(side) { worker throws(WorkerError) in
                try worker.burst(runs: runs, place: turn % memory.count, cpu: cpu, shift: shift, within: options.patience)
            }
            if side == a { round.a.append(burst) } else { round.b.append(burst) }
        }
        round.stolen = options.stealTicks() != steal
        return round
    }

    /// Both at once, then once more with the places swapped, so that what a place does to the time cancels.
    private func duetRound(_ runs: Int, _ a: Side, _ b: Side, turn: Int) throws(SideError) -> Round {
        let pair = [turn, turn + 1].map { $0 % memory.count }
        var cpus = Bool.random(using: &random) ? (a: 0, b: 1) : (a: 1, b: 0)
        var round = Round()
        let shift = "\(nextShift())"
        let steal = options.stealTicks()
        func send(_ side: Side, _ cpu: Int) throws(SideError) {
            try on(side) { worker throws(WorkerError) in try worker.send(["burst", "\(runs)", "\(pair[cpu])", "\(cpu)", shift]) }
        }
        func answer(_ side: Side) -> Result<Burst, SideError> {
            Result { () throws(SideError) in
                try on(side) { worker throws(WorkerError) in try worker.burstAnswer(within: options.patience) }
            }
        }
        for _ in 0..<2 {
            try send(a, cpus.a)
            try send(b, cpus.b)
            // Both are read, whatever the first says: one that is left would pass for the answer to the next command.
            let (ofA, ofB) = (answer(a), answer(b))
            round.a.append(try ofA.get())
            round.b.append(try ofB.get())
            cpus = (cpus.b, cpus.a)
        }
        round.stolen = options.stealTicks() != steal
        return round
    }
}

/// Two bursts of each side.
struct Round {
    var a: [Burst] = []
    var b: [Burst] = []
    var stolen = false

    /// A drift that is linear in time cancels.
    var logRatio: Double { (log(b[0].ns) + log(b[1].ns) - log(a[0].ns) - log(a[1].ns)) / 2 }

    /// A reference loop that differs by more among the four bursts marks a round: a stranger who came or left shows as 60 %, a
    /// clock step as 10 % and more.
    static let slowdown = 1.15

    /// Whether the four bursts had the core under the same conditions, and to themselves. A stranger who stays all the while meets
    /// both sides alike and leaves the round in.
    var isUndisturbed: Bool {
        func even(_ values: [Double]) -> Bool { values.max()! <= values.min()! * Self.slowdown }
        let bursts = a + b
        return !stolen && bursts.allSatisfy { $0.switches == 0 } && even(bursts.map(\.chainNs)) && even(bursts.map(\.wideNs))
    }
}

/// Copies of all builds under names of one length: a program's path lies on its stack and would shift it. The copies are new for
/// each launch, since the pages of the file that a kernel's code lies in are part of the luck, too: one build and a copy of it
/// differed by 3 % on a kernel of 0.25 µs for as long as both files stayed in memory.
final class BuildAliases {
    private let folder: String

    init(_ builds: [Side: String]) throws {
        folder = "\(NSTemporaryDirectory())/atrous-builds-\(getpid())-\(UInt32.random(in: 0x1000_0000 ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for (side, path) in builds {
            let source = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
            // In one write: `copyItem` takes steps of a page, which cost a tenth of a confirming launch.
            guard let program = try? Data(contentsOf: URL(fileURLWithPath: source), options: .alwaysMapped) else {
                throw WorkerError.cannotStart(path, reason: "it cannot be read")
            }
            guard (try? program.write(to: URL(fileURLWithPath: self.path(side)))) != nil, chmod(self.path(side), 0o700) == 0 else {
                throw WorkerError.noRoom("\(path) cannot be copied to \(folder)")
            }
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// `base`, `head` and `copy` have four letters each.
    func path(_ side: Side) -> String { "\(folder)/\(side)" }
}
