import ConvCore

extension BlockDescription {
    /// The widths a block has once its input is known.
    struct Widths {
        let cin, mid, cout: Int
    }

    /// `cin` and `cout` fill in what the description leaves open and may not contradict it.
    func widths(cin given: Int?, cout givenOut: Int?) throws(BlockError) -> Widths {
        func agreed(_ key: String, _ given: Int?, _ own: Int?) throws(BlockError) -> Int? {
            if let given { try Self.checkSize(key, given) }
            if let given, let own, given != own { throw .contradictoryWidth(key, given: given, own: own) }
            return given ?? own
        }
        guard let cin = try agreed("cin", given, self.cin) else { throw .noInputWidth }
        let cout = try agreed("cout", givenOut, self.cout) ?? cin
        guard compress != nil else {
            if let mid, mid != cin { throw .contradictoryWidth("mid", given: mid, own: cin) }
            return Widths(cin: cin, mid: cin, cout: cout)
        }
        let mid = self.mid ?? cin / 2
        guard mid >= 1 else { throw .noMiddle(cin: cin) }
        return Widths(cin: cin, mid: mid, cout: cout)
    }

    /// The block's convolutions in an order in which each comes after those that it reads: compress, branches,
    /// residual, fuse.
    package func units(cin: Int? = nil, cout: Int? = nil) throws(BlockError) -> [BlockUnit] {
        try validate()
        let widths = try widths(cin: cin, cout: cout)
        var list = UnitList(description: self)
        var trunk = BlockUnit.Source.block
        if let compress {
            trunk = list.append("compress", compress, from: [.block], ic: widths.cin, oc: widths.mid)
        }
        var ends: [BlockUnit.Source] = []
        var concatenated = 0
        for (b, steps) in branches.enumerated() {
            var source = trunk
            var channels = widths.mid
            for (s, step) in steps.enumerated() {
                let isLast = s == steps.count - 1
                let out = step.out ?? (isLast ? widths.cout : widths.mid)
                source = list.append(
                    steps.count == 1 ? "branches.\(b)" : "branches.\(b).\(s)", step.form, from: [source], ic: channels,
                    oc: out, kernel: step.kernel, dilation: step.dilation)
                channels = out
            }
            ends.append(source)
            concatenated += channels
        }
        if let residual {
            ends.append(list.append("residual", residual, from: [.block], ic: widths.cin, oc: widths.cout))
            concatenated += widths.cout
        }
        list.append("fuse", fuse, from: ends, ic: concatenated, oc: widths.cout)
        return list.units
    }

    /// Every convolution of the block as a problem, named by its unit.
    package func layerProblems(size: BlockSize) throws(BlockError) -> [Problem] {
        var problems: [Problem] = []
        for unit in try units(cin: size.cin, cout: size.cout) {
            problems.append(try unit.problem(at: size))
        }
        return problems
    }
}

/// Appends one or, for a separable, two units.
private struct UnitList {
    let description: BlockDescription
    var units: [BlockUnit] = []

    init(description: BlockDescription) { self.description = description }

    @discardableResult
    mutating func append(
        _ name: String, _ form: BlockDescription.Form, from inputs: [BlockUnit.Source], ic: Int, oc: Int,
        kernel: Int = 1, dilation: Int = 1
    ) -> BlockUnit.Source {
        switch form {
        case .separable:
            let depthwise = add(
                "\(name).dw", .dw, from: inputs, ic: ic, oc: ic, kernel: kernel, dilation: dilation, isPlain: false)
            return add("\(name).pw", .pw, from: [depthwise], ic: ic, oc: oc, kernel: 1, dilation: 1, isPlain: false)
        case .unit, .plain:
            return add(
                name, kernel == 1 ? .pw : .dense, from: inputs, ic: ic, oc: oc, kernel: kernel, dilation: dilation,
                isPlain: form == .plain)
        }
    }

    private mutating func add(
        _ name: String, _ kind: BlockUnit.Kind, from inputs: [BlockUnit.Source], ic: Int, oc: Int, kernel: Int,
        dilation: Int, isPlain: Bool
    ) -> BlockUnit.Source {
        // The dilation of a single tap means nothing; 1 makes equal layers equal problems.
        units.append(
            BlockUnit(
                name: name, kind: kind, ic: ic, oc: oc, kernel: kernel, dilation: kernel == 1 ? 1 : dilation,
                activation: isPlain ? .none : description.activation, hasConvBias: isPlain || description.convBias,
                hasBatchNorm: !isPlain, inputs: inputs))
        return .unit(units.count - 1)
    }
}
