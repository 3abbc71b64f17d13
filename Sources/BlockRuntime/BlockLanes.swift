import ConvCore

/// Branches side by side: a stage in a lane runs on one thread while other threads run the stages of other lanes. There is nothing to
/// wait for between the layers of a branch, and its maps stay in one core's private cache; a thread whose lane is short waits at the end.
/// On two threads of a Zen 5 that is up to 2.8 % faster for YOLOv5n's blocks, whose layers take some 10 µs, and even at best for those of s
/// to x: there whole branches and the residual layer, which is as long as two, do not come out even, and a part of them is shared.
extension [BlockStage] {
    /// What leads to each part of the concatenation and is read by nothing else: the numbers of the stages, by part. Empty where there is
    /// no concatenation.
    package func branches(of units: [BlockUnit]) -> [[Int]] {
        guard let reader = units.first(where: { $0.inputs.count > 1 }) else { return [] }
        return reader.inputs.compactMap { source in
            guard case .unit(let end) = source else { return nil }
            let way = Set(units.wayAlone(to: end))
            let own = indices.filter { way.contains(self[$0].units.lowerBound) }
            return own.isEmpty ? nil : own
        }
    }

    /// The same stages with some of their ``branches(of:)`` in lanes: by branch the lane, nil for those that all threads share.
    package func inLanes(_ lanes: [Int?], units: [BlockUnit]) -> [BlockStage] {
        var result = self
        for (branch, lane) in zip(branches(of: units), lanes) {
            for stage in branch { result[stage] = BlockStage(units: self[stage].units, kernel: self[stage].kernel, lane: lane) }
        }
        return result
    }

    /// Throws ``PlanError`` where a stage in a lane would have to wait for another lane, or others for it before the concatenation is read.
    func checkLanes(units: [BlockUnit]) throws(PlanError) {
        guard let first = first(where: { $0.lane != nil }) else { return }
        func refused(_ stage: BlockStage, _ reason: String) -> PlanError { .bandsOrLanes(unit: BlockPlan.unitText(units[stage.units]), reason) }
        guard allSatisfy({ $0.band == nil }) else { throw refused(first, "a plan has lanes or bands; leave one of the two empty") }
        let reader = concatenationReader(of: units) ?? 0
        for (index, stage) in enumerated() {
            guard index < reader else {
                guard stage.lane == nil else {
                    throw refused(stage, "only what comes before the concatenation runs in a lane; leave lane empty")
                }
                continue
            }
            for case .unit(let source) in units[stage.units.lowerBound].inputs {
                let maker = self[firstIndex { $0.units.contains(source) }!]
                guard let lane = maker.lane, lane != stage.lane else { continue }
                throw refused(
                    stage, "it reads \(BlockPlan.unitText(units[maker.units])), which is in lane \(lane); write \(lane) here, or nothing there")
            }
        }
    }
}

extension [BlockUnit] {
    /// A unit and what leads to it from the block's input, or from behind the last map that more than one unit reads.
    func wayAlone(to end: Int) -> [Int] {
        let readers = readers
        guard readers[end] == 1 else { return [] }
        var way = [end]
        while case .unit(let source) = self[way.last!].inputs[0], readers[source] == 1 { way.append(source) }
        return way
    }
}
