import ThreadPool

/// One way to compute a layer: a value that declares itself, so that adding a kernel is one file and one line in a list.
///
/// A kernel is *planned* for a problem (weights packed into memory that the caller owns, tile ranges worked out) and the
/// plan is then run any number of times; running allocates nothing.
public struct Kernel: Sendable {
    /// `<layer>-<algorithm>-<isa or library>`, unique.
    public let name: String
    public let layer: Layer
    public let family: Family
    /// What it is built for: `scalar`, `openblas`, or an instruction-set level (`baseline`, `v3`, `v4`).
    public let isa: String
    /// The layout of dst.
    public let layout: Layout
    /// That of src, for all but a few the same.
    public let srcLayout: Layout
    /// Whether it uses more than one thread when it is given them.
    public let threaded: Bool
    /// Whether dst's pixels may lie further apart than their channels (``PlanInputs/dstStep``): then it can write its
    /// part of a concatenation where it belongs. NHWC only.
    public let stridesDst: Bool
    /// How its rounding errors are bounded.
    public let rounding: @Sendable (Problem, Configuration) -> Rounding
    /// Whether src and dst may be the same memory.
    public let runsInPlace: @Sendable (Problem) -> Bool
    /// Whether it can compute a depthwise layer of one tap that alone reads dst before it writes it (``PlanInputs/following``), and if
    /// not, why. NHWC only.
    public let appliesFollowing: @Sendable (Problem) -> Support
    /// One line: what it does.
    public let summary: String
    /// The file that declares it, as `target/file`, or several joined by `+`: whose code, with what it uses, decides whether stored times still hold.
    public let source: String
    public let space: ConfigurationSpace
    /// Whether it can run a problem, and if not, why.
    public let supports: @Sendable (Problem) -> Support
    /// What a plan needs; must be given to ``plan`` at 64-byte alignment.
    public let memory: @Sendable (Problem, Configuration, _ threads: Int) -> Memory
    public let plan: @Sendable (Problem, Configuration, PlanInputs) -> Plan

    public init(
        name: String, layer: Layer, family: Family, isa: String, layout: Layout, srcLayout: Layout? = nil, threaded: Bool, stridesDst: Bool = false,
        rounding: @escaping @Sendable (Problem, Configuration) -> Rounding = { _, _ in .ofTerms },
        runsInPlace: @escaping @Sendable (Problem) -> Bool = { _ in false },
        appliesFollowing: @escaping @Sendable (Problem) -> Support = appliesNothing, summary: String,
        space: ConfigurationSpace = .none, supports: @escaping @Sendable (Problem) -> Support = { _ in .yes },
        memory: @escaping @Sendable (Problem, Configuration, Int) -> Memory = { _, _, _ in Memory() },
        plan: @escaping @Sendable (Problem, Configuration, PlanInputs) -> Plan, source: String = #fileID
    ) {
        self.name = name
        self.layer = layer
        self.family = family
        self.isa = isa
        self.layout = layout
        self.srcLayout = srcLayout ?? layout
        self.threaded = threaded
        self.stridesDst = stridesDst
        self.rounding = rounding
        self.runsInPlace = runsInPlace
        self.appliesFollowing = appliesFollowing
        self.summary = summary
        self.source = source
        self.space = space
        self.supports = supports
        self.memory = memory
        self.plan = plan
    }

    /// The four ways that every layer is computed in.
    public enum Family: String, CaseIterable, Sendable {
        case naive, im2col, simd, tiled
    }

    public enum Support: Sendable, Equatable {
        case yes
        case no(reason: String)

        /// The first reason against it; the other is not asked where this one has one.
        public func and(_ other: @autoclosure () -> Support) -> Support { self == .yes ? other() : self }
    }

    /// Of a kernel that computes nothing behind its sums but their activation.
    public static let appliesNothing: @Sendable (Problem) -> Support = { _ in
        .no(reason: "it computes nothing behind its layer; pw-tile and pw-strassen do")
    }

