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
                let rows = grid.rows(of: index)
                var row = rows.lowerBound
                while row < rows.upperBound {
                    let image = row / pixels
                    let end = min(rows.upperBound, (image + 1) * pixels)
                    runPointwiseBlocks(
                        p, rows: row - image * pixels..<end - image * pixels, panelRange: grid.panels(of: index), panels: panels, m: m,
                        depthBlock: k, rowBlock: r, src: src + image * pixels * p.ic, srcStep: block, isFar: isFar, weights: packed,
                        bias: bias, dst: dst + image * pixels * p.oc, dstStep: block, blocks: (block * pixels, UnsafePointer(taps)))
                    row = end
                }
            }
        }
    })

private func panelBytes(_ p: Problem, _ c: Configuration) -> Int {
    AlignedMemory.rounded(4 * PackedPanels(p, width: c["n"] * lanes).count)
}

private func tileSpace(constraint: String, admits: @escaping @Sendable (Configuration) -> Bool) -> ConfigurationSpace {
    ConfigurationSpace(
        [
            Parameter("m", [4, 5, 6, 8, 10, 12], standard: standardTileRows, "pixels in a register tile"),
            Parameter("n", [1, 2, 3, 4], standard: 2, "vectors of output channels in a register tile"),
            // Blocks of 512 were 1 to 4 % slower on a Zen 5 from 1024 channels on.
            Parameter("k", [128, 256, 512, 1024, 4096], standard: 4096, "input channels per block of the reduction"),
            Parameter("r", [48, 120, 240, 100_000], standard: 120, "pixels per block"),
        ],
        constraint: constraint, admits: { c in isCompiledTile(c["m"], c["n"]) && admits(c) })
}

/// Whether src is so large that L2 does not hold it; of few channels it needs no help to be there in time, unless others ran in between.
func liesFar(_ p: Problem, _ inputs: Kernel.PlanInputs) -> Bool {
    inputs.srcIsPart || p.ic >= 128 && 4 * p.ic * p.batch * p.ih * p.iw > 1 << 20
}

/// Of blocks of channels, whose lines of one pixel lie apart: the source is asked for so many pixels ahead. Without, 512 to 128 channels
/// on 80 × 80 pixels took 1.2 times as long on a Zen 5; when every panel asks, 4096 to 1024 on 20 × 20 1.06 times.
private let farthestAhead = 120

/// Weights of more than half of an L2 of 1 MiB come from beyond it for every block of rows. Each panel is asked for while the one before
/// it is multiplied, spread over its tiles: 4096 to 1024 channels on 20 × 20 pixels, 16 MiB of weights, took 0.90 of the time on a
/// Zen 5, with whole reductions 0.94; others as before.
private let farWeightBytes = 1 << 19

/// Pixels `rows` × panels `panelRange` of the product; the pixels of src and dst lie `srcStep` and `dstStep` floats apart. `isFar`: src
/// lies beyond the private caches. While a block of rows is multiplied, the source of the next is asked for then, and behind the last what
/// `next` names.
@inline(never)
func runPointwiseBlocks(
    _ p: Problem, rows: Range<Int>, panelRange: Range<Int>, panels: PackedPanels, m: Int, depthBlock: Int,
    rowBlock: Int, src: UnsafePointer<Float>, srcStep: Int, isFar: Bool, weights: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
    dst: UnsafeMutablePointer<Float>, dstStep: Int, blocks: ChannelBlocks? = nil, next: UnsafeBufferPointer<Float>? = nil
) {
    // More threads than panels, over which the grid may be cut all the same.
    guard !panelRange.isEmpty else { return }
    func offset(channel: Int) -> Int {
        blocks.map { channel / Layout.blockChannels * $0.step + channel % Layout.blockChannels } ?? channel
    }
    let weightsLieFar = 4 * panels.count > farWeightBytes
    var tap = Tap(a: 0, b: 0)
    withUnsafePointer(to: &tap) { tap in
        var rowStart = rows.lowerBound
        while rowStart < rows.upperBound {
            let rowEnd = min(rowStart + rowBlock, rows.upperBound)
            let ahead = !isFar || blocks != nil ? nil : rowEnd < rows.upperBound
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
                    let (a, c) = (src + offset(channel: depthStart), dst + offset(channel: column))
                    var t = TileArguments(
                        a: a, b: weights + panel * panels.panelCount + depthStart * panels.width, c: c,
                        taps: tap, tapCount: 1, depth: depth, aRow: srcStep, aStep: 1, bStep: panels.width,
                        cRow: dstStep, start: start, finish: depthStart + depth == p.ic, activation: p.activation,
                        lastLanes: columns - (vectors - 1) * lanes, prefetchesC: blocks == nil && dstStep != p.oc,
                        aheadStep: (part + depth - 1) / depth, aheadTileStep: part)
                    if let blocks {
                        (t.taps, t.tapCount, t.depth) = (blocks.taps, depth / Layout.blockChannels, Layout.blockChannels)
                        if lanes == Layout.blockChannels { t.cVector = blocks.step }
                    }
                    // The panels after the first find it in L2.
                    let asks = blocks != nil && isFar && panel == panelRange.lowerBound
                    func run(_ m: Int, tiles: Int, from row: Int) {
                        t.tiles = tiles
                        t.a = a + row * srcStep
                        t.c = c + row * dstStep
                        if asks {
                            // The lines of as many pixels of the same block, in the time of its terms.
                            t.ahead = t.a + min(rowBlock, farthestAhead) * srcStep
                            (t.aheadStep, t.aheadTileStep, t.aheadFollowsTaps) = (m, m * srcStep, true)
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
                    if tiles > 0 { run(m, tiles: tiles, from: rowStart) }
                    if left > 0 { run(left, tiles: 1, from: rowEnd - left) }
                }
                depthStart += depth
            }
            rowStart = rowEnd
        }
    }
}
