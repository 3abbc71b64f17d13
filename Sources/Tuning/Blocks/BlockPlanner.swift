import BlockRuntime
import ConvCore
import Harness
import KernelRegistry
import ThreadPool

/// Chooses the kernels of a block by measuring them where they will run: inside the block, behind their neighbours.
///
/// Whole blocks that differ in their kernels (one family throughout, tuned picks, separables fused) are proved right and run in
/// turn; from the fastest stages on, all move through their spaces. The median of each stage's time in its block is its cost. The cheapest way through units and
/// layouts (``LayoutPath``) is planned, proved, and run against all the others: what is then fastest is the plan.
public struct BlockPlanner {
    let parameters: BlockParameters
    let size: BlockSize
    let registry: KernelRegistry
    let pool: ThreadPool
    let seed: UInt64
    /// What a tuning store says of a layer.
    let tuned: (Problem) -> TunedChoice?

    public init(
        _ parameters: BlockParameters, size: BlockSize, registry: KernelRegistry, pool: ThreadPool, seed: UInt64,
        tuned: @escaping (Problem) -> TunedChoice? = { _ in nil }
    ) {
        self.tuned = tuned
        self.parameters = parameters
        self.size = size
        self.registry = registry
        self.pool = pool
        self.seed = seed
    }

    /// A block that was measured.
    public struct Rival: Sendable {
        public let name: String
        public let stages: [BlockStage]
        /// Of whole runs.
        public let samplesNs: [Double]
        public var medianNs: Double { Statistics.median(samplesNs) }
        /// The largest |value − oracle| of any unit.
        public let maxError: Double
        public let memory: PlannedBlock.Memory
        /// The median of the ratio to the plan's run of the same round.
        public let ratio: Double
    }

    public struct Outcome: Sendable {
        public let plan: BlockPlan
        /// Sum of the stages and conversions as they were measured before the choice.
        public let predictedNs: Double
        /// Of the plan's whole runs.
        public let measuredNs: Double
        /// All that was measured, fastest first.
        public let rivals: [Rival]
        /// What the plan's runs spend their time on, in order: each part's median.
        public let parts: [(part: PlannedBlock.Part, ns: Double)]
    }

    /// `progress` is told what is being done. Throws ``PlanningError`` where a kernel is wrong.
    public func choose(runs: Int = 15, machine: String = "", progress: (String) -> Void = { _ in }) throws -> Outcome {
        var random = RandomSource(seed: seed)
        let input = (0..<size.batch * size.cin * size.height * size.width).map { _ in random.nextReal() }
        progress("the oracle")
        let check = try BlockCheck(parameters, size: size, input: input)
        let units = parameters.units.map(\.unit)
        let src = AlignedMemory(floats: input.count)
        src.floats.update(from: input, count: input.count)
        let dst = AlignedMemory(floats: size.batch * units.last!.oc * size.height * size.width)
        let timing = BlockTiming(input: src.floats, output: dst.floats, seed: seed)

        var blocks: [Proved] = []
        for (name, stages) in try variants(units) {
            progress(name)
            blocks.append(try proved(name, stages, check))
        }
        for (name, stages) in fastestStages(blocks, timing) {
            progress("\(name), through their spaces")
            let climbed = try climbed(name, from: stages, check, timing)
            blocks.append(try proved(name, climbed, check))
        }
        var outcome: Outcome
        var attempt = 0
        repeat {
            outcome = try measure(blocks, check, timing, runs: runs, machine: machine, progress: progress)
            attempt += 1
            // Stages and blocks are measured one after the other; where a neighbour came or went in between, they do not
            // speak of the same machine.
        } while abs(outcome.predictedNs / outcome.measuredNs - 1) > Self.agreement && attempt < Self.attempts
        return outcome
    }

    /// Sum of stages against whole runs.
    private static let agreement = 0.1
    private static let attempts = 4

    typealias Proved = (name: String, block: PlannedBlock, maxError: Double)