    /// What the rounding errors of an output grow with; `ErrorBound` derives how far.
    public enum Rounding: Sendable, Equatable {
        /// With the terms of its own sum: products are added up, in any order.
        case ofTerms
        /// With the largest values of src and weights: a Strassen–Winograd product of so many levels, of at most so many
        /// input channels at once.
        case ofStrassen(levels: Int, chunkDepth: Int)
    }

    /// Bytes that a plan works in.
    public struct Memory: Sendable, Equatable {
        /// Written by planning (packed weights), read by every run. Where it is not 0, no run reads the weights as they
        /// were given.
        public var packed: Int
        /// Overwritten by every run.
        public var scratch: Int

        public init(packed: Int = 0, scratch: Int = 0) {
            self.packed = packed
            self.scratch = scratch
        }
    }

    /// What planning is given. All memory stays the caller's and must outlive the plan.
    public struct PlanInputs: @unchecked Sendable {
        /// `[oc][ic / groups][kh][kw]`
        public let weights: UnsafePointer<Float>
        /// `[oc]`; nil exactly where the problem has no bias.
        public let bias: UnsafePointer<Float>?
        /// `memory.packed` bytes.
        public let packed: UnsafeMutableRawPointer
        /// `memory.scratch` bytes.
        public let scratch: UnsafeMutableRawPointer
        public let pool: ThreadPool
        /// Floats from one pixel of dst to the next; nil where they lie side by side. Only for a kernel that
        /// ``Kernel/stridesDst``.
        public let dstStep: Int?
        /// Whether src is a part of a larger map, which no private cache holds: a kernel that goes by the size of its problem would take it
        /// to be there.
        public let srcIsPart: Bool
        /// Floats from one channel of src to the next, in NCHW; nil where a channel ends with the problem's last pixel.
        public let srcChannelStep: Int?
        /// The same of dst.
        public let dstChannelStep: Int?
        /// What dst goes through before it is written; only for a kernel that ``Kernel/appliesFollowing``.
        public let following: Following?
        public var threads: Int { pool.threads }

        public init(
            weights: UnsafePointer<Float>, bias: UnsafePointer<Float>?, packed: UnsafeMutableRawPointer,
            scratch: UnsafeMutableRawPointer, pool: ThreadPool, dstStep: Int? = nil, srcIsPart: Bool = false, srcChannelStep: Int? = nil,
            dstChannelStep: Int? = nil, following: Following? = nil
        ) {
            self.weights = weights
            self.bias = bias
            self.packed = packed
            self.scratch = scratch
            self.pool = pool
            self.dstStep = dstStep
            self.srcIsPart = srcIsPart
            self.srcChannelStep = srcChannelStep
            self.dstChannelStep = dstChannelStep
            self.following = following
        }
    }

    /// A depthwise layer of one tap: a factor and a bias per channel, and an activation.
    public struct Following {
        /// Those of dst's channels, and ``padding`` floats more that may be read.
        public let factors, bias: UnsafePointer<Float>
        public let activation: Activation
        /// A panel of the widest tile.
        public static let padding = 64

        public init(factors: UnsafePointer<Float>, bias: UnsafePointer<Float>, activation: Activation) {
            (self.factors, self.bias, self.activation) = (factors, bias, activation)
        }

        /// For the channels from a later one on.
        public func from(channel: Int) -> Following { Following(factors: factors + channel, bias: bias + channel, activation: activation) }
    }

    /// A planned kernel.
    public struct Plan {
        /// Reads src and writes every value of dst, in the kernel's layouts. Not re-entrant: scratch is shared.
        public let run: (_ src: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>) -> Void

        public init(run: @escaping (UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void) { self.run = run }
    }
}

/// A kernel with its configuration: what is verified, measured and picked.
public struct Candidate: Sendable {
    public let kernel: Kernel
    public let configuration: Configuration

    public init(_ kernel: Kernel, _ configuration: Configuration? = nil) {
        self.kernel = kernel
        self.configuration = configuration ?? kernel.space.standard
    }

    /// `dw-direct-v4@t8r2`; the kernel's name alone where it has no parameters.
    public var name: String {
        configuration.entries.isEmpty ? kernel.name : "\(kernel.name)@\(configuration)"
    }
}
