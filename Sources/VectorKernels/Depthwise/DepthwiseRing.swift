import ConvCore
import ThreadPool

/// Depthwise convolution, NHWC, on a ring of input rows that fits L1.
///
/// In NHWC the few channels of a tile lie a whole pixel apart, so that they fall into few cache sets and every tap is read
/// from L2. Here the channels of a group are copied out, row by row, into a ring of kh rows that lie close together;
/// output rows in dilation order need one new input row each, so every value is copied once and then read kh·kw times from
/// L1. The register tile, the skipping of dead taps and the order of rows are those of `dw-tile`.
/// Meets the L1 load limit: t + 1 loads per t multiply-adds.
let depthwiseRing = Kernel(
    name: "dw-ring-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: .nhwc, threaded: true,
    summary: "input rows copied into a ring in L1, register tile of pixels × channels, dead taps skipped",
    space: ConfigurationSpace(
        [
            Parameter("t", [4, 5, 6, 8, 10], standard: 6, "pixels in a register tile"),
            Parameter("v", [1, 2, 3, 4], standard: vectorRegisters == 32 ? 4 : 2, "most vectors of channels in a register tile"),
            Parameter("l", [16, 32, 40, 64, 128], standard: 64, "KiB that the ring and its weights may take"),
        ],
        constraint: "t·v + v + 1 ≤ \(vectorRegisters) registers, and a compiled tile",
        admits: { fitsRegisters($0["t"], $0["v"]) && $0["t"] <= largestPixels(vectors: $0["v"]) }),
    memory: { p, c, threads in
        let groups = ChannelGroups(p, lanes: lanes, most: c["v"], budget: c["l"] << 10)
        return Kernel.Memory(packed: groups.weightBytes, scratch: threads * groups.ringBytes)
    },
    plan: { p, c, inputs in
        let groups = ChannelGroups(p, lanes: lanes, most: c["v"], budget: c["l"] << 10)
        let weights = inputs.packed.assumingMemoryBound(to: Float.self)
        groups.pack(inputs.weights, into: weights)
        let (rowOrder, segments, tilePixels) = (p.outputRowsInDilationOrder, p.columns.segments, c["t"])
        return Kernel.Plan { [pool = inputs.pool, scratch = inputs.scratch, bias = inputs.bias] src, dst in
            pool.run { index in
                let ring = (scratch + index * groups.ringBytes).assumingMemoryBound(to: Float.self)
                let held = (scratch + index * groups.ringBytes + groups.rowsBytes).assumingMemoryBound(to: Int.self)
                let share = ThreadPool.share(of: p.batch * groups.count * p.oh, index: index, parts: pool.threads)
                var loaded = -1
                for unit in share {
                    let group = unit / p.oh
                    if group != loaded {
                        held.update(repeating: Int.min, count: p.kh)
                        loaded = group
                    }
                    runRow(
                        p, groups, group: group % groups.count, oh: rowOrder[unit % p.oh], segments: segments,
                        tilePixels: tilePixels, ring: ring, held: held,
                        src: src + group / groups.count * p.ih * p.iw * p.ic, weights: weights, bias: bias,
                        dst: dst + group / groups.count * p.oh * p.ow * p.ic)
                }
            }
        }
    })

/// One output row of one group. src and dst are the image's.
@inline(never)
private func runRow(
    _ p: Problem, _ groups: ChannelGroups, group: Int, oh: Int, segments: [Axis.Segment], tilePixels: Int,
    ring: UnsafeMutablePointer<Float>, held: UnsafeMutablePointer<Int>, src: UnsafePointer<Float>,
    weights: UnsafePointer<Float>, bias: UnsafePointer<Float>?, dst: UnsafeMutablePointer<Float>
) {
    let channel = groups.firstChannel(group)
    let vectors = groups.vectors(group)
    let channels = min(vectors * lanes, p.ic - channel)
    let width = vectors * lanes
    let rowFloats = p.iw * width
    let rows = p.rows.taps(oh)
    var firstSlot = 0
    for kh in rows {
        let ih = oh * p.strideH - p.padTop + kh * p.dilationH
        let slot = ih / p.dilationH % p.kh
        if kh == rows.lowerBound { firstSlot = slot }
        guard held[slot] != ih else { continue }
        held[slot] = ih
        copyChannels(
            from: src + ih * p.iw * p.ic + channel, step: p.ic, to: ring + slot * rowFloats, width: width,
            channels: channels, pixels: p.iw)
    }
    let whole = channels == width
    let largest = min(tilePixels, whole ? largestPixels(vectors: vectors) : largestMaskedPixels)
    var t = DepthwiseTileArguments(
        src: ring, weights: weights, bias: bias.map { $0 + channel }, dst: dst, pixelStep: p.strideW * width,
        rows: rows.count, columns: 0, rowStep: rowFloats, columnStep: p.dilationW * width, weightRowStep: p.kw * width,
        weightColumnStep: width, wrapAt: UnsafePointer(ring + p.kh * rowFloats), wrapBy: p.kh * rowFloats,
        dstStep: p.ic, activation: p.activation, lastLanes: channels - (vectors - 1) * lanes, tiles: 1, groups: 1)
    let groupWeights = weights + groups.firstChannel(group) * p.kh * p.kw
    let row = dst + oh * p.ow * p.ic + channel
    for segment in segments {
        t.columns = segment.taps.count
        t.weights = groupWeights + (rows.lowerBound * p.kw + segment.taps.lowerBound) * width
        var ow = segment.outputs.lowerBound
        while ow < segment.outputs.upperBound {
            let left = segment.outputs.upperBound - ow
            let pixels = min(largest, left)
            t.tiles = left / pixels
            // With no live tap nothing is read.
            let iw = t.rows * t.columns == 0 ? 0 : ow * p.strideW - p.padLeft + segment.taps.lowerBound * p.dilationW
            t.src = UnsafePointer(ring + firstSlot * rowFloats + iw * width)
            t.dst = row + ow * p.ic
            if whole { runDepthwiseTile(pixels, vectors, t) } else { runMaskedDepthwiseTile(pixels, t) }
            ow += pixels * t.tiles
        }
    }
}

/// Copies `channels` of each of `pixels` pixels, `step` floats apart, to places of `width` floats side by side.
@inline(__always)
private func copyChannels(
    from source: UnsafePointer<Float>, step: Int, to target: UnsafeMutablePointer<Float>, width: Int, channels: Int,
    pixels: Int
) {
    guard channels == width else {
        for pixel in 0..<pixels { store(target + pixel &* width, loadLanes(source + pixel &* step, 0, channels)) }
        return
    }
    var from = source
    var to = target
    for _ in 0..<pixels {
        var v = 0
        while v < width {
            store(to + v, load(from + v))
            v &+= lanes
        }
        from += step
        to += width
    }
}
