/// One measurement: a row of the CSV. Times are nanoseconds, rates 10⁹ per second, sizes bytes. What was not measured is
/// nil and an empty field.
public struct ResultRow: Sendable, Equatable {
    /// Which call of the command wrote it.
    public var run = ""
    /// ISO 8601, UTC.
    public var timeUTC = ""
    /// The build's commit, or `unknown`.
    public var commit = ""
    /// The folder name of the machine's results.
    public var machine = ""
    public var cpu = ""
    /// What the kernel is built for: `scalar`, `openblas`, `baseline`, `v3`, `v4`.
    public var isa = ""
    public var dtype = "f32"
    public var layer = ""
    /// benchdnn text with the name.
    public var problem = ""
    public var kernel = ""
    public var config = ""
    public var layout = ""
    public var threads = 1
    /// The state of the caches before a run: `warm`, `weights` (cold), `cold`, `chain`.
    public var cache = ""
    public var samples: Int?
    public var medianNs: Double?
    public var madNs: Double?
    public var minNs: Double?
    public var meanNs: Double?
    public var ciLowNs: Double?
    public var ciHighNs: Double?
    public var nominalFLOPs: Double?
    public var effectiveFLOPs: Double?
    /// Compulsory: src, weights, bias and dst once each.
    public var bytes: Double?
    /// From nominal FLOPs.
    public var gflops: Double?
    public var gbps: Double?
    /// The fraction of the roofline that was reached.
    public var attainable: Double?
    /// The largest |kernel − oracle| on reals.
    public var maxError: Double?
    /// `PASSED`, or why not: `FAILED`, `SKIPPED`.
    public var verdict = ""
    // Ours, behind the contract's columns.
    public var family = ""
    /// Samples that something else disturbed.
    public var disturbed: Int?
    public var planNs: Double?
    public var scratchBytes: Int?
    public var packedBytes: Int?
    /// Learnable values of the layer.
    public var parameters: Int?
    public var seed: Int?
    /// A chain of dependent multiplications, timed between the rounds: the clock of that run.
    public var referenceNs: Double?
    /// Of a planned block: the sum of its stages and conversions, measured before the choice, and how often all was measured until
    /// that and the whole agreed.
    public var predictedNs: Double?
    public var attempts: Int?
    /// GFLOP/s of a loop of multiply-adds on the same threads, run before and after every sample, median: the FMA peak at the clock that
    /// the samples had, where `attainable` is held to the machine's best.
    public var multiplyAddGflops: Double?
    /// An empty fork and join beside every sample, median: how far the threads were from each other.
    public var handOverNs: Double?
    /// GB/s at which the same threads read src and weights and wrote dst between the samples, computing nothing, fork and join included,
    /// median, or the best where most were disturbed; nil where the maps are too small.
    public var movedGBps: Double?
    /// What a tuner adds; empty in rows of others.
    public var tuning = TuningFields()

    public init() {}

    /// Kernel with its configuration behind an @.
    public var candidate: String { config.isEmpty ? kernel : "\(kernel)@\(config)" }

    /// The problem's own name, or its text where it has none.
    public var problemName: String { Self.name(of: problem) }

    /// The name in a problem's text, or the text.
    public static func name(of problem: String) -> String {
        guard let start = problem.firstIndex(of: "\""), let end = problem.lastIndex(of: "\""), start < end else {
            return problem
        }
        return String(problem[problem.index(after: start)..<end])
    }
}
