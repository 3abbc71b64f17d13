import ConvCore
import Foundation
import Harness

/// What a search ends with: a pick that was run against those next to it.
public struct Decision: Sendable {
    public let pick: Int
    /// The best of the others; nil where the pick was alone.
    public let runnerUp: Int?
    /// The runner-up's time over the pick's, run in the same rounds: median and 95 % interval.
    public let ratio: Double?
    public let interval: ClosedRange<Double>?
    /// The expected loss of the pick against the best finalist, as a fraction of the time; nil where the time ended before there were
    /// rounds enough to tell, or before the pick had met any other.
    public let regret: Double?
    public let finalists: [Int]
    /// Each finalist's time over the pick's, run in the same rounds.
    public let ratios: [Double]

    /// Two candidates within this are a tie.
    public static let tie = 0.02
    /// Of the bootstrap.
    private static let resamples = 400
}

extension Decision {
    /// Runs the finalists against each other and decides. nil where nothing was measured right.
    ///
    /// Within a tie with the fastest the order is fixed: less scratch, nearer to the standard configuration, fewer parameters, name.
    /// So a pick does not flip from run to run between two that are equally good.
    static func make(_ search: Search, finalists: [Int]) throws -> Decision? {
        guard !finalists.isEmpty else { return nil }
        guard finalists.count > 1 else {
            // Alone since all others are wrong, or since nobody else was tried.
            return Decision(
                pick: finalists[0], runnerUp: nil, ratio: nil, interval: nil, regret: search.isExhausted ? 0 : nil, finalists: finalists, ratios: [1])
        }
        var rounds: [[Double]] = []
        var decision: Decision
        var turns = 0
        repeat {
            rounds += try search.run(finalists, rounds: search.limits.finalRounds)
            decision = decide(search.space, finalists, rounds, seed: search.random.next())
            turns += 1
            // An unclear end gets more rounds: a pick that may well be wrong does not hold.
        } while decision.regret ?? .infinity > clearRegret && turns < mostTurns && !search.isOver
        return decision
    }

    /// An expected loss of no more than this is not worth further rounds; and those of the final are given this often at most.
    private static let clearRegret = 0.01
    private static let mostTurns = 3
    /// Of fewer rounds no interval can be drawn.
    private static let fewestRounds = 3

    /// Decides from the logarithms of times by round and finalist.
    static func decide(_ space: SearchSpace, _ finalists: [Int], _ rounds: [[Double]], seed: UInt64) -> Decision {
        let columns = finalists.indices
        func ratio(_ a: Int, _ b: Int, _ rounds: [[Double]]) -> Double { Statistics.median(rounds.map { $0[a] - $0[b] }) }
        // The least sum of ratios to the others: no single pair decides.
        let level = columns.map { a in columns.map { ratio(a, $0, rounds) }.reduce(0, +) }
        let fastest = columns.min { level[$0] < level[$1] }!
        let tied = columns.filter { ratio($0, fastest, rounds) <= log(1 + tie) }
        let pick = tied.min { preference(space, finalists[$0]) < preference(space, finalists[$1]) }!
        let runnerUp = columns.filter { $0 != pick }.min { level[$0] < level[$1] }!
        let all = columns.map { exp(ratio($0, pick, rounds)) }
        guard rounds.count >= fewestRounds else {
            return Decision(
                pick: finalists[pick], runnerUp: finalists[runnerUp], ratio: all[runnerUp], interval: nil, regret: nil,
                finalists: finalists, ratios: all)
        }
        var random = RandomSource(seed: seed)
        var drawn: [Double] = []
        var losses: [Double] = []
        for _ in 0..<resamples {
            let draw = rounds.indices.map { _ in rounds[Int(random.next() % UInt64(rounds.count))] }
            drawn.append(ratio(runnerUp, pick, draw))
            losses.append(max(0, columns.map { ratio(pick, $0, draw) }.max()!))
        }
        drawn.sort()
        let (low, high) = (drawn[resamples / 40], drawn[resamples - 1 - resamples / 40])
        return Decision(
            pick: finalists[pick], runnerUp: finalists[runnerUp], ratio: all[runnerUp], interval: exp(low)...exp(high),
            regret: exp(Statistics.mean(losses)) - 1, finalists: finalists, ratios: all)
    }

    /// Lower is preferred among equals.
    private static func preference(_ space: SearchSpace, _ candidate: Int) -> (Int, Int, Int, String) {
        let c = space.candidates[candidate]
        let memory = c.kernel.memory(space.subject.problem, c.configuration, space.subject.threads)
        return (
            memory.scratch, c.kernel.space.stepsFromStandard(c.configuration), c.kernel.space.parameters.count, c.name
        )
    }
}
