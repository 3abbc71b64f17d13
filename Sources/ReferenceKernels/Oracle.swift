import ConvCore

/// The textbook convolution in double precision: what every kernel is compared with. Never timed.
///
/// Source: the definition of the (cross-correlation) convolution as PyTorch's `torch.nn.Conv2d` gives it.
public enum Oracle {
    /// What one problem gives.
    public struct Answer: Sendable {
        /// `[batch][oc][oh][ow]`, after bias and activation.
        public let values: [Double]
        /// Σ|x·w| + |bias| of each output: the scale of its rounding error.
        public let magnitudes: [Double]
    }

    /// src is `[batch][ic][ih][iw]`, weights `[oc][ic / groups][kh][kw]`, bias `[oc]` or nil.
    /// `parallel` runs `body(i)` for all i in 0 ..< count, in any order; the default is one after another.
    public static func answer(
        _ problem: Problem, src: UnsafePointer<Float>, weights: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
        parallel: (_ count: Int, _ body: @Sendable (Int) -> Void) -> Void = { count, body in (0..<count).forEach(body) }
    ) -> Answer {
        if problem.tail != nil { return separable(problem, src: src, weights: weights, bias: bias, parallel: parallel) }
        var values = [Double](repeating: 0, count: problem.dstCount)
        var magnitudes = [Double](repeating: 0, count: problem.dstCount)
        let plane = problem.oh * problem.ow
        values.withUnsafeMutableBufferPointer { values in
            magnitudes.withUnsafeMutableBufferPointer { magnitudes in
                nonisolated(unsafe) let v = values.baseAddress!
                nonisolated(unsafe) let m = magnitudes.baseAddress!
                nonisolated(unsafe) let src = src
                nonisolated(unsafe) let weights = weights
                nonisolated(unsafe) let bias = bias
                parallel(problem.batch * problem.oc) { index in
                    fillPlane(
                        problem, image: index / problem.oc, channel: index % problem.oc, src: src, weights: weights,
                        bias: bias, values: v + index * plane, magnitudes: m + index * plane)
                }
            }
        }
        return Answer(values: values, magnitudes: magnitudes)
    }

    /// One output channel of one image. Taps are the outer loops, so that the row loop inside is plain.
    private static func fillPlane(
        _ p: Problem, image: Int, channel: Int, src: UnsafePointer<Float>, weights: UnsafePointer<Float>,
        bias: UnsafePointer<Float>?, values: UnsafeMutablePointer<Double>, magnitudes: UnsafeMutablePointer<Double>
    ) {
        let offset = Double(bias?[channel] ?? 0)
        values.update(repeating: offset, count: p.oh * p.ow)
        magnitudes.update(repeating: abs(offset), count: p.oh * p.ow)
        let firstChannel = channel / p.ocPerGroup * p.icPerGroup
        for c in 0..<p.icPerGroup {
            let plane = src + (image * p.ic + firstChannel + c) * p.ih * p.iw
            for kh in 0..<p.kh {
                for kw in 0..<p.kw {
                    let weight = Double(weights[((channel * p.icPerGroup + c) * p.kh + kh) * p.kw + kw])
                    for oh in 0..<p.oh {
                        let ih = oh * p.strideH - p.padTop + kh * p.dilationH
                        guard ih >= 0, ih < p.ih else { continue }
                        // Outputs whose input column ow·stride − pad + kw·dilation lies in 0 ..< iw.
                        let shift = kw * p.dilationW - p.padLeft
                        let first = shift >= 0 ? 0 : (-shift + p.strideW - 1) / p.strideW
                        let last = p.iw > shift ? min(p.ow, (p.iw - shift + p.strideW - 1) / p.strideW) : 0
                        guard first < last else { continue }
                        let row = plane + ih * p.iw
                        let v = values + oh * p.ow
                        let m = magnitudes + oh * p.ow
                        for ow in first..<last {
                            let term = Double(row[ow * p.strideW + shift]) * weight
                            v[ow] += term
                            m[ow] += abs(term)
                        }
                    }
                }
            }
        }
        guard p.activation != .none else { return }
        for i in 0..<(p.oh * p.ow) { values[i] = p.activation.apply(values[i]) }
    }
}
