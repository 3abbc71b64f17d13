import ConvCore

/// Pointwise convolution on PyTorch's layout, NCHW: dst[oc][pixel] = Σ weights[oc][ic] · src[ic][pixel].
///
/// Pixels lie along the vectors and are read in place, weights are broadcast in place: nothing is packed or copied. A
/// tile of m channels × n vectors stays in registers over all input channels. One thread; no cache blocking, so rows of
/// src that are a power of two apart meet in the same cache sets. Meets the L2 bandwidth on large maps.
let pointwiseDirect = Kernel(
    name: "pw-direct-\(isaName)", layer: .pw, family: .simd, isa: isaName, layout: .nchw, threaded: false,
    summary: "register tile on NCHW, weights and pixels read in place, one thread",
    space: ConfigurationSpace(
        [
            Parameter("m", [2, 4, 6, 8], standard: vectorRegisters == 32 ? 8 : 4, "output channels in a register tile"),
            Parameter("n", [1, 2, 3], standard: vectorRegisters == 32 ? 3 : 2, "vectors of pixels in a register tile"),
        ],
        constraint: matrixTileConstraint,
        admits: { isCompiledTile($0["m"], $0["n"]) }),
    plan: { p, c, inputs in
        let (m, n) = (c["m"], c["n"])
        return Kernel.Plan { [weights = inputs.weights, bias = inputs.bias] src, dst in
            for image in 0..<p.batch {
                runImage(
                    p, m: m, n: n, src: src + image * p.ic * p.ih * p.iw,
                    weights: weights, bias: bias, dst: dst + image * p.oc * p.oh * p.ow)
            }
        }
    })

@inline(never)
private func runImage(
    _ p: Problem, m: Int, n: Int, src: UnsafePointer<Float>,
    weights: UnsafePointer<Float>, bias: UnsafePointer<Float>?, dst: UnsafeMutablePointer<Float>
) {
    let pixels = p.oh * p.ow
    var tap = Tap(a: 0, b: 0)
    withUnsafePointer(to: &tap) { tap in
        var pixel = 0
        while pixel < pixels {
            let left = pixels - pixel
            // Full tiles, then single vectors, then what is left of one.
            let vectors = left >= n * lanes ? n : 1
            let count = min(left, vectors * lanes)
            var channel = 0
            while channel < p.oc {
                let rows = min(m, p.oc - channel)
                let t = TileArguments(
                    a: weights + channel * p.ic, b: src + pixel, c: dst + channel * pixels + pixel, taps: tap,
                    tapCount: 1, depth: p.ic, aRow: p.ic, aStep: 1, bStep: pixels, cRow: pixels,
                    start: bias.map { .rows($0 + channel) } ?? .zero, finish: true, activation: p.activation,
                    lastLanes: min(count, lanes))
                if count < lanes { runInPlaceTile(rows, t) } else { runPackedTile(rows, vectors, t) }
                channel += rows
            }
            pixel += count
        }
    }
}
