/// The pointwise unit of a separable: it reads what the depthwise unit writes, and adds a bias where that does.
public struct PointwiseTail: Hashable, Sendable {
    public let oc: Int
    public var activation: Activation

    public init(oc: Int, activation: Activation = .none) {
        self.oc = oc
        self.activation = activation
    }
}

extension Problem {
    /// This depthwise unit and a pointwise one behind it as one problem. Throws ``ProblemError`` where this is no depthwise
    /// convolution, or the two do not fit.
    public func followed(by tail: PointwiseTail) throws(ProblemError) -> Problem {
        guard groups == ic, oc == ic, self.tail == nil else { throw .notSeparable(text) }
        _ = try pointwise(tail)
        var whole = self
        whole.tail = tail
        return whole
    }

    /// The unit that reads src: of a separable the depthwise one, otherwise the problem itself.
    public var firstUnit: Problem {
        var unit = self
        unit.tail = nil
        return unit
    }

    /// The unit that writes dst: of a separable the pointwise one, otherwise the problem itself.
    public var lastUnit: Problem {
        guard let tail else { return self }
        guard let unit = try? pointwise(tail) else { preconditionFailure("\(text) was not made by followed(by:)") }
        return unit
    }

    /// Gives every unit this activation.
    public mutating func setActivations(_ function: Activation) {
        activation = function
        tail?.activation = function
    }

    private func pointwise(_ tail: PointwiseTail) throws(ProblemError) -> Problem {
        try Problem(batch: batch, ic: oc, oc: tail.oc, ih: oh, iw: ow, bias: bias, activation: tail.activation)
    }
}
