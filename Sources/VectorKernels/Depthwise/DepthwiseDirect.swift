import ConvCore

/// Depthwise convolution on PyTorch's layout, NCHW: neighbouring output columns of one row lie along a vector.
///
/// Per tap one shifted vector of the input row is loaded and multiplied by one broadcast weight; `n` vectors of a row and
/// one weight at a time stay in registers over all live taps. A vector that a tap moves over the image's edge is loaded
/// with only its live lanes, one that it moves out of the image altogether is skipped. One thread. Load-bound, and
/// most loads cross a cache line.
let depthwiseDirect = Kernel(
    name: "dw-direct-\(isaName)", layer: .dw, family: .simd, isa: isaName, layout: .nchw, threaded: false,
    summary: "columns along the vectors on NCHW, dead taps skipped, one thread",
    space: ConfigurationSpace([Parameter("n", [1, 2, 4], standard: 4, "vectors of a row in registers")]),
    supports: { p in
        p.strideW == 1 ? .yes : .no(reason: "columns of stride \(p.strideW) do not lie together; it takes stride 1; dw-tile-planes takes 2, and dw-tile all others, on NHWC")
    },
    plan: { p, c, inputs in
        let width = c["n"]
        return Kernel.Plan { [weights = inputs.weights, bias = inputs.bias] src, dst in
            for index in 0..<(p.batch * p.ic) {
                let channel = index % p.ic
                runPlane(
                    p, width: width, src: src + index * p.ih * p.iw, weights: weights + channel * p.kh * p.kw,
                    bias: bias?[channel] ?? 0, dst: dst + index * p.oh * p.ow)
            }
        }
    })

@inline(never)
private func runPlane(
    _ p: Problem, width: Int, src: UnsafePointer<Float>, weights: UnsafePointer<Float>, bias: Float,
    dst: UnsafeMutablePointer<Float>
) {
    for oh in 0..<p.oh {
        let rows = p.rows.taps(oh)
        let input = src + (oh * p.strideH - p.padTop) * p.iw
        let output = dst + oh * p.ow
        var ow = 0
        while ow < p.ow {
            let left = p.ow - ow
            if width >= 4, left >= 4 * lanes {
                strip(p, rows, input, weights, bias, output, ow, lanes, InlineArray<4, Vector>.self)
                ow += 4 * lanes
            } else if width >= 2, left >= 2 * lanes {
                strip(p, rows, input, weights, bias, output, ow, lanes, InlineArray<2, Vector>.self)
                ow += 2 * lanes
            } else {
                strip(p, rows, input, weights, bias, output, ow, min(left, lanes), InlineArray<1, Vector>.self)
                ow += lanes
            }
        }
    }
    if p.activation != .none { finishRow(dst, count: p.oh * p.ow, bias: 0, activation: p.activation) }
}

/// N vectors of one output row from column `ow` on; the last holds `lastLanes` columns. `input` is the (possibly
/// imaginary) input row under tap 0.
@inline(__always)
private func strip<let N: Int>(
    _ p: Problem, _ rows: Range<Int>, _ input: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, _ bias: Float,
    _ output: UnsafeMutablePointer<Float>, _ ow: Int, _ lastLanes: Int, _ shape: InlineArray<N, Vector>.Type
) {
    var sum = InlineArray<N, Vector>(repeating: Vector(repeating: bias))
    let columns = N * lanes - lanes + lastLanes
    // Taps under which the whole strip lies inside the image.
    let inner = p.padLeft - ow
    let safeFirst = inner <= 0 ? 0 : (inner + p.dilationW - 1) / p.dilationW
    let room = p.iw - columns - ow + p.padLeft
    let safeLast = room < 0 ? 0 : min(p.kw, room / p.dilationW + 1)
    for kh in rows {
        let row = input + kh * p.dilationH * p.iw
        let w = weights + kh * p.kw
        for kw in 0..<p.kw {
            let start = ow - p.padLeft + kw * p.dilationW
            let weight = Vector(repeating: w[kw])
            if kw >= safeFirst, kw < safeLast, lastLanes == lanes {
                for n in 0..<N { sum[n] = multiplyAdd(load(row + (start &+ n &* lanes)), weight, sum[n]) }
            } else {
                for n in 0..<N {
                    let at = start &+ n &* lanes
                    let first = max(0, -at)
                    let last = min(n == N - 1 ? lastLanes : lanes, p.iw - at)
                    if first < last { sum[n] = multiplyAdd(loadLanes(row + at, first, last), weight, sum[n]) }
                }
            }
        }
    }
    for n in 0..<N - 1 { store(output + (ow &+ n &* lanes), sum[n]) }
    storeLanes(output + (ow &+ (N - 1) &* lanes), sum[N - 1], lastLanes)
}
