import ConvCore

/// A depthwise unit of one tap computed before what it reads is written: a factor, a bias and an activation more in the epilogue of the
/// kernels that make it. Behind the concatenation that saves a pass over the largest map of the block: on a Zen 5 `fuse.dw` of rfb at
/// 128×80×80 took 140 of 7400 µs in bands of 8 rows, and costs 25 µs more in the four layers before it (ReLU); with SiLU, whose division
/// both ways take, a third of its 340 µs is gained.
extension [BlockStage] {
    /// The same, where the unit that reads the concatenation can be computed so; nil where it cannot.
    package func withEpilogue(units: [BlockUnit], size: BlockSize) throws -> [BlockStage]? {
        guard let reader = concatenationReader(of: units), self[reader].units.count == 1 else { return nil }
        var result = self
        result[reader] = BlockStage(units: self[reader].units, kernel: .epilogue, band: self[reader].band, lane: self[reader].lane)
        guard case .yes = StageKernel.epilogue.supports(result[reader].units, of: units, try result[reader].problems(units, at: size)),
            try result.reason(againstEpilogue: reader, units: units, size: size) == nil
        else { return nil }
        return result
    }

    /// Of each stage the one that it computes in its epilogue, and the channel at which its own begin there; nil of others.
    func followers(of units: [BlockUnit]) -> [(stage: Int, channel: Int)?] {
        var result = [(stage: Int, channel: Int)?](repeating: nil, count: count)
        for (follower, stage) in enumerated() where stage.kernel.isEpilogue {
            for (source, channel) in units.slices(of: stage.units.lowerBound) {
                if let maker = firstIndex(where: { $0.units.contains(source) }) { result[maker] = (follower, channel) }
            }
        }
        return result
    }

    /// Of each stage, whether it computes another in its epilogue.
    package func followed(in units: [BlockUnit]) -> [Bool] { followers(of: units).map { $0 != nil } }

    /// Throws ``PlanError`` where a unit cannot be computed in the epilogues of what it reads.
    func checkEpilogues(units: [BlockUnit], size: BlockSize) throws {
        for index in indices where self[index].kernel.isEpilogue {
            guard let reason = try reason(againstEpilogue: index, units: units, size: size) else { continue }
            throw PlanError.unsupported(unit: BlockPlan.unitText(units[self[index].units]), kernel: self[index].kernel.name, reason)
        }
    }

    private func reason(againstEpilogue index: Int, units: [BlockUnit], size: BlockSize) throws -> String? {
        let unit = self[index].units.lowerBound
        // What it writes must be the very map that it reads.
        guard unit < units.count - 1 else { return "the block ends with it; write a kernel of its own" }
        if let reader = units.first(where: { $0.inputs.count > 1 && $0.inputs.contains(.unit(unit)) }) {
            return "it ends in the concatenation that \(reader.name) reads; write a kernel of its own"
        }
        let readers = units.readers
        for source in units[unit].inputs {
            guard case .unit(let source) = source else { return "it reads the block's input, which no kernel makes" }
            let maker = self[firstIndex { $0.units.contains(source) }!]
            guard maker.units.upperBound == source + 1, readers[source] == 1 else {
                return "\(units[source].name), which it reads, others read, too; write a kernel of its own"
            }
            if case .no(let reason) = maker.kernel.appliesFollowing(try maker.problems(units, at: size)) {
                return "\(maker.kernel.name), which makes \(units[source].name), cannot: \(reason); write another there, or a kernel of its own here"
            }
        }
        return nil
    }
}
