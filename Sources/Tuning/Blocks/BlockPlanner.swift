import BlockRuntime
import ConvCore
import Harness
import KernelRegistry
import ThreadPool

/// Chooses the kernels of a block by measuring them where they will run: inside the block, behind their neighbours.
///
/// Whole blocks that differ in their kernels (one family throughout, tuned picks, separables fused) are proved right and run in
/// turn; from the fastest stages on, all move through their spaces; what follows the depthwise layers runs in bands, too, and branches side
/// by side. The median of each stage's time in its block is its cost. The cheapest way through units and
/// layouts (``LayoutPath``) is planned, proved, and run against all the others: what is then fastest is the plan.
package struct BlockPlanner {
    let parameters: BlockParameters
    let size: BlockSize
    let registry: KernelRegistry
    let pool: ThreadPool
    let seed: UInt64
    /// What a tuning store says of a layer.
    let tuned: (Problem) -> TunedChoice?
    /// Notices runs on threads that something else slowed down.
    let watch: DisturbanceWatch

    /// Without `throughput` a slow core goes unnoticed.
    package init(
        _ parameters: BlockParameters, size: BlockSize, registry: KernelRegistry, threads: Int, seed: UInt64, throughput: Throughput? = nil,
        tuned: @escaping (Problem) -> TunedChoice? = { _ in nil }
    ) {
        self.tuned = tuned
        self.parameters = parameters
        self.size = size
        self.registry = registry
        pool = ThreadPool(threads: threads, pinned: true)
        watch = DisturbanceWatch(pool, throughput)
        self.seed = seed
    }

    /// A block that was measured.
    package struct Rival: Sendable {
        package let name: String
        package let stages: [BlockStage]
        /// Of whole runs.
        package let samples: [Sample]
        package let summary: SampleSummary
        /// The largest |value − oracle| of any unit.
        package let maxError: Double
        package let memory: PlannedBlock.Memory
        /// The median of the ratio to the plan's run of the same round.
        package let ratio: Double

        init(_ proved: Proved, _ samples: [Sample], ratio: Double, seed: UInt64) {
            (name, maxError) = (proved.name, proved.maxError)
            (stages, memory) = (proved.block.stages, proved.block.memory)
            self.samples = samples
            self.ratio = ratio
            summary = SampleSummary(samples, seed: seed)
        }
    }

    package struct Outcome: Sendable {
        package internal(set) var plan: BlockPlan
        /// Sum of the stages and conversions as they were measured before the choice.
        package let predictedNs: Double
        /// Of the plan's whole runs.
        package let measuredNs: Double
        /// All that was measured, fastest first.
        package internal(set) var rivals: [Rival]
        /// What the plan's runs spend their time on, in order: each part's median, in lanes its share of the longest.
        package let parts: [(part: PlannedBlock.Part, ns: Double)]
        /// Of the plan.
        package let memory: PlannedBlock.Memory
        /// What maps and scratch should stay within, `[BlockUnit].memoryBound(at:)`.
        package let memoryBound: Int
        /// How often all was measured until sum and whole agreed.
        package internal(set) var attempts = 1
        package var fits: Bool { memory.fits(memoryBound) }
        /// Whether what was predicted is what the plan takes.
        package var agrees: Bool { abs(predictedNs / measuredNs - 1) <= BlockPlanner.agreement }
    }

    /// `naive`: the naive kernels, too, where a run of them is affordable. `progress` is told what is being done. Throws
    /// ``PlanningError`` where a kernel is wrong, `BlockError` where the memory is too small.
    package func choose(
        runs: Int = 15, machine: String = "", naive: Bool = false, progress: (String) -> Void = { _ in }
    ) throws -> Outcome {
        let units = parameters.units.map(\.unit)
        let variants = try variants(units)
        try requireMemory(variants, units)
        var random = RandomSource(seed: seed)
        let input = (0..<size.batch * size.cin * size.height * size.width).map { _ in random.nextReal() }
        progress("the oracle")
        // On all CPUs: threads that are started by a pinned one stay on its CPU.
        let check = try BlockCheck(parameters, size: size, input: input)
        return try ThreadPool.withPinnedCaller {
            let src = AlignedMemory(floats: input.count)
            src.floats.update(from: input, count: input.count)
            let dst = AlignedMemory(floats: size.batch * units.last!.oc * size.height * size.width)
            let timing = BlockTiming(input: src.floats, output: dst.floats, watch: watch, seed: seed)
            var blocks: [Proved] = []
            for (name, stages) in variants {
                progress(name)
                blocks.append(try proved(name, stages, check))
            }
            var tried: [StageCost] = []
            let bound = units.memoryBound(at: size)
            for (name, stages) in fastestStages(blocks, timing, tried: &tried) {
                progress("\(name), through their spaces")
                let climbed = try climbed(name, from: stages, check, timing, tried: &tried)
                var shared = try proved(name, climbed, check)
                blocks.append(shared)
                if let stages = try climbed.withEpilogue(units: units, size: size) {
                    let epilogue = try proved("\(name), epilogue", stages, check)
                    blocks.append(epilogue)
                    tried += costs(of: [epilogue.block], timing.parts(of: [epilogue.block], runs: 5).map { $0.map(Statistics.median) })
                    shared = fastest([shared, epilogue], timing)!
                }
                for best in try inBandsOrLanes(shared, check, timing) {
                    // Kernels of a band have few pixels at a time, those of a lane one thread: what is best for the whole map and all
                    // threads is not best for them.
                    progress("\(best.name), through their spaces")
                    let again = try self.climbed(best.name, from: best.block.stages, check, timing, tried: &tried)
                    blocks.append(fastest([best, try proved("\(best.name), climbed", again, check)], timing)!)
                }
            }
            let some = blocks.map(\.block).filter { $0.parts.contains { if case .conversion = $0 { true } else { false } } }.prefix(3)
            let perByte = conversionNsPerByte(Array(some), timing.parts(of: Array(some), runs: 5).map { $0.map(Statistics.median) })
            if blocks.count > variants.count {
                // The cheapest of all that was tried mixes what no climb has.
                let mixed = try route(tried.filter(\.stage.isShared), conversionNsPerByte: perByte, units: units, bound: bound)
                progress("mixed, in bands and lanes")
                blocks += try inBandsOrLanes(proved("mixed", mixed.stages, check), check, timing)
            }
            if !blocks[variants.count...].allSatisfy({ $0.block.hasBandsOrLanes || $0.block.memory.fits(bound) }) {
                // A climb asks for time alone. Of all that it tried, the fastest that holds no more memory than it may.
                for layout in Layout.allCases {
                    let own = tried.filter { $0.stage.isShared && $0.stage.works(in: layout, units) }
                    // A layout of which only the ends were tried makes no block.
                    let reached = Set(own.flatMap { Array($0.stage.units) })
                    guard reached.count == units.count else { continue }
                    let within = try route(own, conversionNsPerByte: perByte, units: units, bound: bound)
                    let frugal = try proved("climbed, within the memory, \(layout)", within.stages, check)
                    if frugal.block.memory.fits(bound) { blocks.append(frugal) }
                }
            }
            var outcome: Outcome
            var attempt = 0
            repeat {
                outcome = try measure(blocks, check, timing, runs: runs, machine: machine, progress: progress)
                attempt += 1
                // Stages and blocks are measured one after the other; where a neighbour came or went in between, they do not
                // speak of the same machine.
            } while !outcome.agrees && attempt < Self.attempts
            outcome.attempts = attempt
            if naive, let rival = try naiveRival(outcome, check, timing, progress: progress) { outcome.rivals.append(rival) }
            return outcome
        }
    }

    /// The blocks of one family throughout, or of fused separables, by the names of their rivals: what a plan has to beat.
    package static let families = ["all naive": "naive", "all im2col": "im2col", "all simd": "simd", "all tiled": "tiled", "fused": "fused"]
    /// Sum of stages against whole runs.
    package static let agreement = 0.1
    private static let attempts = 4

    typealias Proved = (name: String, block: PlannedBlock, maxError: Double)

    /// All that is alive at once: the variants; of three climbs each what it made, with an epilogue, in bands and in lanes; the mixed block in
    /// bands and in lanes; one of each layout within the memory; the plan. Beside them the blocks of a climb, or those of which one is
    /// taken, and one that is checked; the references of the check, 16 bytes a value.
    private func requireMemory(_ variants: [(String, [BlockStage])], _ units: [BlockUnit]) throws {
        let largest = try variants.map { try needs($0.1, units).total }.max() ?? 0
        let kept = variants.count + 3 * 4 + 2 + Layout.allCases.count + 1
        let beside = 2 + max(variants.flatMap { $0.1 }.map(\.moves.count).max() ?? 0, bandRows(units).count, Self.nearestLanes + 1)
        let references = try units.reduce(0) { try $0 + 16 * $1.problem(at: size).dstCount }
        try BlockError.requireMemory(largest * (kept + beside) + references)
    }

    func needs(_ stages: [BlockStage], _ units: [BlockUnit]) throws -> PlannedBlock.Memory {
        try PlannedBlock.memory(of: stages, units: units, size: size, threads: pool.threads)
    }

    /// Measures the stages of the blocks, plans, and measures the plan beside them.
    private func measure(
        _ variants: [Proved], _ check: BlockCheck, _ timing: BlockTiming, runs: Int, machine: String,
        progress: (String) -> Void
    ) throws -> Outcome {
        let units = parameters.units.map(\.unit)
        let bound = units.memoryBound(at: size)
        var blocks = variants
        progress("stages")
        let times = timing.parts(of: blocks.map(\.block), runs: runs)
        let parts = times.map { $0.map(Statistics.median) }
        var costs: [String: StageCost] = [:]
        for cost in self.costs(of: blocks.map(\.block), parts) where cost.ns < costs[cost.stage.key(isFollowed: cost.isFollowed)]?.ns ?? .infinity {
            costs[cost.stage.key(isFollowed: cost.isFollowed)] = cost
        }
        let perByte = conversionNsPerByte(blocks.map(\.block), parts)
        progress("the plan")
        // What a stage takes in bands or lanes hangs on the others being in them.
        let route = try route(costs.values.filter(\.stage.isShared), conversionNsPerByte: perByte, units: units, bound: bound)
        blocks.append(try proved("planned", route.stages, check))
        let samples = timing.samples(blocks.map(\.block), runs: runs)
        // A round's runs stand under the same conditions: what differs is compared within it.
        func ratio(_ a: Int, _ b: Int) -> Double { medianRatio(samples[a], samples[b]) }
        let planned = blocks.count - 1
        // Another is taken only where it is faster by more than the noise of a tie, and holds no more memory than it may.
        let able = blocks.indices.dropLast().filter { blocks[$0].block.memory.fits(bound) || !blocks[planned].block.memory.fits(bound) }
        let best = able.min { ratio($0, planned) < ratio($1, planned) } ?? planned
        // But a plan is no slower than what runs without one.
        let isBeaten = able.contains { Self.families[blocks[$0].name] != nil && ratio($0, planned) < 1 }
        let chosen = ratio(best, planned) < (isBeaten ? 1 : 0.99) ? best : planned
        let stages = blocks[chosen].block.stages
        let ns = zip(stages, stages.followed(in: units)).map { costs[$0.key(isFollowed: $1)]?.ns }
        var plan = try BlockPlan(stages, units: units, size: size, threads: pool.threads, ns: ns, machine: machine)
        // Equal lanes wait for each other in every run: the median of runs, not that of parts.
        let predicted = chosen == planned ? route.ns : Statistics.median((0..<runs).map { run in
            blocks[chosen].block.total(of: times[chosen].map { $0[run] })
        })
        plan.predictedNs = predicted
        let rivals = blocks.indices.map { Rival(blocks[$0], samples[$0], ratio: ratio($0, chosen), seed: seed) }
        let own = blocks[chosen].block.shares(of: timing.parts(of: [blocks[chosen].block], runs: runs)[0].map(Statistics.median))
        return Outcome(
            plan: plan, predictedNs: predicted, measuredNs: rivals[chosen].summary.medianNs, rivals: rivals.sorted { $0.ratio < $1.ratio },
            parts: Array(zip(blocks[chosen].block.parts, own)), memory: blocks[chosen].block.memory, memoryBound: bound)
    }

    /// What the stages of these blocks took, by block and part.
    func costs(of blocks: [PlannedBlock], _ parts: [[Double]]) -> [StageCost] {
        zip(blocks, parts).flatMap { block, times -> [StageCost] in
            let followed = Dictionary(
                uniqueKeysWithValues: zip(block.stages.map(\.units), block.stages.followed(in: parameters.units.map(\.unit))))
            return zip(block.parts, times).compactMap { part, ns in
                guard case .stage(let stage) = part else { return nil }
                return StageCost(stage: stage, ns: ns, isFollowed: followed[stage.units]!)
            }
        }
    }

    /// Of the copies between layouts, by what every part of the blocks took; 0 where there are none.
    private func conversionNsPerByte(_ blocks: [PlannedBlock], _ parts: [[Double]]) -> Double {
        var (ns, bytes) = (0.0, 0.0)
        // In bands the last part's time holds the wait for the other threads; in lanes one thread copies.
        for (block, times) in zip(blocks, parts) where !block.hasBandsOrLanes {
            for case (.conversion(let size), let time) in zip(block.parts, times) { (ns, bytes) = (ns + time, bytes + Double(size)) }
        }
        return bytes > 0 ? ns / bytes : 0
    }

    /// The cheapest way that holds no more memory than it may: while it holds more, the stage with the largest scratch, of those that run
    /// while more is alive, is given up for the next best. Copies between layouts take memory that no scratch can make up for, so ways of
    /// one layout stand beside it. Where no way is left, on a map so small that a kernel's scratch outgrows it, the cheapest of all.
    package func route(
        _ costs: [StageCost], conversionNsPerByte: Double, units: [BlockUnit], bound: Int
    ) throws -> LayoutPath.Route {
        func cheapest(_ costs: [StageCost]) -> LayoutPath.Route? {
            let byUnit = units.indices.map { unit in
                costs.filter { $0.stage.units.lowerBound == unit }.sorted { $0.stage.kernel.name < $1.stage.kernel.name }
            }
            return LayoutPath(units: units, size: size, costs: byUnit, conversionNsPerByte: conversionNsPerByte).best()
        }
        func cheapestWithin(_ costs: [StageCost]) throws -> LayoutPath.Route? {
            var left = costs
            while let route = cheapest(left) {
                let (memory, greedy) = try PlannedBlock.memory(
                    of: route.stages, units: units, size: size, threads: pool.threads, bound: bound)
                if memory.fits(bound) { return route }
                guard let greedy else { return nil }
                left.removeAll { $0.stage.key(isFollowed: false) == route.stages[greedy].key(isFollowed: false) }
            }
            return nil
        }
        let ofOneLayout = Layout.allCases.map { layout in costs.filter { $0.stage.works(in: layout, units) } }
        let within = try ([costs] + ofOneLayout).compactMap(cheapestWithin)
        guard let route = within.min(by: { $0.ns < $1.ns }) ?? cheapest(costs) else { throw PlanningError.noKernel }
        return route
    }

    /// More takes a minute, and says nothing that a smaller block does not.
    private static let affordableNaiveFLOPs = 2e9
    private static let naiveRuns = 3

    /// The block by naive kernels; nil where that would take too long. A handful of runs is enough: it is slower a hundred times.
    private func naiveRival(
        _ outcome: Outcome, _ check: BlockCheck, _ timing: BlockTiming, progress: (String) -> Void
    ) throws -> Rival? {
        let units = parameters.units.map(\.unit)
        let flops = try units.reduce(0.0) { try $0 + $1.problem(at: size).nominalFLOPs }
        guard flops <= Self.affordableNaiveFLOPs,
            let stages = try BlockPlan.stages(family: .naive, isa: "scalar", units: units, size: size, registry: registry)
        else { return nil }
        let name = "all \(Kernel.Family.naive.rawValue)"
        progress(name)
        let own = try proved(name, stages, check)
        let plan = try proved("planned", outcome.plan.stages(units: units, size: size, registry: registry), check)
        var samples: [[Sample]] = [[], []]
        for round in 0..<Self.naiveRuns {
            // The plan's caches are emptied by the naive run: it has one run more to fill them again.
            samples[0].append(timing.run(own.block, round: round))
            _ = timing.run(plan.block, round: round)
            samples[1].append(timing.run(plan.block, round: round))
        }
        return Rival(own, samples[0], ratio: medianRatio(samples[0], samples[1]), seed: seed)
    }

    /// The median over rounds of what one takes by what the other takes.
    func medianRatio(_ a: [Sample], _ b: [Sample]) -> Double { Statistics.median(zip(a, b).map { $0.ns / $1.ns }) }

    /// nil of none.
    func fastest(_ blocks: [Proved], _ timing: BlockTiming) -> Proved? {
        let times = timing.samples(blocks.map(\.block), runs: 5).map { SampleSummary($0, seed: seed).medianNs }
        return times.indices.min { times[$0] < times[$1] }.map { blocks[$0] }
    }

    /// Only what reproduces the oracle's activations is measured.
    func proved(_ name: String, _ stages: [BlockStage], _ check: BlockCheck) throws -> Proved {
        let block = try PlannedBlock(parameters, size: size, stages: stages, pool: pool)
        let deviations = check.deviations(block)
        if let bad = deviations.first(where: { !$0.passed }) { throw PlanningError.wrong(name, bad) }
        return (name, block, deviations.map(\.maxError).max() ?? 0)
    }
}

extension BlockStage {
    /// Its place and its kernel with the configuration: what a time is of.
    fileprivate func key(isFollowed: Bool) -> String { "\(units) \(kernel.name) \(band ?? 0) \(lane ?? -1) \(isFollowed)" }
}

package enum PlanningError: Error, CustomStringConvertible {
    case wrong(String, BlockCheck.Deviation)
    case noKernel

    package var description: String {
        switch self {
        case .wrong(let name, let bad):
            "the block '\(name)' is wrong: \(bad.unit)\(bad.index) is off by \(Float(bad.error)), tolerance \(Float(bad.tolerance)); not timed"
        case .noKernel: "some unit has no kernel here; `atrous verify --block` names the reason"
        }
    }
}
