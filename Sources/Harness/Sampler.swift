import CPUFeatures
import ConvCore
import Foundation
import ThreadPool

/// Times verified candidates of one problem against each other.
///
/// Rounds are interleaved: in each round every candidate, in shuffled order, is planned into the same arena, warmed up and
/// timed over one batch, so that drift hits all alike. The arena moves to other pages between rounds.
public struct Sampler {
    let data: ProblemData
    let arena: Arena
    let options: MeasurementOptions
    let throughput: Throughput?

    /// Without `throughput` a slow core goes unnoticed.
    public init(_ data: ProblemData, arena: Arena, options: MeasurementOptions, throughput: Throughput? = nil) {
        self.data = data
        self.arena = arena
        self.options = options
        self.throughput = throughput
    }

    /// A candidate whose measured time exceeds this many times `minTime` leaves after ``fewestRounds`` rounds: a naive
    /// kernel that takes a second would otherwise take most of the session.
    private static let slowFactor = 4.0
    private static let fewestRounds = 3
    /// A run of 20 ms moves more data than any cache holds and passes any change of clock.
    private static let longRunNs = 2e7
    /// Flushing costs more than most runs; sixteen of them average the clock out.
    private static let mostColdRuns = 16
    /// A run of 500 µs passes some million branches: what one run before it taught the predictor does not show.
    private static let forgettingNs = 5e5
    /// The shortest batch, in nanoseconds: a thousand times the clock's step.
    private static let shortestBatchNs = 50_000.0

    /// Measures all, each on its pool, whose threads should be pinned; the results are in the same order. `progress` is told
    /// the done part, 0 … 1.
    public func measure(
        _ verified: [(Verified, ThreadPool)], progress: (Double) -> Void = { _ in }
    ) throws -> [Measurement] {
        for (v, pool) in verified {
            precondition(v.problem == data.problem && v.threads == pool.threads, "verified on another problem")
        }
        return try ThreadPool.withPinnedCaller { try measurePinned(verified, progress: progress) }
    }

    private func measurePinned(
        _ verified: [(Verified, ThreadPool)], progress: (Double) -> Void
    ) throws -> [Measurement] {
        let session = SamplingSession(self)
        for (candidate, pool) in verified { session.add(candidate, on: pool) }
        let moves = addMoves(to: session, pools: verified.map(\.1))
        // Rounds are added for what was disturbed in most of theirs, up to as many again.
        let members = Array(verified.indices) + moves.map(\.index)
        for round in 0..<(2 * options.rounds) {
            let wanting = members.filter { round < options.rounds || session.lacksClean($0, of: options.rounds) }
            if wanting.isEmpty { break }
            try session.round(
                wanting.filter {
                    round < Self.fewestRounds || session.spentNs($0) <= Self.slowFactor * options.minTime * 1e9
                })
            progress(min(1, Double(round + 1) / Double(options.rounds)))
        }
        let moved = Dictionary(
            moves.map { way in
                let summary = session.summary(way.index)
                // Disturbed moves would flatter the kernels: then the fastest.
                return (way.threads, way.move.bytes(data.problem) / (summary.isClean ? summary.medianNs : summary.minNs))
            }, uniquingKeysWith: max)
        return verified.indices.map { session.measurement($0, movedGBps: moved[verified[$0].1.threads]) }
    }

    /// On every number of threads that is measured.
    private func addMoves(to session: SamplingSession, pools: [ThreadPool]) -> [(index: Int, move: CompulsoryMove, threads: Int)] {
        guard options.movesBytes, let throughput else { return [] }
        var found: [(index: Int, move: CompulsoryMove, threads: Int)] = []
        for pool in pools where !found.contains(where: { $0.threads == pool.threads }) {
            found += CompulsoryMove.ways(data.problem, throughput.probe, threads: pool.threads).map { (session.add($0, on: pool), $0, pool.threads) }
        }
        return found
    }

    /// What is timed.
    enum Work {
        case candidate(Verified)
        case move(CompulsoryMove)

        func plan(_ data: ProblemData, arena: Arena, pool: ThreadPool) -> Kernel.Plan {
            switch self {
            case .candidate(let verified): verified.candidate.plan(data.problem, arena: arena, pool: pool)
            case .move(let move): move.plan(data.problem, arena: arena, pool: pool)
            }
        }
    }

