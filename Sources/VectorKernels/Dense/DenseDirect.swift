import ConvCore

/// Dense or grouped convolution on PyTorch's layout, NCHW: neighbouring output columns of one row lie along a vector.
///
/// M output channels share every loaded vector of the input row: per tap and input channel one vector is loaded (only its
/// live lanes at an edge) and M weights, packed side by side, are broadcast. Dead taps are skipped. One thread, no cache
/// blocking.
let denseDirect = Kernel(
    name: "conv-direct-\(isaName)", layer: .conv, family: .simd, isa: isaName, layout: .nchw, threaded: false,
    summary: "columns along the vectors on NCHW, \(blockWidth) output channels share each load, dead taps skipped, one thread",
    supports: { p in
        p.strideW == 1 ? .yes : .no(reason: "columns of stride \(p.strideW) do not lie together; it takes stride 1; conv-panel takes others")
    },
    memory: { p, _, _ in Kernel.Memory(packed: 4 * p.groups * channelBlocks(p) * p.reduction * blockWidth) },
    plan: { p, _, inputs in
        let packed = inputs.packed.assumingMemoryBound(to: Float.self)
        packBlocks(p, inputs.weights, into: packed)
        return Kernel.Plan { [bias = inputs.bias] src, dst in
            for image in 0..<p.batch {
                for group in 0..<p.groups {
                    for block in 0..<channelBlocks(p) {
                        let channel = group * p.ocPerGroup + block * blockWidth
                        runBlock(
                            p, channels: min(blockWidth, p.ocPerGroup - block * blockWidth),
                            src: src + (image * p.ic + group * p.icPerGroup) * p.ih * p.iw,
                            weights: packed + (group * channelBlocks(p) + block) * p.reduction * blockWidth,
                            bias: bias.map { $0 + channel }, dst: dst + (image * p.oc + channel) * p.oh * p.ow)
                    }
                }
            }
        }
    })

/// Output channels that share a load: FMA latency × units (4 × 2) sums in flight.
/// With 16 registers and the mask of an edge beside the sums, eight would not fit.
private let blockWidth = vectorRegisters == 32 ? 8 : 6

private func channelBlocks(_ p: Problem) -> Int { (p.ocPerGroup + blockWidth - 1) / blockWidth }

/// `[oc][ic / groups][kh][kw]` → per group and block of channels `[ic / groups][kh][kw][blockWidth]`, zero-filled.
private func packBlocks(_ p: Problem, _ source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>) {
    var out = target
    for group in 0..<p.groups {
        for block in 0..<channelBlocks(p) {
            for term in 0..<p.reduction {
                for m in 0..<blockWidth {
                    let channel = block * blockWidth + m
                    out.pointee =
                        channel < p.ocPerGroup ? source[(group * p.ocPerGroup + channel) * p.reduction + term] : 0
                    out += 1
                }
            }
        }
    }
}

@inline(never)
private func runBlock(
    _ p: Problem, channels: Int, src: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    bias: UnsafePointer<Float>?, dst: UnsafeMutablePointer<Float>
) {
    let plane = p.oh * p.ow
    for oh in 0..<p.oh {
        let rows = p.rows.taps(oh)
        let top = oh * p.strideH - p.padTop
        var ow = 0
        while ow < p.ow {
            let columns = min(lanes, p.ow - ow)
            var sum = InlineArray<8, Vector>(repeating: Vector(repeating: 0))
            for c in 0..<p.icPerGroup {
                for kh in rows {
                    let row = src + (c * p.ih + top + kh * p.dilationH) * p.iw
                    var w = weights + (c * p.kh + kh) * p.kw * blockWidth
                    var at = ow - p.padLeft
                    for _ in 0..<p.kw {
                        let first = max(0, -at)
                        let last = min(columns, p.iw - at)
                        if first < last {
                            let x =
                                last - first == lanes ? load(row + at) : loadLanes(row + at, first, last)
                            for m in 0..<blockWidth { sum[m] = multiplyAdd(x, broadcast(w + m), sum[m]) }
                        }
                        w += blockWidth
                        at += p.dilationW
                    }
                }
            }
            for m in 0..<blockWidth where m < channels {
                let out = dst + m * plane + oh * p.ow + ow
                storeLanes(out, sum[m] + Vector(repeating: bias?[m] ?? 0), columns)
            }
            ow += lanes
        }
    }
    guard p.activation != .none else { return }
    finishRow(dst, count: channels * plane, bias: 0, activation: p.activation)
}
