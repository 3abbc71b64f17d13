import ConvCore
import ThreadPool

/// One problem and its cases (candidates, each on a number of threads): verified, and measured if asked. All thread counts
/// of a problem are measured in the same rounds, so that a speed-up by threads compares what ran side by side.
public struct Trial {
    /// A candidate on the threads of a pool.
    public struct Case {
        public let candidate: Candidate
        public let pool: ThreadPool

        public init(_ candidate: Candidate, on pool: ThreadPool) {
            self.candidate = candidate
            self.pool = pool
        }
    }

    public enum Outcome: Sendable {
        case measured(Measurement)
        /// Right, and not measured.
        case verified(Verified)
        case failed(Fault)
    }

    public let data: ProblemData
    public let cases: [Case]

    /// Every candidate must support the problem.
    public init(_ data: ProblemData, cases: [Case]) {
        self.data = data
        self.cases = cases
    }

    /// All candidates on one pool.
    public init(_ data: ProblemData, candidates: [Candidate], pool: ThreadPool) {
        self.init(data, cases: candidates.map { Case($0, on: pool) })
    }

    /// Outcomes in the order of the cases. With `options` those that pass are measured against each other; one that fails is
    /// never timed. `progress` is told the done part, 0 … 1.
    public func run(
        measuring options: MeasurementOptions?, throughput: Throughput? = nil, progress: (Double) -> Void = { _ in }
    ) throws -> [(candidate: Candidate, outcome: Outcome)] {
        guard !cases.isEmpty else { return [] }
        let arena = try Arena(data.problem, cases: cases)
        var outcomes: [Outcome] = []
        var passed: [(index: Int, verified: Verified)] = []
        for (index, one) in cases.enumerated() {
            switch Verifier(data, arena: arena, pool: one.pool).verify(one.candidate) {
            case .success(let verified):
                passed.append((index, verified))
                outcomes.append(.verified(verified))
            case .failure(let fault):
                outcomes.append(.failed(fault))
            }
        }
        if let options, !passed.isEmpty {
            let sampler = Sampler(data, arena: arena, options: options, throughput: throughput)
            let measurements = try sampler.measure(
                passed.map { ($0.verified, cases[$0.index].pool) }, progress: progress)
            for (entry, measurement) in zip(passed, measurements) { outcomes[entry.index] = .measured(measurement) }
        }
        return zip(cases, outcomes).map { (candidate: $0.0.candidate, outcome: $0.1) }
    }
}
