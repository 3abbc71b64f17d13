import CVector
import ConvCore
import ThreadPool

/// Pointwise convolution as a blocked matrix product, NHWC: dst[pixel][oc] = Σ src[pixel][ic] · weights[ic][oc].
///
/// Activations are broadcast straight from src (no copy of them at all), weights are packed into panels at plan time, and
/// m × n accumulators stay in registers over a block of k input channels. For each block of `r` pixels (kept in L2) and
/// each panel (in L1 where k · n is small, else in L2) all tiles of m pixels run, each reading the panel once. Compute-bound.
/// Threads share the grid of pixel blocks × panels.
/// Loop structure: Goto, van de Geijn, "Anatomy of high-performance matrix multiplication", TOMS 2008, without packing A.
let pointwiseTile = Kernel(
    name: "pw-tile-\(isaName)", layer: .pw, family: .tiled, isa: isaName, layout: .nhwc, threaded: true,
    stridesDst: true,
    summary: "blocked matrix product on register tiles, weights packed, activations broadcast in place",
    space: tileSpace(constraint: "m·n + n + 1 ≤ \(vectorRegisters) registers, and a compiled tile") { _ in true },
    memory: { p, c, _ in Kernel.Memory(packed: 4 * PackedPanels(p, width: c["n"] * lanes).count) },
    plan: { p, c, inputs in
        let panels = PackedPanels(p, width: c["n"] * lanes)
        let packed = inputs.packed.assumingMemoryBound(to: Float.self)
        panels.pack(inputs.weights, group: 0, ocPerGroup: p.oc, into: packed)
        let (m, k, r) = (c["m"], c["k"], c["r"])
        let rows = p.batch * p.oh * p.ow
        let grid = TileGrid(rows: rows, tileRows: m, panels: panels.panels, threads: inputs.threads)
        let dstStep = inputs.dstStep ?? p.oc
        let isFar = liesFar(p, inputs)
        let follows = inputs.srcIsPart ? min(r, rows) * p.ic : 0
        return Kernel.Plan { [bias = inputs.bias, pool = inputs.pool] src, dst in
            // What is computed next, if this is not the end of the map.
            let next = follows > 0 ? UnsafeBufferPointer(start: src + rows * p.ic, count: follows) : nil
            pool.run { index in
                runPointwiseBlocks(
                    p, rows: grid.rows(of: index), panelRange: grid.panels(of: index), panels: panels, m: m, depthBlock: k, rowBlock: r,
                    src: src, srcStep: p.ic, isFar: isFar, weights: packed, bias: bias, dst: dst, dstStep: dstStep, next: next)
            }
        }
    })

/// The same product on blocks of 16 channels: a block of them is a tap of the sum, and every vector of output channels, or two of a
/// half or four of a quarter of a block, goes to a map of its own.
let pointwiseTileBlocked = Kernel(
    name: "pw-tile-blocked-\(isaName)", layer: .pw, family: .tiled, isa: isaName, layout: .nchw16c, threaded: true,
    summary: "blocked matrix product on register tiles, weights packed, activations broadcast from blocks of channels",
    space: tileSpace(constraint: "m·n + n + 1 ≤ \(vectorRegisters) registers, a compiled tile, and panels that part no block") { c in
        lanes == Layout.blockChannels || Layout.blockChannels % (c["n"] * lanes) == 0
    },
    supports: { p in wholeBlocks(p.ic, insteadOf: "pw-tile").and(wholeBlocks(p.oc, insteadOf: "pw-tile")) },
    memory: { p, c, _ in Kernel.Memory(packed: panelBytes(p, c) + p.ic / Layout.blockChannels * MemoryLayout<Tap>.stride) },
    plan: { p, c, inputs in
        let panels = PackedPanels(p, width: c["n"] * lanes)
        let packed = inputs.packed.assumingMemoryBound(to: Float.self)
        panels.pack(inputs.weights, group: 0, ocPerGroup: p.oc, into: packed)
        let taps = (inputs.packed + panelBytes(p, c)).assumingMemoryBound(to: Tap.self)
        let pixels = p.oh * p.ow
        let block = Layout.blockChannels
        for i in 0..<p.ic / block { taps[i] = Tap(a: i * block * pixels, b: i * block * panels.width) }
        let (m, k, r) = (c["m"], c["k"], c["r"])
        let grid = TileGrid(rows: p.batch * pixels, tileRows: m, panels: panels.panels, threads: inputs.threads)
        let isFar = liesFar(p, inputs)
        return Kernel.Plan { [bias = inputs.bias, pool = inputs.pool] src, dst in
            pool.run { index in
                eachImage(of: grid.rows(of: index), pixels: pixels) { image, rows in
                    runPointwiseBlocks(
                        p, rows: rows, panelRange: grid.panels(of: index), panels: panels, m: m, depthBlock: k, rowBlock: r,
                        src: src + image * pixels * p.ic, srcStep: block, isFar: isFar, weights: packed, bias: bias,
                        dst: dst + image * pixels * p.oc, dstStep: block, blocks: (block * pixels, UnsafePointer(taps)))
                }
            }
        }
    })

