import CVector
import ConvCore
import ThreadPool

/// Depthwise convolution under a single tap, NHWC: a factor and a bias per channel, the activation with them.
///
/// Four pixels at a time, so that a factor and a bias are loaded once for four vectors. Meets the bandwidth. An output that no
/// cache will hold until it is read goes past them: a line that is only to be overwritten is not read, and src stays in L3.
/// 512 channels of 80 × 80 (13 MB each way) take 0.47 ms for 0.87 ms of `dw-phase` and 0.82 of `dw-tile`. Plain copies of that
/// size on Zen 4: 84 GB/s past the caches, 47 through them, 35 with prefetches 2 KiB ahead for reading and writing, 52 with
/// them 8 KiB ahead; in place, where only one stream is, 141.
let depthwiseScale = Kernel(
    name: "dw-scale-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: .nhwc, threaded: true,
    runsInPlace: overwrites,
    summary: "a factor and a bias per channel on NHWC, large outputs stored past the caches",
    space: ConfigurationSpace([
        Parameter("m", [1, 4, 8, 1000], standard: 8, "MiB of output from which on it goes past the caches, unless in place")
    ]),
    supports: { p in
        guard overwrites(p) else { return .no(reason: "an output depends on other places than its own; it takes one tap") }
        return p.ic % lanes == 0 ? .yes : .no(reason: "\(p.ic) channels are no whole vectors of \(lanes); dw-tile takes them")
    },
    // Biases, of zero where there are none, behind the factors.
    memory: { p, _, _ in Kernel.Memory(packed: 8 * p.ic) },
    plan: { p, c, inputs in
        let factors = inputs.packed.assumingMemoryBound(to: Float.self)
        for channel in 0..<p.ic {
            factors[channel] = inputs.weights[channel]
            factors[p.ic + channel] = inputs.bias?[channel] ?? 0
        }
        let pixels = p.batch * p.oh * p.ow
        let large = 4 * p.dstCount >= c["m"] << 20
        return Kernel.Plan { [pool = inputs.pool] src, dst in
            let past = large && src != UnsafePointer(dst) && UInt(bitPattern: dst) % UInt(4 * lanes) == 0
            pool.run { index in
                let share = ThreadPool.share(of: pixels, index: index, parts: pool.threads)
                let offset = share.lowerBound * p.ic
                scale(
                    src + offset, factors, dst + offset, pixels: share.count, vectors: p.ic / lanes, past: past,
                    activation: p.activation)
            }
        }
    })

private func scale(
    _ src: UnsafePointer<Float>, _ factors: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>, pixels: Int,
    vectors: Int, past: Bool, activation: Activation
) {
    switch activation {
    case .none: scalePlain(src, factors, dst, pixels, vectors, past)
    case .relu: scaleReLU(src, factors, dst, pixels, vectors, past)
    case .silu: scaleSiLU(src, factors, dst, pixels, vectors, past)
    case .hardswish: scaleHardswish(src, factors, dst, pixels, vectors, past)
    }
    if past { atrous_finish_stores() }
}

@inline(__always)
private func scale(
    _ src: UnsafePointer<Float>, _ factors: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>, _ pixels: Int,
    _ vectors: Int, _ past: Bool, _ activation: Activation
) {
    if past {
        scaleTiles(src, factors, dst, pixels, vectors, past: true, activation)
    } else {
        scaleTiles(src, factors, dst, pixels, vectors, past: false, activation)
    }
}

@inline(__always)
private func scaleTiles(
    _ src: UnsafePointer<Float>, _ factors: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>, _ pixels: Int,
    _ vectors: Int, past: Bool, _ activation: Activation
) {
    let count = vectors &* lanes
    let whole = pixels &- pixels % 4
    var pixel = 0
    while pixel < whole {
        scaleTile(src + pixel &* count, factors, dst + pixel &* count, count, past: past, activation, InlineArray<4, Vector>.self)
        pixel &+= 4
    }
    while pixel < pixels {
        scaleTile(src + pixel &* count, factors, dst + pixel &* count, count, past: past, activation, InlineArray<1, Vector>.self)
        pixel &+= 1
    }
}

/// N pixels of `count` channels, each factor and bias loaded once for all.
@inline(__always)
private func scaleTile<let N: Int>(
    _ src: UnsafePointer<Float>, _ factors: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>, _ count: Int, past: Bool,
    _ activation: Activation, _ shape: InlineArray<N, Vector>.Type
) {
    var i = 0
    while i < count {
        let factor = load(factors + i)
        let bias = load(factors + (count &+ i))
        var value = InlineArray<N, Vector>(repeating: bias)
        for n in 0..<N { value[n] = activate(multiplyAdd(load(src + (n &* count &+ i)), factor, bias), activation) }
        for n in 0..<N {
            if past { storePast(dst + (n &* count &+ i), value[n]) } else { store(dst + (n &* count &+ i), value[n]) }
        }
        i &+= lanes
    }
}

// One function per activation, not inlined: merged into one loop, they would choose anew for every vector.

@inline(never)
private func scalePlain(
    _ src: UnsafePointer<Float>, _ factors: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>, _ pixels: Int, _ vectors: Int,
    _ past: Bool
) {
    scale(src, factors, dst, pixels, vectors, past, .none)
}

@inline(never)
private func scaleReLU(
    _ src: UnsafePointer<Float>, _ factors: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>, _ pixels: Int, _ vectors: Int,
    _ past: Bool
) {
    scale(src, factors, dst, pixels, vectors, past, .relu)
}

@inline(never)
private func scaleSiLU(
    _ src: UnsafePointer<Float>, _ factors: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>, _ pixels: Int, _ vectors: Int,
    _ past: Bool
) {
    scale(src, factors, dst, pixels, vectors, past, .silu)
}

@inline(never)
private func scaleHardswish(
    _ src: UnsafePointer<Float>, _ factors: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>, _ pixels: Int, _ vectors: Int,
    _ past: Bool
) {
    scale(src, factors, dst, pixels, vectors, past, .hardswish)
}