    /// What is known of one candidate or move of a session.
    struct Run {
        let work: Work
        let pool: ThreadPool
        let watch: DisturbanceWatch
        var samples: [Sample] = []
        var planNs: [Double] = []
        var spentNs = 0.0
        /// Nanoseconds of one run, from the last sample.
        var estimateNs: Double?

        func lacksClean(of rounds: Int) -> Bool { 2 * samples.lazy.filter { !$0.disturbed }.count < rounds }

        mutating func add(_ sample: Sample) {
            samples.append(sample)
            spentNs += sample.ns * Double(sample.runs)
            // The fastest so far: after a disturbed sample the next one would be too short.
            estimateNs = min(estimateNs ?? .infinity, sample.ns)
        }
    }

    /// The values do not matter for the time; both layouts read the same ones.
    func fillInputs() {
        let p = data.problem
        arena.floats(.src).update(from: data.reals.src.floats, count: p.srcCount)
        arena.floats(.weights).update(from: data.reals.weights.floats, count: p.weightCount)
        arena.floats(.bias).update(from: data.reals.bias.floats, count: p.biasCount)
    }

    /// Plans the work into the arena, warms up and times one batch.
    func sample(_ run: inout Run, round: Int, neighbour: Neighbour?) {
        let (pool, watch) = (run.pool, run.watch)
        let planStart = Clock.now()
        let plan = run.work.plan(data, arena: arena, pool: pool)
        run.planNs.append(Double(Clock.now() - planStart))
        let (src, dst) = (UnsafePointer(arena.floats(.src)), arena.floats(.dst))
        pool.park()
        QuietThreads.wait()
        watch.waitForCores()
        let before = watch.snapshot()
        // Warm up: caches, the clock of wide vectors, and the estimate of one run.
        let warmStart = Clock.now()
        var warmRuns = 0.0
        repeat {
            plan.run(src, dst)
            warmRuns += 1
        } while Double(Clock.now() - warmStart) < Self.shortestBatchNs
        let warmNs = Double(Clock.now() - warmStart)
        if warmRuns == 1, warmNs > Self.longRunNs, options.cache == .warm {
            // Long enough to be a sample of its own: what the caches held before does not show.
            let after = watch.snapshot()
            run.add(watch.sample(round: round, ns: warmNs, runs: 1, from: before, to: after))
            return
        }
        let estimate = run.estimateNs ?? warmNs / warmRuns
        let target = max(options.minTime * 1e9 / Double(options.rounds), Self.shortestBatchNs)
        var count = max(1, Int((target / max(estimate, 1)).rounded(.up)))
        if options.cache != .warm { count = min(count, Self.mostColdRuns) }
        let start = watch.snapshot()
        let ns: Double
        switch options.cache {
        case .warm:
            // The reference loop of the watch has left the caches alone, but not the branch predictor; a long run forgets.
            if estimate < Self.forgettingNs { plan.run(src, dst) }
            let start = Clock.now()
            for _ in 0..<count { plan.run(src, dst) }
            ns = Double(Clock.now() - start)
        case .weights, .cold, .chain:
            var sum: UInt64 = 0
            for _ in 0..<count {
                disturbCaches(neighbour)
                pool.run { _ in }  // wakes workers that went to sleep meanwhile
                let start = Clock.now()
                plan.run(src, dst)
                sum += Clock.now() - start
            }
            ns = Double(sum)
        }
        let end = watch.snapshot()
        run.add(watch.sample(round: round, ns: ns / Double(count), runs: count, from: start, to: end))
    }
    /// Brings the caches into the state that the options' mode names, before each run.
    private func disturbCaches(_ neighbour: Neighbour?) {
        switch options.cache {
        case .warm: break
        case .cold: _ = atrous_flush_cache(arena.start, UInt(arena.bytes))
        case .weights:
            for region in [Arena.Region.weights, .bias, .packed] {
                _ = atrous_flush_cache(arena.pointer(region), UInt(arena.size(region)))
            }
        case .chain: neighbour?.run(into: arena.floats(.src))
        }
    }
}
