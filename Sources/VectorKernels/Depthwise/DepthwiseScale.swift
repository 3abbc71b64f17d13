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
    space: scaleSpace,
    supports: { p in
        supportsScale(p).and(p.ic % lanes == 0 ? .yes : .no(reason: "\(p.ic) channels are no whole vectors of \(lanes); dw-tile takes them"))
    },
    memory: { p, _, _ in Kernel.Memory(packed: 8 * p.ic) },
    plan: { p, c, inputs in
        let factors = packFactors(p, inputs, block: p.ic)
        let pixels = p.batch * p.oh * p.ow
        return Kernel.Plan { [pool = inputs.pool] src, dst in
            let past = goesPast(p, c, src, dst)
            pool.run { index in
                let share = ThreadPool.share(of: pixels, index: index, parts: pool.threads)
                let offset = share.lowerBound * p.ic
                scale(
                    src + offset, factors, factors + p.ic, dst + offset, pixels: share.count, vectors: p.ic / lanes, step: p.ic, past: past,
                    activation: p.activation)
            }
        }
    })

/// The same on blocks of 16 channels.
let depthwiseScaleBlocked = Kernel(
    name: "dw-scale-blocked-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: .nchw16c, threaded: true,
    runsInPlace: overwrites,
    summary: "a factor and a bias per channel on blocks of channels, large outputs stored past the caches",
    space: scaleSpace,
    supports: { p in supportsScale(p).and(wholeBlocks(p.ic, insteadOf: "dw-scale")) },
    memory: { p, _, _ in Kernel.Memory(packed: 8 * p.ic) },
    plan: { p, c, inputs in
        let block = Layout.blockChannels
        let factors = packFactors(p, inputs, block: block)
        let pixels = p.oh * p.ow
        let blocks = p.ic / block
        return Kernel.Plan { [pool = inputs.pool] src, dst in
            let past = goesPast(p, c, src, dst)
            pool.run { index in
                let share = ThreadPool.share(of: p.batch * blocks * pixels, index: index, parts: pool.threads)
                var first = share.lowerBound
                while first < share.upperBound {
                    let map = first / pixels
                    let end = min(share.upperBound, (map + 1) * pixels)
                    let own = factors + map % blocks * 2 * block
                    scale(
                        src + first * block, own, own + block, dst + first * block, pixels: end - first, vectors: blockVectors, step: block,
                        past: past, activation: p.activation)
                    first = end
                }
            }
        }
    })

/// The same on planes: a factor and a bias per plane, in registers throughout it.
let depthwiseScalePlanes = Kernel(
    name: "dw-scale-planes-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: .nchw, threaded: true,
    runsInPlace: overwrites,
    summary: "a factor and a bias per channel on planes, large outputs stored past the caches",
    space: scaleSpace,
    supports: { p in
        supportsScale(p).and(
            p.oh * p.ow % lanes == 0 ? .yes : .no(reason: "planes of \(p.oh * p.ow) pixels are no whole vectors of \(lanes); dw-tile-planes takes them"))
    },
    memory: { p, _, _ in Kernel.Memory(packed: 8 * p.ic * lanes) },
    plan: { p, c, inputs in
        let factors = inputs.packed.assumingMemoryBound(to: Float.self)
        for channel in 0..<p.ic {
            store(factors + 2 * lanes * channel, Vector(repeating: inputs.weights[channel]))
            store(factors + (2 * channel + 1) * lanes, Vector(repeating: inputs.bias?[channel] ?? 0))
        }
        let vectors = p.oh * p.ow / lanes
        return Kernel.Plan { [pool = inputs.pool] src, dst in
            let past = goesPast(p, c, src, dst)
            pool.run { index in
                // In vectors of one plane after the other.
                let share = ThreadPool.share(of: p.batch * p.ic * vectors, index: index, parts: pool.threads)
                var first = share.lowerBound
                while first < share.upperBound {
                    let plane = first / vectors
                    let end = min(share.upperBound, (plane + 1) * vectors)
                    // As pixels of a block of one vector of channels, which are alike.
                    let own = factors + plane % p.ic * 2 * lanes
                    scale(
                        src + first * lanes, own, own + lanes, dst + first * lanes, pixels: end - first, vectors: 1, step: lanes, past: past,
                        activation: p.activation)
                    first = end
                }
            }
        }
    })

private let scaleSpace = ConfigurationSpace([
    Parameter("m", [1, 4, 8, 1000], standard: 8, "MiB of output from which on it goes past the caches, unless in place")
])

private func supportsScale(_ p: Problem) -> Kernel.Support {
    overwrites(p) ? .yes : .no(reason: "an output depends on other places than its own; it takes one tap; dw-tile takes it, on NHWC")
}

/// `[block][2][channel]`: factors, and behind them biases, of zero where there are none.
private func packFactors(_ p: Problem, _ inputs: Kernel.PlanInputs, block: Int) -> UnsafePointer<Float> {
    let factors = inputs.packed.assumingMemoryBound(to: Float.self)
    for channel in 0..<p.ic {
        let place = channel / block * 2 * block + channel % block
        factors[place] = inputs.weights[channel]
        factors[place + block] = inputs.bias?[channel] ?? 0
    }
    return UnsafePointer(factors)
}

private func goesPast(_ p: Problem, _ c: Configuration, _ src: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>) -> Bool {
    4 * p.dstCount >= c["m"] << 20 && src != UnsafePointer(dst) && UInt(bitPattern: dst) % UInt(4 * lanes) == 0
}

/// A tile of activated sums that lie in a first cache, through what follows them.
func scaleStoredTile(_ c: UnsafeMutablePointer<Float>, rows: Int, vectors: Int, stride: Int, _ following: Kernel.Following) {
    scale(
        c, following.factors, following.bias, c, pixels: rows, vectors: vectors, step: stride, past: false, activation: following.activation)
}