/// The same product on planes, as PyTorch hands a map over, into NHWC: the pixels of a tile are neighbours in every plane. What would be
/// copied into another layout for one or two readers need not be.
let pointwiseTileFromPlanes = Kernel(
    name: "pw-tile-from-planes-\(isaName)", layer: .pw, family: .tiled, isa: isaName, layout: .nhwc, srcLayout: .nchw, threaded: true,
    stridesDst: true,
    summary: "blocked matrix product on register tiles, weights packed, activations broadcast from planes, pixels of dst side by side",
    space: tileSpace(constraint: "m·n + n + 1 ≤ \(vectorRegisters) registers, and a compiled tile") { _ in true },
    memory: { p, c, _ in Kernel.Memory(packed: 4 * PackedPanels(p, width: c["n"] * lanes).count) },
    plan: { p, c, inputs in
        let panels = PackedPanels(p, width: c["n"] * lanes)
        let packed = inputs.packed.assumingMemoryBound(to: Float.self)
        panels.pack(inputs.weights, group: 0, ocPerGroup: p.oc, into: packed)
        let pixels = p.oh * p.ow
        let (m, k, r) = (c["m"], c["k"], c["r"])
        let grid = TileGrid(rows: p.batch * pixels, tileRows: m, panels: panels.panels, threads: inputs.threads)
        let dstStep = inputs.dstStep ?? p.oc
        let channelStep = inputs.srcChannelStep ?? pixels
        let isFar = liesFar(p, inputs)
        return Kernel.Plan { [bias = inputs.bias, pool = inputs.pool] src, dst in
            pool.run { index in
                eachImage(of: grid.rows(of: index), pixels: pixels) { image, rows in
                    runPointwiseBlocks(
                        p, rows: rows, panelRange: grid.panels(of: index), panels: panels, m: m, depthBlock: k, rowBlock: r,
                        src: src + image * channelStep * p.ic, srcStep: 1, srcChannelStep: channelStep, isFar: isFar, weights: packed,
                        bias: bias, dst: dst + image * pixels * dstStep, dstStep: dstStep)
                }
            }
        }
    })