    /// Measures the stages of the blocks, plans, and measures the plan beside them.
    private func measure(
        _ variants: [Proved], _ check: BlockCheck, _ timing: BlockTiming, runs: Int, machine: String,
        progress: (String) -> Void
    ) throws -> Outcome {
        let units = parameters.units.map(\.unit)
        var blocks = variants
        progress("stages")
        let parts = timing.parts(of: blocks.map(\.block), runs: runs).map { $0.map(Statistics.median) }
        var conversion: (ns: Double, bytes: Double) = (0, 0)
        var costs: [String: StageCost] = [:]
        for (block, ns) in zip(blocks.map(\.block), parts) {
            for (part, ns) in zip(block.parts, ns) {
                switch part {
                case .conversion(let bytes): conversion = (conversion.ns + ns, conversion.bytes + Double(bytes))
                case .stage(let stage):
                    let key = "\(stage.units) \(stage.kernel.name)"
                    if ns < costs[key]?.ns ?? .infinity { costs[key] = StageCost(stage: stage, ns: ns) }
                }
            }
        }
        let byUnit = units.indices.map { unit in
            costs.values.filter { $0.stage.units.lowerBound == unit }.sorted { $0.stage.kernel.name < $1.stage.kernel.name }
        }
        let perByte = conversion.bytes > 0 ? conversion.ns / conversion.bytes : 0
        guard let route = LayoutPath(units: units, size: size, costs: byUnit, conversionNsPerByte: perByte).best() else {
            throw PlanningError.noKernel
        }
        progress("the plan")
        blocks.append(try proved("planned", route.stages, check))
        let samples = timing.samples(blocks.map(\.block), runs: runs)
        // A round's runs stand under the same conditions: what differs is compared within it.
        let medians = samples.map(Statistics.median)
        func ratio(_ a: Int, _ b: Int) -> Double { Statistics.median(zip(samples[a], samples[b]).map { $0 / $1 }) }
        let planned = blocks.count - 1
        // Another is taken only where it is faster by more than the noise of a tie.
        let best = blocks.indices.dropLast().min { ratio($0, planned) < ratio($1, planned) } ?? planned
        let chosen = ratio(best, planned) < 0.99 ? best : planned
        let stages = blocks[chosen].block.stages
        let ns = stages.map { costs["\($0.units) \($0.kernel.name)"]?.ns }
        var plan = try BlockPlan(stages, units: units, size: size, threads: pool.threads, ns: ns, machine: machine)
        let predicted = chosen == planned ? route.ns : parts[chosen].reduce(0, +)
        plan.predictedNs = predicted
        let rivals = blocks.indices.map {
            Rival(
                name: blocks[$0].name, stages: blocks[$0].block.stages, samplesNs: samples[$0],
                maxError: blocks[$0].maxError, memory: blocks[$0].block.memory, ratio: ratio($0, chosen))
        }
        let own = timing.parts(of: [blocks[chosen].block], runs: runs)[0].map(Statistics.median)
        return Outcome(
            plan: plan, predictedNs: predicted, measuredNs: medians[chosen], rivals: rivals.sorted { $0.ratio < $1.ratio },
            parts: Array(zip(blocks[chosen].block.parts, own)))
    }

    /// Where to climb from: of the blocks of tiled kernels, every unit's fastest single stage, and of those with fused separables the
    /// fastest of either.
    private func fastestStages(_ blocks: [Proved], _ timing: BlockTiming) -> [(name: String, stages: [BlockStage])] {
        let climbing = blocks.filter { $0.block.stages.allSatisfy { $0.kernel.layout == .nhwc } }
        let times = timing.parts(of: climbing.map(\.block), runs: 5)
        var fastest: [Range<Int>: (stage: BlockStage, ns: Double)] = [:]
        for (one, times) in zip(climbing, times) {
            for (part, samples) in zip(one.block.parts, times) {
                guard case .stage(let stage) = part else { continue }
                let ns = Statistics.median(samples)
                if ns < fastest[stage.units]?.ns ?? .infinity { fastest[stage.units] = (stage, ns) }
            }
        }
        return [("tiled, climbed", 1), ("fused, climbed", 2)].compactMap { name, most in
            guard let shape = climbing.first(where: { $0.block.stages.map(\.units.count).max() == most })?.block.stages else { return nil }
            return (name, shape.map { fastest[$0.units]!.stage })
        }
    }

