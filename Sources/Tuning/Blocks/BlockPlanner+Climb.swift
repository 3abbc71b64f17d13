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
            // A block's parts are its stages and the conversions between them, the same in all: in the order of the units, those in bands
            // last.
            let places = blocks[0].parts.indices.filter { if case .stage = blocks[0].parts[$0] { true } else { false } }
            let slots = best.indices.filter { best[$0].band == nil } + best.indices.filter { best[$0].band != nil }
            for (slot, part) in zip(slots, places) {
                for (block, stages) in variants.enumerated() {
                    costs.append(StageCost(stage: stages[slot], ns: Statistics.median(times[block][part])))
                }
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
    /// With another value of a single parameter: a step down, a step up, the least, the greatest.
    var moves: [BlockStage] {
        switch kernel {
        case .layer(let candidate):
            candidate.kernel.space.moves(from: candidate.configuration).map {
                BlockStage(units: units, kernel: .layer(Candidate(candidate.kernel, $0)), band: band)
            }
        case .separable(let kernel, let configuration):
            kernel.space.moves(from: configuration).map { BlockStage(units: units, kernel: .separable(kernel, $0), band: band) }
        }
    }
}
