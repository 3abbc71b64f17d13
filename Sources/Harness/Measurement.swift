import ConvCore

/// How to measure.
public struct MeasurementOptions: Sendable {
    public enum Cache: String, CaseIterable, Sendable {
        /// Everything that fits is in the caches: the kernel has just run on the same buffers.
        case warm
        /// Weights, as given and as packed, are flushed to memory before each run; maps are as the last run left them.
        case weights
        /// Every line of the arena is flushed to memory before each run.
        case cold
        /// A neighbour of the same footprint has just run: it read its weights and its map and wrote this one's src.
        case chain
    }

    public var cache: Cache
    /// Measured seconds per candidate, over all rounds.
    public var minTime: Double
    public var rounds: Int
    public var seed: UInt64
    /// Whether the problem's compulsory bytes are moved in the same rounds; for every number of threads as long as one or two
    /// candidates more. Needs a throughput.
    public var movesBytes: Bool

    public init(cache: Cache = .warm, minTime: Double = 0.05, rounds: Int = 11, seed: UInt64 = 1, movesBytes: Bool = false) {
        self.cache = cache
        self.minTime = minTime
        self.rounds = rounds
        self.seed = seed
        self.movesBytes = movesBytes
    }
}

/// One timed batch.
public struct Sample: Sendable {
    public let round: Int
    /// Nanoseconds per run.
    public let ns: Double
    /// Runs in the batch.
    public let runs: Int
    public let disturbed: Bool
    /// GFLOP/s of a loop of multiply-adds on the same threads, mean of one just before and one just after: the FMA peak at the clock
    /// that the batch had. Nil where nothing watches the threads.
    public let multiplyAddGflops: Double?
    /// What handing work to the other threads took then; nil where there are none.
    public let handOverNs: Double?
}

/// What samples of one thing say together.
public struct SampleSummary: Sendable {
    public let count, disturbedCount: Int
    /// Whether there are enough undisturbed samples for the others not to count.
    let isClean: Bool
    public let medianNs, madNs, minNs, meanNs: Double
    /// 95 % bootstrap interval of the median over the rounds (each round has other physical pages).
    public let intervalNs: ClosedRange<Double>
    /// Median of the samples'; see ``Sample/multiplyAddGflops``.
    public let multiplyAddGflops: Double?
    /// Median of the samples'; see ``Sample/handOverNs``.
    public let handOverNs: Double?

    /// Of undisturbed samples only, unless fewer than three of them are left: then of all, and the count says so.
    public init(_ samples: [Sample], seed: UInt64) {
        count = samples.count
        disturbedCount = samples.lazy.filter(\.disturbed).count
        let clean = samples.filter { !$0.disturbed }
        isClean = clean.count >= 3
        let counted = isClean ? clean : samples
        let used = counted.map(\.ns)
        func median(_ values: [Double]) -> Double? { values.isEmpty ? nil : Statistics.median(values) }
        multiplyAddGflops = median(counted.compactMap(\.multiplyAddGflops))
        handOverNs = median(counted.compactMap(\.handOverNs))
        medianNs = Statistics.median(used)
        madNs = Statistics.medianAbsoluteDeviation(used)
        minNs = used.min() ?? .nan
        meanNs = Statistics.mean(used)
        intervalNs = Statistics.bootstrapMedianInterval(used, seed: seed)
    }
}

/// What a verified candidate takes.
@dynamicMemberLookup
public struct Measurement: Sendable {
    public let verified: Verified
    public let samples: [Sample]
    public let summary: SampleSummary
    /// Median nanoseconds that planning took (packing weights).
    public let planNs: Double
    /// GB/s at which the same threads moved the problem's compulsory bytes in the same rounds, computing nothing, fork and join included,
    /// median, or the best where fewer than three rounds were undisturbed; nil where that was not asked for or the maps are too small.
    public let movedGBps: Double?

    init(verified: Verified, samples: [Sample], summary: SampleSummary, planNs: [Double], movedGBps: Double?) {
        self.verified = verified
        self.samples = samples
        self.summary = summary
        self.planNs = Statistics.median(planNs)
        self.movedGBps = movedGBps
    }

    public subscript<Value>(dynamicMember member: KeyPath<SampleSummary, Value>) -> Value { summary[keyPath: member] }

    /// FLOPs per nanosecond are GFLOP/s; every tap counts.
    public var nominalGflops: Double { verified.problem.nominalFLOPs / summary.medianNs }
    public var effectiveGflops: Double { verified.problem.effectiveFLOPs / summary.medianNs }
    public var gigabytesPerSecond: Double { verified.problem.compulsoryBytes / summary.medianNs }
}
