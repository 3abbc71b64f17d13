import ConvCore
import ThreadPool

/// Dense or grouped convolution as an implicit matrix product, NHWC: no im2col buffer exists.
///
/// A register tile holds m neighbouring output pixels of one row × n vectors of output channels over all live taps and
/// input channels; for each tap it reads src at that tap's offset. The columns of a row are cut where the set of live
/// taps changes (`Axis.segments`), so a tap in the padding costs nothing. Weights are packed into panels per group.
/// Compute-bound. Threads share output rows × panels.
let denseTile = Kernel(
    name: "conv-tile-\(isaName)", layer: .conv, family: .tiled, isa: isaName, layout: .nhwc, threaded: true,
    stridesDst: true,
    summary: "implicit matrix product on register tiles, weights packed, dead taps skipped",
    space: ConfigurationSpace(
        [
            Parameter("m", [4, 5, 6, 8, 10, 12], standard: vectorRegisters == 32 ? 8 : 6, "pixels in a register tile"),
            Parameter("n", [1, 2, 3, 4], standard: 2, "vectors of output channels in a register tile"),
        ],
        constraint: "m·n + n + 1 ≤ \(vectorRegisters) registers, and a compiled tile",
        admits: { c in fitsRegisters(c["m"], c["n"]) && c["m"] <= largestRows(vectors: c["n"]) }),
    memory: { p, c, threads in
        Kernel.Memory(
            packed: 4 * p.groups * PackedPanels(p, width: c["n"] * lanes).count,
            scratch: threads * AlignedMemory.rounded(p.kh * p.kw * MemoryLayout<Tap>.stride))
    },
    plan: { p, c, inputs in
        let panels = PackedPanels(p, width: c["n"] * lanes)
        let packed = inputs.packed.assumingMemoryBound(to: Float.self)
        for group in 0..<p.groups {
            panels.pack(inputs.weights, group: group, ocPerGroup: p.ocPerGroup, into: packed + group * panels.count)
        }
        let job = DenseJob(
            problem: p, panels: panels, tileRows: c["m"], weights: packed,
            bias: inputs.bias, segments: p.columns.segments,
            dstStep: inputs.dstStep ?? p.oc)
        let tapBytes = AlignedMemory.rounded(p.kh * p.kw * MemoryLayout<Tap>.stride)
        let units = p.batch * p.oh * p.groups * panels.panels
        return Kernel.Plan { [pool = inputs.pool, scratch = inputs.scratch] src, dst in
            pool.run { index in
                let share = ThreadPool.share(of: units, index: index, parts: pool.threads)
                let taps = (scratch + index * tapBytes).assumingMemoryBound(to: Tap.self)
                for unit in share { job.run(unit: unit, src: src, dst: dst, taps: taps) }
            }
        }
    })

private struct DenseJob {
    let problem: Problem
    let panels: PackedPanels
    let tileRows: Int
    let weights: UnsafePointer<Float>
    let bias: UnsafePointer<Float>?
    let segments: [Axis.Segment]
    let dstStep: Int

    /// One output row of one panel. Units run panel by panel, so a panel's weights stay in cache over the rows.
    func run(unit: Int, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>, taps: UnsafeMutablePointer<Tap>) {
        let p = problem
        let rowUnits = p.batch * p.oh
        let image = unit % rowUnits / p.oh
        let oh = unit % p.oh
        let group = unit / rowUnits / panels.panels
        let panel = unit / rowUnits % panels.panels
        let column = panel * panels.width
        let columns = min(panels.width, p.ocPerGroup - column)
        let channel = group * p.ocPerGroup + column
        let vectors = (columns + lanes - 1) / lanes
        let liveRows = p.rows.taps(oh)
        let srcImage = src + image * p.ih * p.iw * p.ic + group * p.icPerGroup
        let dstRow = dst + (image * p.oh + oh) * p.ow * dstStep + channel
        let panelWeights = weights + group * panels.count + panel * panels.panelCount
        for segment in segments {
            var count = 0
            for kh in liveRows {
                let ih = oh * p.strideH - p.padTop + kh * p.dilationH
                for kw in segment.taps {
                    taps[count] = Tap(
                        a: (ih * p.iw + kw * p.dilationW) * p.ic, b: (kh * p.kw + kw) * panels.depth * panels.width)
                    count += 1
                }
            }
            var ow = segment.outputs.lowerBound
            while ow < segment.outputs.upperBound {
                let pixels = min(tileRows, segment.outputs.upperBound - ow)
                runPackedTile(
                    pixels, vectors,
                    TileArguments(
                        a: srcImage + (ow * p.strideW - p.padLeft) * p.ic, b: panelWeights, c: dstRow + ow * dstStep,
                        taps: taps, tapCount: count, depth: panels.depth, aRow: p.strideW * p.ic, aStep: 1,
                        bStep: panels.width, cRow: dstStep, start: bias.map { .columns($0 + channel) } ?? .zero,
                        finish: true, activation: p.activation, lastLanes: columns - (vectors - 1) * lanes))
                ow += pixels
            }
        }
    }
}