    /// Only what reproduces the oracle's activations is measured.
    func proved(_ name: String, _ stages: [BlockStage], _ check: BlockCheck) throws -> Proved {
        let block = try PlannedBlock(parameters, size: size, stages: stages, pool: pool)
        let deviations = check.deviations(block)
        if let bad = deviations.first(where: { !$0.passed }) { throw PlanningError.wrong(name, bad) }
        return (name, block, deviations.map(\.maxError).max() ?? 0)
    }

    /// Whole blocks whose stages are tried: single families without fusion, each tiled kernel, tuned picks, separables fused.
    private func variants(_ units: [BlockUnit]) throws -> [(String, [BlockStage])] {
        let isa = registry.level.rawValue
        var result: [(String, [BlockStage])] = []
        for (family, isa) in [(Kernel.Family.im2col, "openblas"), (.simd, isa), (.tiled, isa)] {
            if let stages = try BlockPlan.stages(family: family, isa: isa, units: units, size: size, registry: registry) {
                result.append(("all \(family.rawValue)", stages))
            }
        }
        guard let tiled = try BlockPlan.stages(family: .tiled, isa: isa, units: units, size: size, registry: registry),
            let fused = try BlockPlan.fusedStages(isa: isa, units: units, size: size, registry: registry)
        else { return result }
        result.append(("fused", fused))
        let problems = try units.map { try $0.problem(at: size) }
        // Every other tiled kernel in its turn: units that have fewer stay with their last.
        let tiledKernels = problems.map { registry.split(for: $0).able.filter { $0.family == .tiled && $0.isa == isa } }
        for turn in 1..<max(2, tiledKernels.map(\.count).max() ?? 0) {
            result.append(
                ("tiled, kernels \(turn + 1)", tiled.map { stage in
                    let able = tiledKernels[stage.units.lowerBound]
                    return BlockStage(units: stage.units, kernel: .layer(Candidate(able[min(turn, able.count - 1)])))
                }))
        }
        // What a tuner picked for the very layer, or for the nearest; where it knows nothing, the kernel stays.
        for exact in [true, false] {
            result.append(
                (exact ? "tuned" : "tuned, nearest shapes", tiled.map { stage in
                    guard let choice = tuned(problems[stage.units.lowerBound]), choice.source.isExact || !exact, choice.expectedLoss != nil
                    else { return stage }
                    return BlockStage(units: stage.units, kernel: .layer(choice.candidate))
                }))
        }
        result.append(
            ("tuned, fused", try fused.map { stage in
                guard case .separable(let kernel, _) = stage.kernel, let whole = try units.separable(at: stage.units.lowerBound, size: size),
                    let choice = tuned(whole), choice.candidate.kernel.name == kernel.name
                else { return stage }
                return BlockStage(units: stage.units, kernel: .separable(kernel, choice.candidate.configuration))
            }))
        var seen: Set<String> = []
        return result.filter { seen.insert($0.1.map(\.kernel.name).joined(separator: " ")).inserted }
    }
}

public enum PlanningError: Error, CustomStringConvertible {
    case wrong(String, BlockCheck.Deviation)
    case noKernel

    public var description: String {
        switch self {
        case .wrong(let name, let bad):
            "the block '\(name)' is wrong: \(bad.unit)\(bad.index) is off by \(Float(bad.error)), tolerance \(Float(bad.tolerance)); not timed"
        case .noKernel: "some unit has no kernel here; `atrous verify --block` names the reason"
        }
    }
}
