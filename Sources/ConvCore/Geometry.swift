/// Which taps of a dilated kernel meet the image.
///
/// One axis of a problem: output `o` reads input `o·stride − pad + k·dilation` for tap `k`. Taps that fall outside are
/// *dead*; the naive and im2col kernels compute them all, `conv-panel` those that some output of a panel or a map meets, the others none.
public struct Axis: Sendable, Equatable {
    public let input, output, kernel, stride, dilation, pad: Int

    @inlinable
    public init(input: Int, output: Int, kernel: Int, stride: Int, dilation: Int, pad: Int) {
        self.input = input
        self.output = output
        self.kernel = kernel
        self.stride = stride
        self.dilation = dilation
        self.pad = pad
    }

    /// The live taps of output `o`: always one (possibly empty) interval.
    public func taps(_ o: Int) -> Range<Int> {
        let origin = o * stride - pad
        let first = origin >= 0 ? 0 : (-origin + dilation - 1) / dilation
        let last = input > origin ? min(kernel, (input - origin + dilation - 1) / dilation) : 0
        return first < last ? first..<last : 0..<0
    }

    /// From the first to the last tap that some of these outputs meet.
    public func taps(ofAny outputs: Range<Int>) -> Range<Int> {
        var (first, end) = (kernel, 0)
        for output in outputs {
            let live = taps(output)
            if !live.isEmpty { (first, end) = (min(first, live.lowerBound), max(end, live.upperBound)) }
        }
        return min(first, end)..<end
    }

    /// Live taps summed over all outputs.
    public var liveTaps: Int {
        var sum = 0
        for o in 0..<output { sum += taps(o).count }
        return sum
    }

    /// Neighbouring outputs that share their live taps, from left to right.
    public var segments: [Segment] {
        var result: [Segment] = []
        for o in 0..<output {
            let live = taps(o)
            if let last = result.last, last.taps == live {
                result[result.count - 1].outputs = last.outputs.lowerBound..<(o + 1)
            } else {
                result.append(Segment(outputs: o..<(o + 1), taps: live))
            }
        }
        return result
    }

    /// The same, at most so many outputs in each.
    public func segments(most: Int) -> [Segment] {
        var result: [Segment] = []
        for segment in segments {
            for first in Swift.stride(from: segment.outputs.lowerBound, to: segment.outputs.upperBound, by: most) {
                result.append(Segment(outputs: first..<min(first + most, segment.outputs.upperBound), taps: segment.taps))
            }
        }
        return result
    }

    /// The fewest and the most live taps of an output.
    public var liveTapCounts: ClosedRange<Int> {
        var (fewest, most) = (kernel, 0)
        for segment in segments {
            fewest = min(fewest, segment.taps.count)
            most = max(most, segment.taps.count)
        }
        return min(fewest, most)...most
    }

    public struct Segment: Sendable, Equatable {
        public var outputs: Range<Int>
        public var taps: Range<Int>
    }
}

extension Problem {
    public var rows: Axis {
        Axis(input: ih, output: oh, kernel: kh, stride: strideH, dilation: dilationH, pad: padTop)
    }
    public var columns: Axis {
        Axis(input: iw, output: ow, kernel: kw, stride: strideW, dilation: dilationW, pad: padLeft)
    }

    /// Output rows phase by phase: o, o + s, o + 2s, … for each o below ``Axis/phaseStep``. Neighbours in this order share their input
    /// rows, all but as many as ``Axis/phaseStride``.
    public var outputRowsInDilationOrder: [Int] {
        let step = rows.phaseStep
        return (0..<min(step, oh)).flatMap { Array(stride(from: $0, to: oh, by: step)) }
    }

    /// Multiply-adds with every tap counted, in the padding too: what papers and other tools report.
    public var nominalMACs: Double {
        Double(batch) * Double(oc) * Double(oh * ow) * Double(icPerGroup) * Double(kh * kw) + tailMACs
    }
    /// Multiply-adds whose tap meets the image: the work that has to be done.
    public var effectiveMACs: Double {
        Double(batch) * Double(oc) * Double(icPerGroup) * Double(rows.liveTaps) * Double(columns.liveTaps) + tailMACs
    }
    private var tailMACs: Double { Double(batch) * Double(oh * ow) * Double(oc) * Double(tail?.oc ?? 0) }
    /// Two per multiply-add; the epilogue is not counted.
    public var nominalFLOPs: Double { 2 * nominalMACs }
    public var effectiveFLOPs: Double { 2 * effectiveMACs }

    /// Bytes that must be read at least once: src, weights and bias.
    public var compulsoryReadBytes: Double { 4 * (Double(srcCount) + Double(parameters)) }
    /// Bytes that must be written: dst.
    public var compulsoryWriteBytes: Double { 4 * Double(dstCount) }
    public var compulsoryBytes: Double { compulsoryReadBytes + compulsoryWriteBytes }
}
