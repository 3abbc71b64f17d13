import BlockRuntime
import ConvCore

/// What one stage may be computed by, and what that takes.
package struct StageCost {
    package let stage: BlockStage
    package let ns: Double
    /// Whether it computed the unit behind it in its epilogue meanwhile.
    package let isFollowed: Bool

    package init(stage: BlockStage, ns: Double, isFollowed: Bool = false) {
        self.stage = stage
        self.ns = ns
        self.isFollowed = isFollowed
    }
}

/// The cheapest way through a block: for every unit a kernel, so that the *sum* of the stages and of the conversions
/// between their layouts is least. A map that is read several times is converted once.
///
/// Exact: dynamic programming over the units in order. What the past means for the future is in which layouts the block's
/// input, the map behind compress and the last unit's map are there, and in which the concatenation is built, and whether what reads that is
/// computed in the epilogues of those that end there.
package struct LayoutPath {
    let units: [BlockUnit]
    let batch, pixels: Int
    /// Stages by the unit that they begin with.
    let costs: [[StageCost]]
    /// Of a copy between layouts, per byte that is read and written.
    let conversionNsPerByte: Double

    package struct Route {
        package let stages: [BlockStage]
        /// Stages and conversions.
        package let ns: Double
    }

    /// Layouts by ``bit(_:)``.
    private struct State: Hashable {
        var unit: Int
        var input: Int
        /// The unit that several read; its layouts.
        var trunk: Int
        var last: Int
    }

    /// nil where some unit has no stage.
    package func best() -> Route? {
        var best: Route?
        for (layout, inEpilogues) in Layout.allCases.map({ ($0, false) }) + [(.nhwc, true)] {
            let concatenation = Concatenation(layout: layout, inEpilogues: inEpilogues)
            var memo: [State: (ns: Double, choice: BlockStage)?] = [:]
            let start = State(unit: 0, input: Self.bit(.nchw), trunk: 0, last: 0)
            guard let ns = cheapest(start, concatenation, &memo), best == nil || ns < best!.ns else { continue }
            var stages: [BlockStage] = []
            var state = start
            while state.unit < units.count, let choice = memo[state]??.choice {
                stages.append(choice)
                state = step(state, choice, concatenation).state
            }
            best = Route(stages: stages, ns: ns)
        }
        return best
    }

    /// How it is built, and whether its reader is computed in the epilogues of those that end there.
    private struct Concatenation {
        let layout: Layout
        let inEpilogues: Bool
    }

    private func cheapest(
        _ state: State, _ concatenation: Concatenation, _ memo: inout [State: (ns: Double, choice: BlockStage)?]
    ) -> Double? {
        guard state.unit < units.count else { return 0 }
        if let known = memo[state] { return known?.ns }
        var best: (ns: Double, choice: BlockStage)?
        for cost in costs[state.unit] where units.part(of: state.unit, notIn: cost.stage.kernel.srcLayout) == nil {
            guard fits(cost, concatenation) else { continue }
            let (next, conversions) = step(state, cost.stage, concatenation)
            guard let rest = cheapest(next, concatenation, &memo) else { continue }
            let ns = cost.ns + conversions + rest
            if best == nil || ns < best!.ns { best = (ns, cost.stage) }
        }
        memo[state] = .some(best)
        return best?.ns
    }

    private func fits(_ cost: StageCost, _ concatenation: Concatenation) -> Bool {
        let ends = concatenated.contains(cost.stage.units.upperBound - 1)
        let reads = units[cost.stage.units.lowerBound].inputs.count > 1
        return cost.isFollowed == (ends && concatenation.inEpilogues) && cost.stage.kernel.isEpilogue == (reads && concatenation.inEpilogues)
    }

    /// The state behind a stage, and the nanoseconds of the conversions that it needs.
    private func step(_ state: State, _ stage: BlockStage, _ concatenation: Concatenation) -> (state: State, conversions: Double) {
        var next = state
        next.unit = stage.units.upperBound
        var ns = 0.0
        let (layout, srcLayout) = (stage.kernel.layout, stage.kernel.srcLayout)
        let (bit, srcBit) = (Self.bit(layout), Self.bit(srcLayout))
        let first = units[stage.units.lowerBound]
        if first.inputs.count > 1 {
            if srcLayout != concatenation.layout { ns += conversion(first.ic) }
        } else {
            switch first.inputs[0] {
            case .block:
                if state.input & srcBit == 0 { ns += conversion(first.ic) }
                next.input |= srcBit
            case .unit(trunkUnit):
                if state.trunk & srcBit == 0 { ns += conversion(first.ic) }
                next.trunk |= srcBit
            case .unit:
                if state.last & srcBit == 0 { ns += conversion(first.ic) }
            }
        }
        let lastUnit = stage.units.upperBound - 1
        let channels = units[lastUnit].oc
        next.last = bit
        if lastUnit == trunkUnit { next.trunk = bit }
        if concatenated.contains(lastUnit) {
            let direct = layout == concatenation.layout && (layout == .nhwc ? stage.kernel.stridesDst : batch == 1)
            if !direct { ns += conversion(channels) }
        } else if lastUnit == units.count - 1, layout != .nchw {
            ns += conversion(channels)
        }
        return (next, ns)
    }

    private func conversion(_ channels: Int) -> Double { Double(8 * channels * batch * pixels) * conversionNsPerByte }

    private static func bit(_ layout: Layout) -> Int { 1 << Layout.allCases.firstIndex(of: layout)! }

    /// The unit that more than one other reads; −1 where there is none.
    private let trunkUnit: Int
    private let concatenated: Set<Int>

    package init(units: [BlockUnit], size: BlockSize, costs: [[StageCost]], conversionNsPerByte: Double) {
        self.units = units
        batch = size.batch
        pixels = size.height * size.width
        self.costs = costs
        self.conversionNsPerByte = conversionNsPerByte
        var concatenated: Set<Int> = []
        for unit in units where unit.inputs.count > 1 {
            for case .unit(let index) in unit.inputs { concatenated.insert(index) }
        }
        trunkUnit = units.readers.firstIndex { $0 > 1 } ?? -1
        self.concatenated = concatenated
    }
}