/// The same product into planes, as PyTorch expects a map. The sums of a panel and of as many pixels as fill cache lines of the planes go
/// to a buffer in L1 and are turned over there: the lines are on their way to memory while the next sums are made. A map that is
/// turned over as a whole is written and read once more, at the speed of memory.
let pointwiseTileToPlanes = Kernel(
    name: "pw-tile-to-planes-\(isaName)", layer: .pw, family: .tiled, isa: isaName, layout: .nchw, srcLayout: .nhwc, threaded: true,
    summary: "blocked matrix product on register tiles, weights packed, activations broadcast in place, sums turned over into planes",
    space: ConfigurationSpace(
        [tileParameters[0], tileParameters[1], tileParameters[3]],
        constraint: "m·n + n + 1 ≤ \(vectorRegisters) registers, and a compiled tile", admits: { isCompiledTile($0["m"], $0["n"]) }),
    memory: { p, c, threads in
        let panels = PackedPanels(p, width: c["n"] * lanes)
        return Kernel.Memory(
            packed: 4 * panels.count, scratch: threads * AlignedMemory.rounded(4 * pixelsTurnedOver(c["m"]) * panels.width))
    },
    plan: { p, c, inputs in
        let panels = PackedPanels(p, width: c["n"] * lanes)
        let packed = inputs.packed.assumingMemoryBound(to: Float.self)
        panels.pack(inputs.weights, group: 0, ocPerGroup: p.oc, into: packed)
        let pixels = p.oh * p.ow
        let m = c["m"]
        let lines = pixelsOfWholeLines(m)
        let group = pixelsTurnedOver(m)
        // Every block begins with a line of the planes.
        let r = (c["r"] + group - 1) / group * group
        let grid = TileGrid(rows: p.batch * pixels, tileRows: lines, panels: panels.panels, threads: inputs.threads)
        let channelStep = inputs.dstChannelStep ?? pixels
        let isFar = liesFar(p, inputs)
        let follows = inputs.srcIsPart ? min(r, pixels) * p.ic : 0
        return Kernel.Plan { [bias = inputs.bias, pool = inputs.pool, scratch = inputs.scratch] src, dst in
            // What is computed next, if this is not the end of the map.
            let next = follows > 0 ? UnsafeBufferPointer(start: src + p.batch * pixels * p.ic, count: follows) : nil
            let past = goesPast(dst, step: channelStep) && 4 * p.batch * p.oc * channelStep >= planesPastBytes
            pool.run { index in
                let sums = (scratch + index * AlignedMemory.rounded(4 * group * panels.width)).assumingMemoryBound(to: Float.self)
                eachImage(of: grid.rows(of: index), pixels: pixels) { image, rows in
                    runPointwiseBlocks(
                        p, rows: rows, panelRange: grid.panels(of: index), panels: panels, m: m, depthBlock: p.ic, rowBlock: r,
                        src: src + image * pixels * p.ic, srcStep: p.ic, isFar: isFar, weights: packed, bias: bias,
                        dst: dst + image * channelStep * p.oc, dstStep: 1, planes: (sums, group, channelStep, past), next: next)
                }
                if past { atrous_finish_stores() }
            }
        }
    })

/// Pixels of whole tiles that are whole cache lines of a plane.
private func pixelsOfWholeLines(_ m: Int) -> Int {
    let line = 16
    return (1...line).lazy.map { m * $0 }.first { $0 % line == 0 }!
}

/// Pixels of a buffer.
private func pixelsTurnedOver(_ m: Int) -> Int {
    let lines = pixelsOfWholeLines(m)
    return (64 + lines - 1) / lines * lines
}

/// Maps of so many bytes or more, which the next reader finds in no cache of his own anyway, go past the caches.
private let planesPastBytes = 2 << 20

/// The parts of a range of pixels that lie in one image each, counted from its first pixel.
@inline(__always)
private func eachImage(of rows: Range<Int>, pixels: Int, _ run: (_ image: Int, _ rows: Range<Int>) -> Void) {
    var row = rows.lowerBound
    while row < rows.upperBound {
        let image = row / pixels
        let end = min(rows.upperBound, (image + 1) * pixels)
        run(image, row - image * pixels..<end - image * pixels)
        row = end
    }
}

private func panelBytes(_ p: Problem, _ c: Configuration) -> Int {
    AlignedMemory.rounded(4 * PackedPanels(p, width: c["n"] * lanes).count)
}

private let tileParameters = [
    Parameter("m", [4, 5, 6, 8, 10, 12], standard: standardTileRows, "pixels in a register tile"),
    Parameter("n", [1, 2, 3, 4], standard: 2, "vectors of output channels in a register tile"),
    // Blocks of 512 were 1 to 4 % slower on a Zen 5 from 1024 channels on.
    Parameter("k", [128, 256, 512, 1024, 4096], standard: 4096, "input channels per block of the reduction"),
    Parameter("r", [48, 120, 240, 100_000], standard: 120, "pixels per block"),
]

