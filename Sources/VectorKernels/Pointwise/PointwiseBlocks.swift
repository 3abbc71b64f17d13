import ConvCore

// The loops that the blocked products share.

/// Whether every vector of dst's channels is whole, as what follows a sum in its registers must find it.
func wholeVectorsOfOutput(_ p: Problem) -> Kernel.Support {
    p.oc % lanes == 0 ? .yes : .no(reason: "\(p.oc) channels are no whole vectors of \(lanes)")
}

/// The parts of a range of pixels that lie in one image each, counted from its first pixel.
@inline(__always)
func eachImage(of rows: Range<Int>, pixels: Int, _ run: (_ image: Int, _ rows: Range<Int>) -> Void) {
    var row = rows.lowerBound
    while row < rows.upperBound {
        let image = row / pixels
        let end = min(rows.upperBound, (image + 1) * pixels)
        run(image, row - image * pixels..<end - image * pixels)
        row = end
    }
}

/// Where sums go before they are turned over, the pixels of which there is room for, floats from one plane of dst to the next, and whether
/// dst goes past the caches.
typealias PlaneTarget = (sums: UnsafeMutablePointer<Float>, pixels: Int, step: Int, past: Bool)

/// Whether src is so large that L2 does not hold it; of few channels it needs no help to be there in time, unless others ran in between.
func liesFar(_ p: Problem, _ inputs: Kernel.PlanInputs) -> Bool {
    inputs.srcIsPart || p.ic >= 128 && 4 * p.ic * p.batch * p.ih * p.iw > 1 << 20
}

/// Of blocks of channels and of planes, in which the values of one pixel lie apart: the source is asked for so many pixels ahead. Without,
/// 512 to 128 channels in blocks on 80 × 80 pixels took 1.2 times as long on a Zen 5; when every panel asks, 4096 to 1024 on 20 × 20
/// 1.06 times.
private let farthestAhead = 120

/// Weights of more than half of an L2 of 1 MiB come from beyond it for every block of rows. Each panel is asked for while the one before
/// it is multiplied, spread over its tiles: 4096 to 1024 channels on 20 × 20 pixels, 16 MiB of weights, took 0.90 of the time on a
/// Zen 5, with whole reductions 0.94; others as before.
private let farWeightBytes = 1 << 19

/// Pixels `rows` × panels `panelRange` of the product; the pixels of src and dst lie `srcStep` and `dstStep` floats apart, and the channels
/// of src, where they are not in `blocks`, `srcChannelStep`. `isFar`: src lies beyond the private caches. While a block of rows is
/// multiplied, the source of the next is asked for then, and behind the last what `next` names. `following`: what dst goes through. With
/// `planes` dst is in planes, and each block but the last of whole buffers.
///
/// Tried: blocks of equal rows, where the last is much smaller (no change).
@inline(never)
func runPointwiseBlocks(
    _ p: Problem, rows: Range<Int>, panelRange: Range<Int>, panels: PackedPanels, m: Int, depthBlock: Int,
    rowBlock: Int, src: UnsafePointer<Float>, srcStep: Int, srcChannelStep: Int = 1, isFar: Bool, weights: UnsafePointer<Float>,
    bias: UnsafePointer<Float>?, following: Kernel.Following? = nil, dst: UnsafeMutablePointer<Float>, dstStep: Int, blocks: ChannelBlocks? = nil, planes: PlaneTarget? = nil,
    next: UnsafeBufferPointer<Float>? = nil
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
                        following: following?.from(channel: column),
                        lastLanes: columns - (vectors - 1) * lanes, prefetchesC: blocks == nil && planes == nil && dstStep != p.oc,
                        aTileStep: m * srcStep, cTileStep: m * cRow, aheadStep: (part + depth - 1) / depth, aheadTileStep: part)
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
