import BlockRuntime
import ConvCore
import Harness

/// Blocks in which threads have bands or lanes of their own, made of those whose stages all threads share.
extension BlockPlanner {
    /// The fastest in bands, and the fastest with branches side by side, of those that can be and come near.
    func inBandsOrLanes(_ shared: Proved, _ check: BlockCheck, _ timing: BlockTiming) throws -> [Proved] {
        let units = parameters.units.map(\.unit)
        let banded = try bandRows(units).compactMap { rows in
            try shared.block.stages.inBands(of: rows, units: units, size: size).map {
                try proved("\(shared.name), in bands of \(rows)", $0, check)
            }
        }
        return [fastest(banded, timing), try fastestInLanes(shared, check, timing)].compactMap(\.self)
    }

    /// The block with some of its branches in lanes, side by side, and the others shared; nil where no such block comes near.
    ///
    /// Every choice of branches is told by what they take shared and on a thread each beside others, each lane getting the longest that is
    /// left while it is the shortest (longest processing time first: Graham 1969); the nearest are measured.
    private func fastestInLanes(_ shared: Proved, _ check: BlockCheck, _ timing: BlockTiming) throws -> Proved? {
        let units = parameters.units.map(\.unit)
        let stages = shared.block.stages
        let branches = stages.branches(of: units)
        guard pool.threads > 1, (2...Self.mostBranches).contains(branches.count) else { return nil }
        func times(_ block: PlannedBlock, _ parts: [[Double]]) -> [Double] {
            branches.map { branch in
                zip(block.parts, parts).reduce(0) { sum, part in
                    guard case .stage(let stage) = part.0, branch.contains(where: { stages[$0].units == stage.units }) else { return sum }
                    return sum + Statistics.median(part.1)
                }
            }
        }
        let first = timing.parts(of: [shared.block], runs: 5)[0]
        let together = times(shared.block, first)
        let all = try proved(shared.name, stages.inLanes(lanes(together), units: units), check).block
        let alone = times(all, timing.parts(of: [all], runs: 5)[0])
        let rest = shared.block.total(of: first.map(Statistics.median)) - together.reduce(0, +)
        let bound = units.memoryBound(at: size)
        var choices: [(ns: Double, stages: [BlockStage])] = []
        for choice in 1..<1 << branches.count where choice.nonzeroBitCount > 1 {
            func isChosen(_ branch: Int) -> Bool { choice >> branch & 1 == 1 }
            let chosen = branches.indices.filter(isChosen)
            let own = lanes(chosen.map { alone[$0] })
            let longest = Set(own).map { lane in zip(chosen, own).reduce(0) { $1.1 == lane ? $0 + alone[$1.0] : $0 } }.max()!
            let left = branches.indices.reduce(0) { isChosen($1) ? $0 : $0 + together[$1] }
            let laned = stages.inLanes(branches.indices.map { chosen.firstIndex(of: $0).map { own[$0] } }, units: units)
            // A lane's maps are there beside the other's.
            guard try needs(laned, units).fits(bound) || !shared.block.memory.fits(bound) else { continue }
            choices.append((rest + left + longest, laned))
        }
        let near = choices.sorted { $0.ns < $1.ns }.prefix(Self.nearestLanes)
        guard !near.isEmpty else { return nil }
        let laned = try near.map { try proved("\(shared.name), branches side by side", $0.stages, check) }
        let (base, own) = { ($0[0], $0[1...]) }(timing.samples([shared.block] + laned.map(\.block), runs: 5))
        let ratios = own.map { medianRatio($0, base) }
        return ratios.indices.min { ratios[$0] < ratios[$1] }.flatMap { ratios[$0] < Self.withinReach ? laned[$0] : nil }
    }
    /// So many choices of branches are measured.
    static let nearestLanes = 3
    /// A climb may gain so much on it.
    private static let withinReach = 1.05
    /// With more there would be thousands of choices.
    private static let mostBranches = 10

    /// Of each of these times the thread that it goes to.
    private func lanes(_ times: [Double]) -> [Int] {
        var loads = [Double](repeating: 0, count: pool.threads)
        var result = [Int](repeating: 0, count: times.count)
        for index in times.indices.sorted(by: { times[$0] > times[$1] }) {
            result[index] = loads.indices.min { loads[$0] < loads[$1] }!
            loads[result[index]] += times[index]
        }
        return result
    }

    /// Rows of a band: so many that its concatenation takes between a sixteenth of what most private caches hold and a little more than
    /// that, and there are several.
    func bandRows(_ units: [BlockUnit]) -> [Int] {
        let rowBytes = 4 * size.width * (units.first { $0.inputs.count > 1 }?.ic ?? 0)
        return [1, 2, 4, 8, 16].filter { rows in
            (64 << 10...1500 << 10).contains(rows * rowBytes) && 2 * rows <= size.height
                // With less than a band for each some threads would stand by.
                && size.batch * (size.height / rows) >= pool.threads
        }
    }
}
