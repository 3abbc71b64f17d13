import BlockRuntime
import ConvCore
import Harness

extension BlockPlanner {
    /// Generations of a climb, and counted runs of each block in one: a step is taken on the median ratio within rounds, and what it
    /// leads to is measured with the other variants again.
    private static let generations = 2
    private static let climbRuns = 5
    /// A smaller gain than this is noise.
    private static let leastGain = 0.01

    /// Where to climb from: of the blocks of tiled kernels, every unit's fastest single stage, of those with fused separables the
    /// fastest of either, and of those in blocks of channels the fastest. What every stage took goes into `tried`.
    func fastestStages(
        _ blocks: [Proved], _ timing: BlockTiming, tried costs: inout [StageCost]
    ) -> [(name: String, stages: [BlockStage])] {
        let units = parameters.units.map(\.unit)
        var result: [(name: String, stages: [BlockStage])] = []
        for (layout, shapes) in [(Layout.nhwc, [("tiled, climbed", 1), ("fused, climbed", 2)]), (.nchw16c, [("blocked, climbed", 1)])] {
            let climbing = blocks.filter { $0.block.stages.allSatisfy { $0.works(in: layout, units) } }
            var fastest: [Range<Int>: (stage: BlockStage, ns: Double)] = [:]
            // Those that read planes and write them at the block's ends, and the copies that they save.
            var (head, end) = (fastest, fastest)
            var (headCopy, endCopy) = (Double.infinity, Double.infinity)
            func keep(_ stage: BlockStage, _ ns: Double, in stages: inout [Range<Int>: (stage: BlockStage, ns: Double)]) {
                if ns < stages[stage.units]?.ns ?? .infinity { stages[stage.units] = (stage, ns) }
            }
            for (one, times) in zip(climbing, timing.parts(of: climbing.map(\.block), runs: 5)) {
                for (index, (part, samples)) in zip(one.block.parts, times).enumerated() {
                    let ns = Statistics.median(samples)
                    if case .stage(let stage) = part { costs.append(StageCost(stage: stage, ns: ns)) }
                    switch part {
                    case .conversion where index == 0: headCopy = min(headCopy, ns)
                    case .conversion where index == times.count - 1: endCopy = min(endCopy, ns)
                    case .conversion: break
                    case .stage(let stage) where stage.kernel.srcLayout != layout: keep(stage, ns, in: &head)
                    case .stage(let stage) where stage.kernel.layout != layout: keep(stage, ns, in: &end)
                    case .stage(let stage): keep(stage, ns, in: &fastest)
                    }
                }
            }
            for (stages, copy) in [(head, headCopy), (end, endCopy)] {
                func total(_ of: [Range<Int>: (stage: BlockStage, ns: Double)]) -> Double { stages.keys.reduce(0) { $0 + (of[$1]?.ns ?? .infinity) } }
                if total(stages) < total(fastest) + copy { fastest.merge(stages) { $1 } }
            }
            for (name, most) in shapes {
                guard let shape = climbing.first(where: { $0.block.stages.map(\.units.count).max() == most })?.block.stages else { continue }
                // What reads or writes planes is a stage of its own, where that pays.
                result.append((name, shape.flatMap { stage in
                    let whole = fastest[stage.units]!
                    let single = stage.units.compactMap { fastest[$0..<$0 + 1] }
                    let copy = stage.units.upperBound == units.count ? endCopy : headCopy
                    let pays = single.contains { $0.stage.isEndInPlanes(of: units) } && single.reduce(0) { $0 + $1.ns } < whole.ns + copy
                    return pays ? single.map(\.stage) : [whole.stage]
                }))
            }
        }
        return result
    }

    /// These stages, each moved through its kernel's space to where it runs fastest in this block, behind its neighbours.
    ///
    /// In a generation every stage tries another of its moves in each block, all stages at once: what a stage takes hangs on its
    /// neighbours' kernels far less than on its own. `start` must be proved. What every stage took that was tried goes into `tried`.
    func climbed(
        _ name: String, from start: [BlockStage], _ check: BlockCheck, _ timing: BlockTiming, tried costs: inout [StageCost]
    ) throws -> [BlockStage] {
        var best = start
        var tried = start.map { [$0.kernel.name] as Set }
        for _ in 0..<Self.generations {
            let moves = best.indices.map { slot in best[slot].moves.filter { tried[slot].insert($0.kernel.name).inserted } }
            let turns = moves.map(\.count).max() ?? 0
            guard turns > 0 else { break }
            let variants = [best] + (0..<turns).map { turn in
                best.indices.map { slot in turn < moves[slot].count ? moves[slot][turn] : best[slot] }
            }
            let blocks = try variants.map { try proved("\(name), a step", $0, check).block }
            let times = timing.parts(of: blocks, runs: Self.climbRuns)
            costs += self.costs(of: blocks, times.map { $0.map(Statistics.median) })
            // A block's parts are its stages and the conversions between them, the same in all.
            for (part, run) in blocks[0].parts.enumerated() {
                guard case .stage(let stage) = run else { continue }
                let slot = best.firstIndex { $0.units == stage.units }!
                let gains = (1...turns).filter { $0 <= moves[slot].count }.map { block in
                    (gain: Statistics.median(zip(times[block][part], times[0][part]).map { $0 / $1 }), stage: moves[slot][block - 1])
                }
                if let step = gains.min(by: { $0.gain < $1.gain }), step.gain < 1 - Self.leastGain { best[slot] = step.stage }
            }
        }
        return best
    }
}

extension BlockStage {
    /// Whether it works in a layout, and turns over at most the block's ends.
    func works(in layout: Layout, _ units: [BlockUnit]) -> Bool {
        kernel.srcLayout == layout && kernel.layout == layout || layout == .nhwc && isEndInPlanes(of: units)
    }

    /// With another value of a single parameter: a step down, a step up, the least, the greatest.
    var moves: [BlockStage] {
        switch kernel {
        case .layer(let candidate):
            candidate.kernel.space.moves(from: candidate.configuration).map {
                BlockStage(units: units, kernel: .layer(Candidate(candidate.kernel, $0)), band: band, lane: lane)
            }
        case .separable(let kernel, let configuration):
            kernel.space.moves(from: configuration).map { BlockStage(units: units, kernel: .separable(kernel, $0), band: band, lane: lane) }
        case .epilogue: []
        }
    }
}