private func tileSpace(constraint: String, admits: @escaping @Sendable (Configuration) -> Bool) -> ConfigurationSpace {
    ConfigurationSpace(
        tileParameters, constraint: constraint, admits: { c in isCompiledTile(c["m"], c["n"]) && admits(c) })
}

/// Where sums go before they are turned over, the pixels of which there is room for, floats from one plane of dst to the next, and whether
/// dst goes past the caches.
typealias PlaneTarget = (sums: UnsafeMutablePointer<Float>, pixels: Int, step: Int, past: Bool)

/// Whether src is so large that L2 does not hold it; of few channels it needs no help to be there in time, unless others ran in between.
func liesFar(_ p: Problem, _ inputs: Kernel.PlanInputs) -> Bool {
    inputs.srcIsPart || p.ic >= 128 && 4 * p.ic * p.batch * p.ih * p.iw > 1 << 20
}

/// Of blocks of channels and of planes, in which the values of one pixel lie apart: the source is asked for so many pixels ahead. Without, 512 to 128 channels
/// on 80 × 80 pixels took 1.2 times as long on a Zen 5; when every panel asks, 4096 to 1024 on 20 × 20 1.06 times.
private let farthestAhead = 120

/// Weights of more than half of an L2 of 1 MiB come from beyond it for every block of rows. Each panel is asked for while the one before
/// it is multiplied, spread over its tiles: 4096 to 1024 channels on 20 × 20 pixels, 16 MiB of weights, took 0.90 of the time on a
/// Zen 5, with whole reductions 0.94; others as before.
private let farWeightBytes = 1 << 19

/// Pixels `rows` × panels `panelRange` of the product; the pixels of src and dst lie `srcStep` and `dstStep` floats apart, and the channels
/// of src, where they are not in `blocks`, `srcChannelStep`. `isFar`: src
/// lies beyond the private caches. While a block of rows is multiplied, the source of the next is asked for then, and behind the last what
/// `next` names. `planes`: dst is planes.

