import ConvCore
import ThreadPool

/// One problem, its candidates, one thread count: verified, and measured if asked.
public struct Trial {
    public enum Outcome: Sendable {
        case measured(Measurement)
        /// Right, and not measured.
        case verified(Verified)
        case failed(Fault)
    }

    public let data: ProblemData
    public let candidates: [Candidate]
    public let pool: ThreadPool

    /// Every candidate must support the problem.
    public init(_ data: ProblemData, candidates: [Candidate], pool: ThreadPool) {
        self.data = data
        self.candidates = candidates
        self.pool = pool
    }

    /// Outcomes in the order of the candidates. With `options` those that pass are measured against each other; one that
    /// fails is never timed. `progress` is told the done part, 0 … 1.
    public func run(
        measuring options: MeasurementOptions?, throughput: Throughput? = nil, progress: (Double) -> Void = { _ in }
    ) throws -> [(candidate: Candidate, outcome: Outcome)] {
        guard !candidates.isEmpty else { return [] }
        let arena = try Arena(data.problem, candidates: candidates, threads: pool.threads)
        let verifier = Verifier(data, arena: arena, pool: pool)
        var outcomes: [Outcome] = []
        var passed: [(index: Int, verified: Verified)] = []
        for (index, candidate) in candidates.enumerated() {
            switch verifier.verify(candidate) {
            case .success(let verified):
                passed.append((index, verified))
                outcomes.append(.verified(verified))
            case .failure(let fault):
                outcomes.append(.failed(fault))
            }
        }
        if let options, !passed.isEmpty {
            let sampler = Sampler(data, arena: arena, pool: pool, options: options, throughput: throughput)
            let measurements = try sampler.measure(passed.map(\.verified), progress: progress)
            for (entry, measurement) in zip(passed, measurements) { outcomes[entry.index] = .measured(measurement) }
        }
        return Array(zip(candidates, outcomes)).map { (candidate: $0.0, outcome: $0.1) }
    }
}
