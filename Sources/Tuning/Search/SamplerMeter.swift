import ConvCore
import Harness
import ThreadPool

/// The machine as a ``Meter``: candidates are verified when they come up, then timed in one arena.
public final class SamplerMeter: Meter {
    public let space: SearchSpace
    private let data: ProblemData
    private let arena: Arena
    private let session: SamplingSession
    private let pool: ThreadPool
    private let deadline: UInt64?
    /// The session's number of a candidate, or why it is wrong.
    private var states: [Int: Result<Int, Fault>] = [:]
    private var spent: [Int: Double] = [:]
    public private(set) var spentNs = 0.0

    /// The pool's threads should be pinned. `deadline` on ``Clock/now()``; nil for none.
    public init(
        _ space: SearchSpace, data: ProblemData, pool: ThreadPool, sampleSeconds: Double, seed: UInt64,
        throughput: Throughput?, deadline: UInt64?
    ) throws {
        self.space = space
        self.data = data
        self.pool = pool
        self.deadline = deadline
        arena = try Arena(data.problem, cases: space.candidates.map { Trial.Case($0, on: pool) })
        // The sampler's batch is its time over its rounds.
        let options = MeasurementOptions(cache: space.subject.regime, minTime: sampleSeconds, rounds: 1, seed: seed)
        session = SamplingSession(Sampler(data, arena: arena, options: options, throughput: throughput))
    }

    public func measure(_ candidates: [Int], rounds: Int) throws {
        var members: [Int] = []
        for candidate in candidates {
            if states[candidate] == nil {
                if isOver, hasPassed { continue }
                // Not pinned: the oracle's and the system's threads would inherit it.
                states[candidate] = Verifier(data, arena: arena, pool: pool).verify(space.candidates[candidate])
                    .map { session.add($0, on: pool) }
            }
            if case .success(let number)? = states[candidate] { members.append(number) }
        }
        let start = Clock.now()
        try ThreadPool.withPinnedCaller {
            for round in 0..<rounds where round == 0 || !isOver { try session.round(members) }
        }
        let ns = Double(Clock.now() - start)
        spentNs += ns
        for candidate in candidates { spent[candidate, default: 0] += ns / Double(max(1, members.count)) }
    }

    private var hasPassed: Bool { states.values.contains { if case .success = $0 { true } else { false } } }

    public func samples(_ candidate: Int, disturbed: Bool) -> [Int: Double] {
        guard case .success(let number)? = states[candidate] else { return [:] }
        let samples = session.samples(number).filter { disturbed || !$0.disturbed }
        return Dictionary(samples.map { ($0.round, $0.ns) }, uniquingKeysWith: { first, _ in first })
    }

    public func isWrong(_ candidate: Int) -> Bool { fault(candidate) != nil }

    /// Why a candidate is wrong; nil where it is right or was not tried.
    public func fault(_ candidate: Int) -> Fault? {
        if case .failure(let fault)? = states[candidate] { fault } else { nil }
    }

    /// nil where the candidate was not measured.
    public func measurement(_ candidate: Int) -> Measurement? {
        guard case .success(let number)? = states[candidate], !session.samples(number).isEmpty else { return nil }
        return session.measurement(number)
    }

    /// Nanoseconds that measuring one candidate took, its share of every round.
    public func spentNs(on candidate: Int) -> Double { spent[candidate] ?? 0 }

    public var rounds: Int { session.rounds }
    public var isOver: Bool { deadline.map { Clock.now() >= $0 } ?? false }
}
