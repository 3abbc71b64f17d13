import ConvCore

/// The textbook convolution in single precision, one output at a time, every tap of the kernel visited: what a first
/// program would do, and the denominator of every speed-up.
private func runNaive(
    _ p: Problem, src: UnsafePointer<Float>, weights: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
    dst: UnsafeMutablePointer<Float>
) {
    var out = dst
    for n in 0..<p.batch {
        for oc in 0..<p.oc {
            let firstChannel = oc / p.ocPerGroup * p.icPerGroup
            for oh in 0..<p.oh {
                for ow in 0..<p.ow {
                    var sum: Float = 0
                    for ic in 0..<p.icPerGroup {
                        let plane = src + (n * p.ic + firstChannel + ic) * p.ih * p.iw
                        let w = weights + (oc * p.icPerGroup + ic) * p.kh * p.kw
                        for kh in 0..<p.kh {
                            let ih = oh * p.strideH - p.padTop + kh * p.dilationH
                            for kw in 0..<p.kw {
                                let iw = ow * p.strideW - p.padLeft + kw * p.dilationW
                                if ih >= 0, ih < p.ih, iw >= 0, iw < p.iw {
                                    sum += plane[ih * p.iw + iw] * w[kh * p.kw + kw]
                                }
                            }
                        }
                    }
                    out.pointee = p.activation.apply(sum + (bias?[oc] ?? 0))
                    out += 1
                }
            }
        }
    }
}

/// The naive kernel of every layer; they differ in their name only. A separable's is two of them.
public let naiveKernels: [Kernel] =
    Layer.convolutions.map(naive) + [
        Kernel(
            separable: "sep-naive-scalar", by: naive(.dw), then: naive(.pw),
            summary: "textbook loops, one unit after the other, one thread")
    ]

private func naive(_ layer: Layer) -> Kernel {
    Kernel(
        name: "\(layer.rawValue)-naive-scalar", layer: layer, family: .naive, isa: "scalar", layout: .nchw,
        threaded: false, summary: "textbook loops, every tap visited, one thread",
        plan: { p, _, inputs in
            Kernel.Plan { [weights = inputs.weights, bias = inputs.bias] src, dst in
                runNaive(p, src: src, weights: weights, bias: bias, dst: dst)
            }
        })
}
