import ThreadPool

/// One way to compute a whole separable: a depthwise unit and the pointwise unit behind it, without the map between them.
///
/// The counterpart of ``Kernel`` for two problems; the output of the first has the shape of the second's input.
public struct SeparableKernel: Sendable {
    /// `sep-<algorithm>-<isa>`, unique.
    public let name: String
    public let isa: String
    /// The layout of src and dst alike.
    public let layout: Layout
    /// One line: what it does.
    public let summary: String
    /// The file that declares it, as `target/file`: whose code, with what it uses, decides whether stored times still hold.
    public let source: String
    public let space: ConfigurationSpace
    /// As ``Kernel/appliesFollowing``, of the pointwise problem.
    public let appliesFollowing: @Sendable (Problem) -> Kernel.Support
    public let supports: @Sendable (_ depthwise: Problem, _ pointwise: Problem) -> Kernel.Support
    public let memory: @Sendable (_ depthwise: Problem, _ pointwise: Problem, Configuration, _ threads: Int) -> Kernel.Memory
    public let plan: @Sendable (_ depthwise: Problem, _ pointwise: Problem, Configuration, PlanInputs) -> Kernel.Plan

    public init(
        name: String, isa: String, layout: Layout, summary: String, space: ConfigurationSpace,
        appliesFollowing: @escaping @Sendable (Problem) -> Kernel.Support = Kernel.appliesNothing,
        supports: @escaping @Sendable (Problem, Problem) -> Kernel.Support = { _, _ in .yes },
        memory: @escaping @Sendable (Problem, Problem, Configuration, Int) -> Kernel.Memory,
        plan: @escaping @Sendable (Problem, Problem, Configuration, PlanInputs) -> Kernel.Plan, source: String = #fileID
    ) {
        self.name = name
        self.isa = isa
        self.layout = layout
        self.summary = summary
        self.source = source
        self.space = space
        self.appliesFollowing = appliesFollowing
        self.supports = supports
        self.memory = memory
        self.plan = plan
    }

    /// What planning is given; `pointwise` carries the memory, the pool and dst's step. Every separable kernel strides dst,
    /// and packs both sets of weights.
    public struct PlanInputs: @unchecked Sendable {
        /// `[channels][1][kh][kw]`
        public let depthwiseWeights: UnsafePointer<Float>
        /// `[channels]`
        public let depthwiseBias: UnsafePointer<Float>?
        public let pointwise: Kernel.PlanInputs

        public init(
            depthwiseWeights: UnsafePointer<Float>, depthwiseBias: UnsafePointer<Float>?, pointwise: Kernel.PlanInputs
        ) {
            self.depthwiseWeights = depthwiseWeights
            self.depthwiseBias = depthwiseBias
            self.pointwise = pointwise
        }
    }
}
