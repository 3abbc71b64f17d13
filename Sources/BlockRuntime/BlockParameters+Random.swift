import ConvCore

extension BlockParameters {
    /// Untrained parameters of a block, for timing one that has not been trained: uniform weights whose variance keeps the
    /// activations' scale from unit to unit (2 / fan-in: He et al., "Delving Deep into Rectifiers", 2015), small biases.
    package init(random description: BlockDescription, cin: Int?, cout: Int?, seed: UInt64) throws {
        var description = description
        let units = try description.units(cin: cin, cout: cout)
        var random = RandomSource(seed: seed)
        self.units = units.map { unit in
            let fan = Float(unit.weightShape.dropFirst().reduce(1, *))
            let spread = (6 / fan).squareRoot()
            return FoldedUnit(
                unit: unit, weights: (0..<unit.weightShape.reduce(1, *)).map { _ in random.nextReal() * spread },
                bias: (0..<unit.oc).map { _ in random.nextReal() * 0.1 })
        }
        description.cin = cin ?? description.cin
        description.cout = cout ?? description.cout ?? description.cin
        self.description = description
    }
}