/// Pixels lie `step` floats apart.
private func scale(
    _ src: UnsafePointer<Float>, _ factors: UnsafePointer<Float>, _ bias: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>,
    pixels: Int, vectors: Int, step: Int, past: Bool, activation: Activation
) {
    switch activation {
    case .none: scalePlain(src, factors, bias, dst, pixels, vectors, step, past)
    case .relu: scaleReLU(src, factors, bias, dst, pixels, vectors, step, past)
    case .silu: scaleSiLU(src, factors, bias, dst, pixels, vectors, step, past)
    case .hardswish: scaleHardswish(src, factors, bias, dst, pixels, vectors, step, past)
    }
    if past { atrous_finish_stores() }
}

@inline(__always)
private func scale(
    _ src: UnsafePointer<Float>, _ factors: UnsafePointer<Float>, _ bias: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>,
    _ pixels: Int, _ vectors: Int, _ step: Int, _ past: Bool, _ activation: Activation
) {
    if past {
        scaleTiles(src, factors, bias, dst, pixels, vectors, step, past: true, activation)
    } else {
        scaleTiles(src, factors, bias, dst, pixels, vectors, step, past: false, activation)
    }
}

@inline(__always)
private func scaleTiles(
    _ src: UnsafePointer<Float>, _ factors: UnsafePointer<Float>, _ bias: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>,
    _ pixels: Int, _ vectors: Int, _ step: Int, past: Bool, _ activation: Activation
) {
    let count = vectors &* lanes
    var pixel = 0
    if past, lanes < Layout.blockChannels, step > Layout.blockChannels {
        while pixel < pixels {
            scalePixel(src + pixel &* step, factors, bias, dst + pixel &* step, count, activation)
            pixel &+= 1
        }
        return
    }
    let whole = pixels &- pixels % 4
    while pixel < whole {
        scaleTile(src + pixel &* step, factors, bias, dst + pixel &* step, count, step, past: past, activation, InlineArray<4, Vector>.self)
        pixel &+= 4
    }
    while pixel < pixels {
        scaleTile(src + pixel &* step, factors, bias, dst + pixel &* step, count, step, past: past, activation, InlineArray<1, Vector>.self)
        pixel &+= 1
    }
}

/// A pixel of `count` channels past the caches, eight vectors read before they are written. Of four distant pixels with vectors of less than a line, a
/// load waits for every store on its way whose address has the same low bits: with src and dst 192 bytes apart in their pages, 1024 channels of 80 × 80
/// and 1536 of 40 × 40 took four to six times as long on a Zen 3. Blocks of channels, whose pixels join, did not.
@inline(__always)
private func scalePixel(
    _ src: UnsafePointer<Float>, _ factors: UnsafePointer<Float>, _ biases: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>,
    _ count: Int, _ activation: Activation
) {
    var i = 0
    let whole = count &- count % (8 &* lanes)
    while i < whole {
        var value = zeros(InlineArray<8, Vector>.self)
        for v in 0..<8 {
            let place = i &+ v &* lanes
            value[v] = activate(multiplyAdd(load(src + place), load(factors + place), load(biases + place)), activation)
        }
        for v in 0..<8 { storePast(dst + (i &+ v &* lanes), value[v]) }
        i &+= 8 &* lanes
    }
    scaleTile(src + i, factors + i, biases + i, dst + i, count &- i, 0, past: true, activation, InlineArray<1, Vector>.self)
}

/// N pixels of `count` channels, each factor and bias loaded once for all.
@inline(__always)
private func scaleTile<let N: Int>(
    _ src: UnsafePointer<Float>, _ factors: UnsafePointer<Float>, _ biases: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>,
    _ count: Int, _ step: Int, past: Bool, _ activation: Activation, _ shape: InlineArray<N, Vector>.Type
) {
    var i = 0
    while i < count {
        let factor = load(factors + i)
        let bias = load(biases + i)
        var value = InlineArray<N, Vector>(repeating: bias)
        for n in 0..<N { value[n] = activate(multiplyAdd(load(src + (n &* step &+ i)), factor, bias), activation) }
        for n in 0..<N {
            if past { storePast(dst + (n &* step &+ i), value[n]) } else { store(dst + (n &* step &+ i), value[n]) }
        }
        i &+= lanes
    }
}

// One function per activation, not inlined: merged into one loop, they would choose anew for every vector.

@inline(never)
private func scalePlain(
    _ src: UnsafePointer<Float>, _ factors: UnsafePointer<Float>, _ bias: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>,
    _ pixels: Int, _ vectors: Int, _ step: Int, _ past: Bool
) {
    scale(src, factors, bias, dst, pixels, vectors, step, past, .none)
}

@inline(never)
private func scaleReLU(
    _ src: UnsafePointer<Float>, _ factors: UnsafePointer<Float>, _ bias: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>,
    _ pixels: Int, _ vectors: Int, _ step: Int, _ past: Bool
) {
    scale(src, factors, bias, dst, pixels, vectors, step, past, .relu)
}

@inline(never)
private func scaleSiLU(
    _ src: UnsafePointer<Float>, _ factors: UnsafePointer<Float>, _ bias: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>,
    _ pixels: Int, _ vectors: Int, _ step: Int, _ past: Bool
) {
    scale(src, factors, bias, dst, pixels, vectors, step, past, .silu)
}

@inline(never)
private func scaleHardswish(
    _ src: UnsafePointer<Float>, _ factors: UnsafePointer<Float>, _ bias: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>,
    _ pixels: Int, _ vectors: Int, _ step: Int, _ past: Bool
) {
    scale(src, factors, bias, dst, pixels, vectors, step, past, .hardswish)
}