@inline(never)
func runPointwiseBlocks(
    _ p: Problem, rows: Range<Int>, panelRange: Range<Int>, panels: PackedPanels, m: Int, depthBlock: Int,
    rowBlock: Int, src: UnsafePointer<Float>, srcStep: Int, srcChannelStep: Int = 1, isFar: Bool, weights: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
    dst: UnsafeMutablePointer<Float>, dstStep: Int, blocks: ChannelBlocks? = nil, planes: PlaneTarget? = nil, next: UnsafeBufferPointer<Float>? = nil
) {
    // More threads than panels, over which the grid may be cut all the same.
    guard !panelRange.isEmpty else { return }
    func offset(channel: Int) -> Int {
        blocks.map { channel / Layout.blockChannels * $0.step + channel % Layout.blockChannels } ?? channel
    }
    let isApart = blocks != nil || srcChannelStep > 1
    let weightsLieFar = 4 * panels.count > farWeightBytes
    var tap = Tap(a: 0, b: 0)
    withUnsafePointer(to: &tap) { tap in
        var rowStart = rows.lowerBound
        while rowStart < rows.upperBound {
            let rowEnd = min(rowStart + rowBlock, rows.upperBound)
            let ahead = !isFar || isApart ? nil : rowEnd < rows.upperBound
                ? UnsafeBufferPointer(start: src + rowEnd * p.ic, count: min(rowBlock, rows.upperBound - rowEnd) * p.ic)
                : next
            // An equal part of it with every tile.
            let allTiles = panelRange.count * ((rowEnd - rowStart + m - 1) / m) * ((p.ic + depthBlock - 1) / depthBlock)
            let part = ahead.map { ($0.count + allTiles - 1) / allTiles } ?? 0
            var asked = 0
            var depthStart = 0
            while depthStart < p.ic {
                let depth = min(depthBlock, p.ic - depthStart)
                for panel in panelRange {
                    let column = panel * panels.width
                    let columns = min(panels.width, p.oc - column)
                    // A panel whose last vectors are all filling is served by a narrower tile of the same stride.
                    let vectors = (columns + lanes - 1) / lanes
                    let start: TileArguments.Start =
                        depthStart > 0 ? .partial : bias.map { .columns($0 + column) } ?? .zero
                    let a = src + (blocks == nil ? depthStart * srcChannelStep : offset(channel: depthStart))
                    let c = planes.map { $0.sums } ?? dst + offset(channel: column)
                    let cRow = planes == nil ? dstStep : panels.width
                    var t = TileArguments(
                        a: a, b: weights + panel * panels.panelCount + depthStart * panels.width, c: c,
                        taps: tap, tapCount: 1, depth: depth, aRow: srcStep, aStep: blocks == nil ? srcChannelStep : 1, bStep: panels.width,
                        cRow: cRow, start: start, finish: depthStart + depth == p.ic, activation: p.activation,
                        lastLanes: columns - (vectors - 1) * lanes, prefetchesC: blocks == nil && planes == nil && dstStep != p.oc,
                        aheadStep: (part + depth - 1) / depth, aheadTileStep: part)
                    if let blocks {
                        (t.taps, t.tapCount, t.depth) = (blocks.taps, depth / Layout.blockChannels, Layout.blockChannels)
                        if lanes == Layout.blockChannels { t.cVector = blocks.step }
                    }
                    // The panels after the first find it in L2.
                    let asks = isApart && isFar && panel == panelRange.lowerBound
                    /// The first of the rows that lie in C.
                    var firstRow = 0
                    func run(_ m: Int, tiles: Int, from row: Int) {
                        t.tiles = tiles
                        t.a = a + row * srcStep
                        t.c = c + (row - firstRow) * cRow
                        if asks {
                            t.ahead = t.a + min(rowBlock, farthestAhead) * srcStep
                            t.aheadTileStep = m * srcStep
                            // Of a block of channels the lines of as many pixels, in the time of its terms; of planes one line each.
                            (t.aheadStep, t.aheadFollowsTaps) = blocks != nil ? (m, true) : (srcChannelStep, false)
                        }
                        if let ahead, asked < ahead.count {
                            t.ahead = ahead.baseAddress! + asked
                            asked += tiles * part
                        }
                        runPackedTile(m, vectors, t)
                    }
                    let tiles = (rowEnd - rowStart) / m
                    let left = (rowEnd - rowStart) % m
                    if weightsLieFar, tiles > 0 {
                        // What of the weights is read next: the next panel's part, or that of the first panel for the next terms or rows.
                        let isLast = panel == panelRange.upperBound - 1
                        let nextDepth = !isLast ? depthStart : depthStart + depth < p.ic ? depthStart + depth : 0
                        let share = (depth * panels.width + tiles - 1) / tiles
                        t.later = weights + (isLast ? panelRange.lowerBound : panel + 1) * panels.panelCount + nextDepth * panels.width
                        (t.laterStep, t.laterTileStep) = ((share + depth - 1) / depth, share)
                    }
                    guard let planes else {
                        if tiles > 0 { run(m, tiles: tiles, from: rowStart) }
                        if left > 0 { run(left, tiles: 1, from: rowEnd - left) }
                        continue
                    }
                    firstRow = rowStart
                    while firstRow < rowEnd {
                        let count = min(planes.pixels, rowEnd - firstRow)
                        let (tiles, left) = count.quotientAndRemainder(dividingBy: m)
                        if tiles > 0 { run(m, tiles: tiles, from: firstRow) }
                        if left > 0 { run(left, tiles: 1, from: firstRow + tiles * m) }
                        if let later = t.later { t.later = later + tiles * t.laterTileStep }
                        turnOver(
                            planes.sums, panels.width, count, columns, dst + (column * planes.step + firstRow), planes.step, past: planes.past)
                        firstRow += count
                    }
                }
                depthStart += depth
            }
            rowStart = rowEnd
        }
    }
}
