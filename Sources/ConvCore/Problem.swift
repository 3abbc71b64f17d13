/// One whole 2-D convolution, with its epilogue: `dst = activation(weights ∗ src + bias)`.
///
/// src is `[batch, ic, ih, iw]`, weights `[oc, ic / groups, kh, kw]`, bias `[oc]`, dst `[batch, oc, oh, ow]`, all float.
/// A depthwise convolution may carry a pointwise one behind it (``tail``): the sizes are then the first one's.
/// A *dilation* is true dilation here: 1 means dense (benchdnn's text counts from 0). Bottom and right padding follow
/// from the output size. Every value of this type satisfies the checks of ``init(batch:groups:ic:oc:ih:iw:oh:ow:kh:kw:strideH:strideW:dilationH:dilationW:padTop:padLeft:bias:activation:name:)``.
public struct Problem: Sendable {
    public let batch, groups, ic, oc: Int
    public let ih, iw, oh, ow: Int
    public let kh, kw: Int
    public let strideH, strideW: Int
    public let dilationH, dilationW: Int
    public let padTop, padLeft: Int
    /// Whether a bias is added. Folded batch norm always leaves one.
    public let bias: Bool
    public var activation: Activation
    /// The pointwise unit behind this depthwise one, which makes the two a *separable*; nil for a single convolution.
    public internal(set) var tail: PointwiseTail?
    /// A free label; it takes no part in equality.
    public var name: String?

    /// Throws ``ProblemError`` where a size is not positive, does not divide by the groups, contradicts another or
    /// makes a tensor larger than 2³² values.
    public init(
        batch: Int = 1, groups: Int = 1, ic: Int, oc: Int, ih: Int, iw: Int, oh: Int? = nil, ow: Int? = nil,
        kh: Int = 1, kw: Int = 1, strideH: Int = 1, strideW: Int = 1, dilationH: Int = 1, dilationW: Int = 1,
        padTop: Int? = nil, padLeft: Int? = nil, bias: Bool = true, activation: Activation = .none, name: String? = nil
    ) throws(ProblemError) {
        let positive = [
            ("mb", batch), ("g", groups), ("ic", ic), ("oc", oc), ("ih", ih), ("iw", iw), ("kh", kh), ("kw", kw),
            ("sh", strideH), ("sw", strideW),
        ]
        for (key, value) in positive {
            guard value >= 1 else { throw .notPositive(key, value) }
            guard value <= Self.largestSize else { throw .tooLarge(key, value) }
        }
        for (key, value) in [("dh", dilationH), ("dw", dilationW)] {
            guard value >= 1 else { throw .negativeDilation(key, value - 1) }
            guard value <= Self.largestSize else { throw .tooLarge(key, value - 1) }
        }
        guard ic % groups == 0 else { throw .notDivisible("ic", ic, groups) }
        guard oc % groups == 0 else { throw .notDivisible("oc", oc, groups) }
        let rows = try Self.axis(
            "h", input: ih, output: oh, kernel: kh, stride: strideH, dilation: dilationH, pad: padTop)
        let columns = try Self.axis(
            "w", input: iw, output: ow, kernel: kw, stride: strideW, dilation: dilationW, pad: padLeft)
        for (what, factors) in [
            ("src", [batch, ic, ih, iw]), ("weights", [oc, ic / groups, kh, kw]),
            ("dst", [batch, oc, rows.output, columns.output]),
        ] {
            var count = 1
            for factor in factors {
                let (product, overflow) = count.multipliedReportingOverflow(by: factor)
                guard !overflow, product <= Self.largestTensor else { throw .tensorTooLarge(what, factors) }
                count = product
            }
        }
        self.batch = batch
        self.groups = groups
        self.ic = ic
        self.oc = oc
        self.ih = ih
        self.iw = iw
        self.oh = rows.output
        self.ow = columns.output
        self.kh = kh
        self.kw = kw
        self.strideH = strideH
        self.strideW = strideW
        self.dilationH = dilationH
        self.dilationW = dilationW
        self.padTop = rows.pad
        self.padLeft = columns.pad
        self.bias = bias
        self.activation = activation
        self.name = name
    }

