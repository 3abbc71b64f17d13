import ConvCore
import ThreadPool

/// What computes one unit of a block, or a separable's two at once.
package enum StageKernel: Sendable {
    case layer(Candidate)
    case separable(SeparableKernel, Configuration)
    /// The kernels that make what it reads compute it, too; it does nothing itself.
    case epilogue

    package var isEpilogue: Bool { if case .epilogue = self { true } else { false } }

    package var kernelName: String {
        switch self {
        case .layer(let candidate): candidate.kernel.name
        case .separable(let kernel, _): kernel.name
        case .epilogue: Self.epilogueName
        }
    }
    /// As a plan says it.
    static let epilogueName = "epilogue"

    package var configuration: Configuration {
        switch self {
        case .layer(let candidate): candidate.configuration
        case .separable(_, let configuration): configuration
        case .epilogue: ConfigurationSpace.none.standard
        }
    }

    /// `pw-tile-v4@m8n2k4096r120`
    package var name: String {
        configuration.entries.isEmpty ? kernelName : "\(kernelName)@\(configuration)"
    }

    package var isa: String {
        switch self {
        case .layer(let candidate): candidate.kernel.isa
        case .separable(let kernel, _): kernel.isa
        case .epilogue: ""
        }
    }

    package var layout: Layout {
        switch self {
        case .layer(let candidate): candidate.kernel.layout
        case .separable(let kernel, _): kernel.layout
        case .epilogue: .nhwc
        }
    }

    /// Of what it reads.
    package var srcLayout: Layout {
        switch self {
        case .layer(let candidate): candidate.kernel.srcLayout
        case .separable(let kernel, _): kernel.layout
        case .epilogue: .nhwc
        }
    }

    /// Whether it can write a slice of a concatenation in NHWC.
    package var stridesDst: Bool {
        switch self {
        case .layer(let candidate): candidate.kernel.stridesDst
        case .separable: true
        case .epilogue: false
        }
    }

    /// Whether it computes the unit of one tap that reads what it writes, too; `problems` are its own.
    func appliesFollowing(_ problems: [Problem]) -> Kernel.Support {
        switch self {
        case .layer(let candidate): candidate.kernel.appliesFollowing(problems[0])
        case .separable(let kernel, _): kernel.appliesFollowing(problems[1])
        case .epilogue: .no(reason: "it computes nothing itself")
        }
    }

    /// Whether it may overwrite what it reads.
    func runsInPlace(_ problems: [Problem]) -> Bool {
        switch self {
        case .layer(let candidate): candidate.kernel.runsInPlace(problems[0])
        case .separable: false
        case .epilogue: true
        }
    }

    /// How the rounding errors of its last unit are bounded.
    func rounding(_ problem: Problem) -> Kernel.Rounding {
        switch self {
        case .layer(let candidate): candidate.kernel.rounding(problem, candidate.configuration)
        case .separable, .epilogue: .ofTerms
        }
    }

    /// Units that it computes.
    var unitCount: Int {
        switch self {
        case .layer, .epilogue: 1
        case .separable: 2
        }
    }

    /// Of `units` those at `range`, which it may not leave; `problems` are theirs.
    func supports(_ range: Range<Int>, of units: [BlockUnit], _ problems: [Problem]) -> Kernel.Support {
        switch self {
        case .layer(let candidate):
            candidate.kernel.layer == problems[0].layer
                ? candidate.kernel.supports(problems[0])
                : .no(reason: "it computes \(candidate.kernel.layer.rawValue) layers, not \(problems[0].layer.rawValue)")
        case .separable(let kernel, _):
            units.isSeparable(at: range.lowerBound)
                ? kernel.supports(problems[0], problems[1])
                : .no(reason: "it computes a depthwise unit and the pointwise unit that reads it")
        case .epilogue:
            problems[0].layer == .dw && problems[0].isPixelwise
                ? .yes : .no(reason: "it computes depthwise layers of one tap; write the name of a kernel")
        }
    }

    /// What it works in on the problems of its units.
    func memory(_ problems: [Problem], threads: Int) -> Kernel.Memory {
        switch self {
        case .layer(let candidate): candidate.kernel.memory(problems[0], candidate.configuration, threads)
        case .separable(let kernel, let configuration):
            kernel.memory(problems[0], problems[1], configuration, threads)
        case .epilogue: Kernel.Memory()
        }
    }

    /// `weights` and `bias` are one per problem.
    func plan(
        _ problems: [Problem], weights: [UnsafePointer<Float>], bias: [UnsafePointer<Float>],
        packed: UnsafeMutableRawPointer, scratch: UnsafeMutableRawPointer, pool: ThreadPool, dstStep: Int?, srcIsPart: Bool,
        srcChannelStep: Int?, dstChannelStep: Int?, following: Kernel.Following?
    ) -> Kernel.Plan {
        func inputs() -> Kernel.PlanInputs {
            Kernel.PlanInputs(
                weights: weights.last!, bias: bias.last!, packed: packed, scratch: scratch, pool: pool, dstStep: dstStep,
                srcIsPart: srcIsPart, srcChannelStep: srcChannelStep, dstChannelStep: dstChannelStep, following: following)
        }
        switch self {
        case .layer(let candidate): return candidate.kernel.plan(problems[0], candidate.configuration, inputs())
        case .separable(let kernel, let configuration):
            return kernel.plan(
                problems[0], problems[1], configuration,
                .init(depthwiseWeights: weights[0], depthwiseBias: bias[0], pointwise: inputs()))
        case .epilogue: return Kernel.Plan { _, _ in }
        }
    }
}

