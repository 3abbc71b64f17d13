import ConvCore

/// One convolution of a block, with the batch norm and activation that follow it.
package struct BlockUnit: Sendable, Equatable {
    package enum Kind: String, Sendable {
        /// Depthwise; weights `[oc][1][kernel][kernel]`.
        case dw
        /// Pointwise; weights `[oc][ic][1][1]`.
        case pw
        /// Dense; weights `[oc][ic][kernel][kernel]`.
        case dense
    }

    /// Where a unit's input channels come from.
    package enum Source: Sendable, Equatable {
        /// The block's own input.
        case block
        /// The output of the unit at this place of the block's list, always an earlier one.
        case unit(Int)
    }

    /// The prefix of its names in a state_dict, such as `branches.0.pw`.
    package let name: String
    package let kind: Kind
    /// Input and output channels.
    package let ic, oc: Int
    /// Taps per side, and true dilation.
    package let kernel, dilation: Int
    /// What follows; `none` for a plain convolution.
    package let activation: Activation
    package let hasConvBias: Bool
    package let hasBatchNorm: Bool
    /// Concatenated along the channels in this order; more than one only where fuse reads.
    package let inputs: [Source]

    /// `[oc, ic / groups, kernel, kernel]`
    package var weightShape: [Int] { [oc, kind == .dw ? 1 : ic, kernel, kernel] }

    /// A plain convolution is not wrapped in a unit: `fuse.weight` beside `compress.conv.weight`.
    package var weightName: String { convPrefix + "weight" }
    /// nil where the convolution has no bias.
    package var biasName: String? { hasConvBias ? convPrefix + "bias" : nil }
    private var convPrefix: String { hasBatchNorm ? "\(name).conv." : "\(name)." }

    /// The batch norm's tensors, each `[oc]`: weight, bias, running mean, running variance; empty without batch norm.
    package var batchNormNames: [String] {
        hasBatchNorm ? ["weight", "bias", "running_mean", "running_var"].map { "\(name).bn.\($0)" } : []
    }

    /// Every tensor of the unit and its shape.
    package var tensors: [(name: String, shape: [Int])] {
        [(weightName, weightShape)] + ([biasName].compactMap(\.self) + batchNormNames).map { ($0, [oc]) }
    }

    /// The layer with batch norm folded, so with bias, named by the unit; only its own channels count, not those of `size`. Throws ``BlockError/problem(unit:_:)``.
    package func problem(at size: BlockSize) throws(BlockError) -> Problem {
        do {
            return try Problem.same(
                batch: size.batch, groups: kind == .dw ? ic : 1, ic: ic, oc: oc, height: size.height, width: size.width,
                kernel: kernel, dilation: dilation, bias: true, activation: activation, name: name)
        } catch {
            throw .problem(unit: name, error)
        }
    }
}

extension [BlockUnit] {
    /// The units that a unit reads side by side, and the channel at which each begins there.
    func slices(of reader: Int) -> [(source: Int, channel: Int)] {
        var result: [(source: Int, channel: Int)] = []
        var channel = 0
        for case .unit(let source) in self[reader].inputs {
            result.append((source, channel))
            channel += self[source].oc
        }
        return result
    }

    /// Of each unit, how many read its map.
    package var readers: [Int] {
        var result = [Int](repeating: 0, count: count)
        for unit in self {
            for case .unit(let source) in unit.inputs { result[source] += 1 }
        }
        return result
    }
}
