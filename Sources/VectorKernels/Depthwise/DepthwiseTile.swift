import ConvCore
import ThreadPool

/// Depthwise convolution, NHWC: channels lie along the vectors, so every load is whole and no shuffle is needed.
///
/// A tile of `t` neighbouring output pixels of one row × `v` vectors of channels stays in registers over all live taps;
/// each weight is loaded once per tile and used t times. The columns of a row are cut where the set of live taps changes
/// (`Axis.segments`), so border tiles run the same loop over fewer taps and no tap in the padding is touched. Rows are
/// taken in steps of the dilation (o, o + d, o + 2d, …): neighbours in that order share all but one of their input rows,
/// which then come from L1. Load-bound: t + 1 loads per t multiply-adds.
let depthwiseTile = Kernel(
    name: "dw-tile-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: .nhwc, threaded: true,
    // A single tap reads what the same tile then writes.
    runsInPlace: overwrites,
    summary: "register tile of pixels × channels on NHWC, dead taps skipped, rows in dilation order",
    space: ConfigurationSpace(
        [
            Parameter("t", [2, 3, 4, 5, 6, 8, 10], standard: multiplyAddIsFused ? 6 : 4, "pixels in a register tile"),
            Parameter("v", [1, 2, 3, 4], standard: vectorRegisters == 32 ? 4 : 2, "vectors of channels in a register tile"),
            Parameter("c", [1, 2, 4, 8, 1000], standard: 8, "register tiles of channels per pass over the map"),
        ],
        constraint: pixelConstraint,
        admits: { isCompiledPixelTile($0["t"], $0["v"]) }),
    memory: { p, _, _ in Kernel.Memory(packed: 4 * p.kh * p.kw * paddedChannels(p)) },
    plan: { p, c, inputs in
        let weights = inputs.packed.assumingMemoryBound(to: Float.self)
        packTapMajor(p, inputs.weights, into: weights)
        let job = DepthwiseJob(
            problem: p, tilePixels: c["t"], tileVectors: c["v"], blockChannels: c["c"] * c["v"] * lanes,
            weights: weights, bias: inputs.bias)
        return Kernel.Plan { [pool = inputs.pool] src, dst in
            pool.run { index in
                job.run(ThreadPool.share(of: job.units, index: index, parts: pool.threads), src: src, dst: dst)
            }
        }
    })

/// The map cut into units of work: a channel block × an image × a *row class* (output rows a dilation apart).
struct DepthwiseJob {
    let problem: Problem
    let tilePixels, tileVectors: Int
    /// Channels per unit.
    let blockChannels: Int
    let weights: UnsafePointer<Float>
    let bias: UnsafePointer<Float>?
    let segments: [Axis.Segment]
    let padded: Int
    let rowOrder: [Int]
    let channelBlocks: Int

    init(
        problem: Problem, tilePixels: Int, tileVectors: Int, blockChannels: Int, weights: UnsafePointer<Float>,
        bias: UnsafePointer<Float>?
    ) {
        self.problem = problem
        self.tilePixels = tilePixels
        self.tileVectors = tileVectors
        self.blockChannels = blockChannels
        self.weights = weights
        self.bias = bias
        segments = problem.columns.segments
        padded = paddedChannels(problem)
        channelBlocks = (problem.ic + blockChannels - 1) / blockChannels
        rowOrder = problem.outputRowsInDilationOrder
    }

    /// Rows of all channel blocks of all images; neighbours in number are neighbours in the row order.
    var units: Int { problem.batch * channelBlocks * problem.oh }

    func run(_ share: Range<Int>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>) {
        let p = problem
        for unit in share {
            let oh = rowOrder[unit % p.oh]
            let block = unit / p.oh % channelBlocks
            let image = unit / p.oh / channelBlocks
            let first = block * blockChannels
            runRow(
                oh: oh, channels: first..<min(first + blockChannels, p.ic), src: src + image * p.ih * p.iw * p.ic,
                dst: dst + (image * p.oh + oh) * p.ow * p.ic)
        }
    }

    /// One output row of one channel block. src is the image, dst the row.
    @inline(__always)
    func runRow(
        oh: Int, channels: Range<Int>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>
    ) {
        let p = problem
        let rows = p.rows.taps(oh)
        let ih = oh * p.strideH - p.padTop + rows.lowerBound * p.dilationH
        var t = DepthwiseTileArguments(
            src: src, weights: weights, bias: nil, dst: dst, pixelStep: p.strideW * p.ic, rows: rows.count, columns: 0,
            rowStep: p.dilationH * p.iw * p.ic, columnStep: p.dilationW * p.ic, weightRowStep: p.kw * padded,
            weightColumnStep: padded, dstStep: p.ic, activation: p.activation, lastLanes: lanes, tiles: 1, groups: 1)
        var channel = channels.lowerBound
        while channel < channels.upperBound {
            let left = channels.upperBound - channel
            // Whole vectors first, as wide as the tile; a rest of fewer lanes than a vector by itself.
            let vectors = max(1, min(tileVectors, left / lanes))
            t.groups = max(1, left / (vectors * lanes))
            t.lastLanes = min(left, lanes)
            t.bias = bias.map { $0 + channel }
            for segment in segments {
                runSegment(
                    segment, &t, ih: rows.isEmpty || segment.taps.isEmpty ? 0 : ih, firstRow: rows.lowerBound,
                    vectors: vectors, src: src + channel, dst: dst + channel, weights: weights + channel)
            }
            channel += t.groups * vectors * lanes
        }
    }

    /// Output columns with the same live taps: whole tiles, then one narrower tile.
    @inline(__always)
    private func runSegment(
        _ segment: Axis.Segment, _ t: inout DepthwiseTileArguments, ih: Int, firstRow: Int, vectors: Int,
        src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>, weights: UnsafePointer<Float>
    ) {
        let p = problem
        let whole = t.lastLanes == lanes
        let largest = whole ? largestPixels(vectors: vectors) : largestMaskedPixels
        let kw = segment.taps.lowerBound
        t.columns = segment.taps.count
        t.weights = weights + (firstRow * p.kw + kw) * padded
        var ow = segment.outputs.lowerBound
        while ow < segment.outputs.upperBound {
            let left = segment.outputs.upperBound - ow
            let pixels = min(tilePixels, left, largest)
            t.tiles = left / pixels
            // With no live tap the source is not read; the pointer stays at the image then.
            let iw = t.rows * t.columns == 0 ? 0 : ow * p.strideW - p.padLeft + kw * p.dilationW
            t.src = src + (ih * p.iw + iw) * p.ic
            t.dst = dst + ow * p.ic
            if whole { runDepthwiseTile(pixels, vectors, t) } else { runMaskedDepthwiseTile(pixels, t) }
            ow += pixels * t.tiles
        }
    }
}