extension [BlockStage] {
    /// The number of the stage that reads the concatenation; nil where there is none.
    func concatenationReader(of units: [BlockUnit]) -> Int? { firstIndex { units[$0.units.lowerBound].inputs.count > 1 } }
}

/// A stage of a block: neighbouring units of its list, and what computes them.
package struct BlockStage: Sendable {
    /// Places in the block's list of units: one, or a depthwise unit and the pointwise unit that follows it.
    package let units: Range<Int>
    package let kernel: StageKernel
    /// Rows of the image that it computes at a time, in turn with the other stages that have a band, every thread bands of its own; nil
    /// where all threads compute the whole map at once.
    package let band: Int?
    /// The thread that computes it, counted from 0 and modulo the threads that there are, while others compute stages of other lanes; nil
    /// where all threads share it.
    package let lane: Int?

    package init(units: Range<Int>, kernel: StageKernel, band: Int? = nil, lane: Int? = nil) {
        precondition(units.count == kernel.unitCount, "\(kernel.name) computes \(kernel.unitCount) units")
        self.units = units
        self.kernel = kernel
        self.band = band
        self.lane = lane
    }

    /// Whether all threads compute its whole map at once.
    package var isShared: Bool { band == nil && lane == nil }

    /// What one run of its kernel computes: of one image where it has a band. Throws ``BlockError`` where the size does not fit.
    func problems(_ units: [BlockUnit], at size: BlockSize) throws(BlockError) -> [Problem] {
        let size = band.map { BlockSize(batch: 1, cin: size.cin, height: $0, width: size.width, cout: size.cout) } ?? size
        return try units[self.units].map { unit throws(BlockError) in try unit.problem(at: size) }
    }

    /// What its kernel works in, in a block of these units at a size. Throws ``BlockError`` where the size does not fit.
    package func memory(_ units: [BlockUnit], at size: BlockSize, threads: Int) throws(BlockError) -> Kernel.Memory {
        var memory = kernel.memory(try problems(units, at: size), threads: isShared ? threads : 1)
        if let band { memory.scratch = Bands(of: band, size: size, threads: threads).workers * AlignedMemory.rounded(memory.scratch) }
        return memory
    }
}
