import ConvCore
import ThreadPool

/// Dense or grouped convolution as an implicit matrix product, NHWC: no im2col buffer exists.
///
/// A register tile holds m output pixels × n vectors of output channels over all live taps and input channels; for each tap
/// it reads src at that tap's offset. The map is cut into rectangles of pixels that share their live taps
/// (`Axis.segments`), so a tap in the padding costs nothing; a tile's pixels lie along the rectangle's row or its column,
/// whichever takes fewer tiles. Weights are packed into panels per group. Undilated taps of a row are one tap of as many times the
/// channels: one to three channels under 3 × 3 to 6 × 6 taps take 0.57 to 0.84 of the time on a Zen 3, sixteen and more as long as before.
/// Lost: blocks of 64, 128 or 256 input channels, no faster on any map tried; all panels over some rows while their inputs are in L2 (within 4 %).
/// Compute-bound. Threads share output rows × panels.
let denseTile = Kernel(
    name: "conv-tile-\(isaName)", layer: .conv, family: .tiled, isa: isaName, layout: .nhwc, threaded: true,
    stridesDst: true,
    summary: "implicit matrix product on register tiles, weights packed, dead taps skipped",
    space: ConfigurationSpace(
        [
            Parameter("m", [4, 5, 6, 8, 10, 12], standard: standardTileRows, "pixels in a register tile"),
            Parameter("n", [1, 2, 3, 4], standard: 2, "vectors of output channels in a register tile"),
        ],
        constraint: matrixTileConstraint,
        admits: { c in isCompiledTile(c["m"], c["n"]) }),
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
            bias: inputs.bias, rowSegments: p.rows.segments, segments: p.columns.segments,
            dstStep: inputs.dstStep ?? p.oc)
        let tapBytes = AlignedMemory.rounded(p.kh * p.kw * MemoryLayout<Tap>.stride)
        let units = p.batch * p.oh * p.groups * panels.panels
        return Kernel.Plan { [pool = inputs.pool, scratch = inputs.scratch] src, dst in
            pool.run { index in
                let share = ThreadPool.share(of: units, index: index, parts: pool.threads)
                let taps = (scratch + index * tapBytes).assumingMemoryBound(to: Tap.self)
                job.run(units: share, src: src, dst: dst, taps: taps)
            }
        }
    })

private struct DenseJob {
    let problem: Problem
    let panels: PackedPanels
    let tileRows: Int
    let weights: UnsafePointer<Float>
    let bias: UnsafePointer<Float>?
    let rowSegments: [Axis.Segment]
    let segments: [Axis.Segment]
    let dstStep: Int

    /// Units are output rows of a panel: panel by panel, so that a panel's weights stay in cache, and image by image.
    func run(units: Range<Int>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>, taps: UnsafeMutablePointer<Tap>) {
        let height = problem.oh
        var first = units.lowerBound
        while first < units.upperBound {
            let start = first / height * height
            let rows = (first - start)..<min(units.upperBound - start, height)
            let image = first / height % problem.batch
            let panel = first / height / problem.batch
            for segment in rowSegments {
                let part = segment.outputs.clamped(to: rows)
                guard !part.isEmpty else { continue }
                for columns in segments {
                    run(image, panel, rows: part, segment.taps, columns, src: src, dst: dst, taps: taps)
                }
            }
            first = start + rows.upperBound
        }
    }

    /// A rectangle of pixels that share their live taps.
    private func run(
        _ image: Int, _ panelOfAll: Int, rows: Range<Int>, _ liveRows: Range<Int>, _ segment: Axis.Segment,
        src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>, taps: UnsafeMutablePointer<Tap>
    ) {
        let p = problem
        let group = panelOfAll / panels.panels
        let panel = panelOfAll % panels.panels
        let column = panel * panels.width
        let columns = min(panels.width, p.ocPerGroup - column)
        let channel = group * p.ocPerGroup + column
        let vectors = (columns + lanes - 1) / lanes
        // Neighbouring pixels lie side by side, and so do their weights: a row of taps is one of as many times the channels.
        let joins = p.dilationW == 1 && p.groups == 1
        let tapsTogether = joins ? segment.taps.count : 1
        var count = 0
        for kh in liveRows {
            for kw in stride(from: segment.taps.lowerBound, to: segment.taps.upperBound, by: max(1, tapsTogether)) {
                taps[count] = Tap(
                    a: (kh * p.dilationH * p.iw + kw * p.dilationW) * p.ic,
                    b: (kh * p.kw + kw) * panels.depth * panels.width)
                count += 1
            }
        }
        // A line of pixels, then the next: src and dst steps along a line and from line to line, in floats.
        let (height, width) = (rows.count, segment.outputs.count)
        let along = height * tiles(width) <= width * tiles(height)
        let (lines, pixels) = along ? (height, width) : (width, height)
        let srcRow = p.strideH * p.iw * p.ic
        let srcColumn = p.strideW * p.ic
        let dstRow = p.ow * dstStep
        let (srcStep, srcLine) = along ? (srcColumn, srcRow) : (srcRow, srcColumn)
        let (step, line) = along ? (dstStep, dstRow) : (dstRow, dstStep)
        let firstRow = rows.lowerBound
        let firstColumn = segment.outputs.lowerBound
        let input = src + (image * p.ih * p.iw * p.ic + group * p.icPerGroup)
        let a = input + ((firstRow * p.strideH - p.padTop) * p.iw + firstColumn * p.strideW - p.padLeft) * p.ic
        let c = dst + ((image * p.oh + firstRow) * p.ow + firstColumn) * dstStep + channel
        var t = TileArguments(
            a: a, b: weights + (group * panels.count + panel * panels.panelCount), c: c, taps: taps, tapCount: count,
            depth: panels.depth * tapsTogether, aRow: srcStep, aStep: 1, bStep: panels.width, cRow: step,
            start: bias.map { .columns($0 + channel) } ?? .zero, finish: true, activation: p.activation,
            lastLanes: columns - (vectors - 1) * lanes)
        let parts = tiles(pixels)
        for number in 0..<lines {
            for part in 0..<parts {
                // Equal tiles: one or two pixels left over would not hide the latency of an FMA.
                let share = ThreadPool.share(of: pixels, index: part, parts: parts)
                t.a = a + number * srcLine + share.lowerBound * srcStep
                t.c = c + number * line + share.lowerBound * step
                runPackedTile(share.count, vectors, t)
            }
        }
    }

    private func tiles(_ pixels: Int) -> Int { (pixels + tileRows - 1) / tileRows }
}