    /// A square layer that keeps its map: stride 1, padding d·(k−1)/2.
    public static func same(
        batch: Int = 1, groups: Int = 1, ic: Int, oc: Int, height: Int, width: Int? = nil, kernel: Int = 1,
        dilation: Int = 1, bias: Bool = true, activation: Activation = .none, name: String? = nil
    ) throws(ProblemError) -> Problem {
        let width = width ?? height
        return try Problem(
            batch: batch, groups: groups, ic: ic, oc: oc, ih: height, iw: width, oh: height, ow: width, kh: kernel,
            kw: kernel, dilationH: dilation, dilationW: dilation, bias: bias, activation: activation, name: name)
    }

    static let largestSize = 1 << 24
    static let largestTensor = 1 << 32

    /// Output size and leading padding of one axis, each deduced where it is missing, as benchdnn does: a missing
    /// output is computed with the given padding (0 if none is given); a missing padding is half of what the output needs.
    private static func axis(
        _ axis: String, input: Int, output: Int?, kernel: Int, stride: Int, dilation: Int, pad: Int?
    ) throws(ProblemError) -> (output: Int, pad: Int) {
        let extent = (kernel - 1) * dilation + 1
        if let pad {
            guard pad >= 0 else { throw .negativePadding("p\(axis)", pad) }
            guard pad <= largestSize else { throw .tooLarge("p\(axis)", pad) }
        }
        guard let output else {
            let pad = pad ?? 0
            let room = input + 2 * pad - extent
            guard room >= 0 else { throw .emptyOutput(axis, input: input, extent: extent, pad: pad) }
            return (room / stride + 1, pad)
        }
        guard output >= 1 else { throw .notPositive("o\(axis)", output) }
        guard output <= largestSize else { throw .tooLarge("o\(axis)", output) }
        let needed = (output - 1) * stride - input + extent  // leading + trailing padding
        let leading = pad ?? max(0, needed / 2)
        let trailing = needed - leading
        // More than a whole extent of trailing padding, or a whole unread stride, is a slip of the pen.
        let largest = max(leading, extent - 1)
        guard trailing <= largest, trailing > -stride else {
            let most = (input + leading + largest - extent) / stride + 1
            let least = max(1, (input + leading - extent) / stride + 1)
            throw .contradictoryOutput("o\(axis)", output, allowed: least...max(least, most))
        }
        return (output, leading)
    }
}

extension Problem {
    public var srcCount: Int { batch * ic * ih * iw }
    public var dstCount: Int { batch * dstChannels * oh * ow }
    /// Of all units: a separable's pointwise weights follow its depthwise ones.
    public var weightCount: Int { oc * icPerGroup * kh * kw + (tail?.oc ?? 0) * oc }
    /// Values of the bias, whether it is added or not; a separable's follow each other as its weights do.
    public var biasCount: Int { oc + (tail?.oc ?? 0) }
    public var dstChannels: Int { tail?.oc ?? oc }
    public var icPerGroup: Int { ic / groups }
    public var ocPerGroup: Int { oc / groups }
    /// Learnable values: weights and bias.
    public var parameters: Int { weightCount + (bias ? biasCount : 0) }
    /// Terms of one output's sum when no tap lies in the padding; of a separable's first unit.
    public var reduction: Int { icPerGroup * kh * kw }

    public var layer: Layer {
        if tail != nil { return .sep }
        if kh == 1, kw == 1, groups == 1, strideH == 1, strideW == 1, oh == ih, ow == iw, padTop == 0, padLeft == 0 {
            return .pw
        }
        return groups == ic && groups == oc ? .dw : .conv
    }
}

extension Problem: Hashable {
    private var key: [Int] {
        [batch, groups, ic, oc, ih, iw, oh, ow, kh, kw, strideH, strideW, dilationH, dilationW, padTop, padLeft,
         bias ? 1 : 0]
    }
    public static func == (a: Problem, b: Problem) -> Bool {
        a.key == b.key && a.activation == b.activation && a.tail == b.tail
    }
    public func hash(into hasher: inout Hasher) {
        hasher.combine(key)
        hasher.combine(activation)
        hasher.combine(tail)
    }
}
