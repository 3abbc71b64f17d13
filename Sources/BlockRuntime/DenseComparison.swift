import ConvCore

/// A separable beside the dense convolution that it replaces: same input, output, kernel, dilation and activation.
package struct DenseComparison: Sendable {
    /// The separable's prefix, such as `branches.0`.
    package let name: String
    /// The depthwise and the pointwise layer.
    package let separable: [Problem]
    /// One k×k convolution from the same input to the same output channels, named `<name>-dense`.
    package let dense: Problem

    package var separableParameters: Int { separable.reduce(0) { $0 + $1.parameters } }
    package var denseParameters: Int { dense.parameters }
    /// Multiply-adds with every tap counted.
    package var separableNominalMACs: Double { separable.reduce(0) { $0 + $1.nominalMACs } }
    package var denseNominalMACs: Double { dense.nominalMACs }
    /// Multiply-adds whose tap meets the image.
    package var separableEffectiveMACs: Double { separable.reduce(0) { $0 + $1.effectiveMACs } }
    package var denseEffectiveMACs: Double { dense.effectiveMACs }
}

extension BlockDescription {
    /// One entry per separable of the branches, in their order.
    package func denseComparison(size: BlockSize) throws(BlockError) -> [DenseComparison] {
        var result: [DenseComparison] = []
        let units = try units(cin: size.cin, cout: size.cout)
        for (dw, pw) in zip(units, units.dropFirst())
        where dw.kind == .dw && dw.name.hasPrefix("branches.") {
            let name = String(dw.name.dropLast(".dw".count))
            func problem(_ unit: BlockUnit) throws(BlockError) -> Problem {
                try unit.problem(at: size)
            }
            let dense = BlockUnit(
                name: "\(name)-dense", kind: .dense, ic: dw.ic, oc: pw.oc, kernel: dw.kernel, dilation: dw.dilation,
                activation: pw.activation, hasConvBias: true, hasBatchNorm: false, inputs: dw.inputs)
            result.append(
                DenseComparison(name: name, separable: [try problem(dw), try problem(pw)], dense: try problem(dense)))
        }
        return result
    }
}
