import ConvCore
import ThreadPool

/// An open measurement: rounds are added to any of its candidates for as long as there is a reason to.
///
/// In a round the chosen candidates are timed in shuffled order in the same pages, so that two of them compare by the ratio
/// of their samples of the same round; between rounds the arena moves to other pages.
public final class SamplingSession {
    private let sampler: Sampler
    private let neighbour: Neighbour?
    private var runs: [Sampler.Run] = []
    private var random: RandomSource
    /// Rounds so far.
    public private(set) var rounds = 0

    public init(_ sampler: Sampler) {
        self.sampler = sampler
        random = RandomSource(seed: sampler.options.seed)
        neighbour = sampler.options.cache == .chain ? Neighbour(sampler.data.problem) : nil
    }

    /// Adds a candidate and returns its number. The sampler's arena must fit it.
    @discardableResult
    public func add(_ verified: Verified, on pool: ThreadPool) -> Int {
        precondition(
            verified.problem == sampler.data.problem && verified.threads == pool.threads, "verified on another problem")
        return add(.candidate(verified), on: pool)
    }

    func add(_ move: CompulsoryMove, on pool: ThreadPool) -> Int { add(.move(move), on: pool) }

    private func add(_ work: Sampler.Work, on pool: ThreadPool) -> Int {
        runs.append(Sampler.Run(work: work, pool: pool, watch: DisturbanceWatch(pool, sampler.throughput)))
        return runs.count - 1
    }

    /// One round of the candidates of these numbers. The caller should be pinned (``ThreadPool/withPinnedCaller(_:)``).
    public func round(_ members: [Int]) throws {
        if rounds > 0 { try sampler.arena.renew() }
        // Verifying in between has left other values.
        sampler.fillInputs()
        for index in members.shuffled(using: &random) { sampler.sample(&runs[index], round: rounds, neighbour: neighbour) }
        rounds += 1
    }

    /// Of one candidate, in the order of the rounds.
    public func samples(_ index: Int) -> [Sample] { runs[index].samples }

    /// Nanoseconds of its timed batches.
    public func spentNs(_ index: Int) -> Double { runs[index].spentNs }

    /// Whether most of so many rounds are without an undisturbed sample.
    func lacksClean(_ index: Int, of rounds: Int) -> Bool { runs[index].lacksClean(of: rounds) }

    func summary(_ index: Int) -> SampleSummary { SampleSummary(runs[index].samples, seed: sampler.options.seed) }

    /// Of a candidate.
    public func measurement(_ index: Int, movedGBps: Double? = nil) -> Measurement {
        let run = runs[index]
        guard case .candidate(let verified) = run.work else { preconditionFailure("no candidate") }
        return Measurement(
            verified: verified, samples: run.samples, summary: summary(index), planNs: run.planNs, movedGBps: movedGBps)
    }
}
