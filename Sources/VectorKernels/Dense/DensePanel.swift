import ConvCore
import ThreadPool

/// Dense or grouped convolution on PyTorch's layout, NCHW, as a matrix product: dst[oc][pixel] = Σ weights[oc][term] · unfolded[term][pixel], where a term is
/// a tap × an input channel and unfolded[term][pixel] the input that the pixel's tap meets.
///
/// The unfolded map never exists as a whole: for each panel of n vectors of pixels and so many input channels that their terms are about k, it is written into
/// a buffer that stays in the private caches, and all tiles of m output channels are multiplied from there. The pixels of a panel are neighbours in dst, over the
/// ends of its rows, so that narrow maps fill the vectors too; any stride, zeros where a tap meets the padding. Rows of taps that no pixel of a panel meets are
/// left out, and columns that none of the map does; others are multiplied in the padding, too, which on 20 × 20 makes 1.4 times as many terms under 3 × 3
/// taps at dilation 9 and 2.2 under 9 × 9. Weights are packed per tile at plan time. Compute-bound where a group has many output channels, each of which uses
/// an unfolded value once: `conv-tile` on NHWC, which copies nothing and leaves out every dead tap, takes 0.4 to 0.93 of the time; of groups of one or two
/// output channels `conv-direct` takes a third to a half. Threads share the grid of tiles of channels × panels, over the panels where they can.
///
/// Lost, on a Zen 3: terms tap by tap over all channels (4 % slower on 80 × 80, 11 to 15 % on maps whose planes lie a power of two apart: a line was met anew
/// for every tap); a row of a panel copied in one go (up to 5 % faster on wide maps, 8 % slower under 6 × 6 taps at a stride of 2); weights channel by channel
/// (up to 11 % slower).
/// Structure: San Juan, Castelló, Dolz, Alonso-Jordá, Quintana-Ortí, "High performance and portable convolution operators for multicore processors", SBAC-PAD 2020.
let densePanel = Kernel(
    name: "conv-panel-\(isaName)", layer: .conv, family: .tiled, isa: isaName, layout: .nchw, threaded: true,
    summary: "blocked matrix product on NCHW, weights packed, inputs unfolded panel by panel, dead rows of taps skipped",
    space: ConfigurationSpace(
        [
            Parameter("m", [4, 5, 6, 8, 10, 12], standard: standardTileRows, "output channels in a register tile"),
            Parameter("n", [1, 2, 3, 4], standard: vectorRegisters == 32 ? 3 : 2, "vectors of pixels in a register tile"),
            Parameter("k", [128, 256, 512, 4096], standard: vectorRegisters == 32 ? 256 : 512, "terms per block of the reduction, all taps of some input channels"),
        ],
        constraint: matrixTileConstraint,
        admits: { c in isCompiledTile(c["m"], c["n"]) }),
    memory: { p, c, threads in
        let job = UnfoldedJob(p, c, threads: threads)
        return Kernel.Memory(packed: 4 * job.packedCount, scratch: threads * (job.panelBytes + job.spanBytes))
    },
    plan: { p, c, inputs in
        let packed = inputs.packed.assumingMemoryBound(to: Float.self)
        let job = UnfoldedJob(p, c, threads: inputs.threads)
        job.pack(inputs.weights, into: packed)
        return Kernel.Plan { [bias = inputs.bias, pool = inputs.pool, scratch = inputs.scratch] src, dst in
            pool.run { index in
                let own = scratch + index * (job.panelBytes + job.spanBytes)
                job.run(
                    index, src: src, weights: packed, bias: bias, panel: own.assumingMemoryBound(to: Float.self),
                    spans: (own + job.panelBytes).assumingMemoryBound(to: Span.self), dst: dst)
            }
        }
    })

/// The pixels of a vector of a panel that lie in one row of outputs, under a column of taps: lanes `first` ..< `end`.
private struct Span {
    var first, end: Int
    /// The row of inputs under the first row of taps; it may lie in the padding.
    var row: Int
    /// The first pixel's column of outputs.
    var column: Int
    /// The column of inputs under lane 0, and which of the lanes meet the image.
    var input, firstLive, endLive: Int
}

/// To unfold a panel takes about as long as so many tiles: 12 % of the time under 3 × 3 taps on 64 to 64 channels of 80 × 80, eleven tiles each.
private let tilesOfUnfolding = 2

/// A class, since the copying of a large struct becomes a shared function with instructions of this level.
private final class UnfoldedJob: Sendable {
    let problem: Problem
    let tileRows: Int
    let width: Int
    /// The columns of taps that meet the image at all.
    let columns: Range<Int>
    /// Blocks of input channels of a group.
    let blocks: Int
    let panelsPerImage: Int
    let grid: TileGrid

    init(_ p: Problem, _ c: Configuration, threads: Int) {
        problem = p
        tileRows = c["m"]
        width = c["n"] * lanes
        columns = p.columns.taps(ofAny: 0..<p.ow)
        let most = max(1, c["k"] / max(1, p.kh * columns.count))
        blocks = (p.icPerGroup + most - 1) / most
        panelsPerImage = pixelPanels(p, most: c["n"])
        grid = TileGrid(
            rows: p.ocPerGroup, tileRows: c["m"], panels: p.batch * p.groups * panelsPerImage, threads: threads, panelCost: tilesOfUnfolding)
    }

    private var taps: Int { problem.kh * columns.count }
    private func channels(of block: Int) -> Range<Int> { ThreadPool.share(of: problem.icPerGroup, index: block, parts: blocks) }
    /// Output channels of a group, its last tile filled up.
    private var filledChannels: Int { (problem.ocPerGroup + tileRows - 1) / tileRows * tileRows }
    private var groupCount: Int { filledChannels * taps * problem.icPerGroup }
    var packedCount: Int { problem.groups * groupCount }
    var panelBytes: Int { AlignedMemory.rounded(4 * taps * ((problem.icPerGroup + blocks - 1) / blocks) * width) }
    var spanBytes: Int { AlignedMemory.rounded(mostSpans * MemoryLayout<Span>.stride) }
    /// The rows that the pixels of a vector may lie in.
    private var mostSpans: Int { min(lanes, (lanes - 2) / problem.ow + 2) }

    /// `[oc][ic / groups][kh][kw]` → per group, block and tile of channels `[kh][kw][channels of the block][m]`, zero-filled.
    func pack(_ weights: UnsafePointer<Float>, into packed: UnsafeMutablePointer<Float>) {
        let p = problem
        packed.update(repeating: 0, count: packedCount)
        for channel in 0..<p.oc {
            let (group, own) = channel.quotientAndRemainder(dividingBy: p.ocPerGroup)
            for block in 0..<blocks {
                let channels = channels(of: block)
                var target = packed + (group * groupCount + offset(tile: own / tileRows, channels) + own % tileRows)
                for kh in 0..<p.kh {
                    for kw in columns {
                        for c in channels {
                            target.pointee = weights[((channel * p.icPerGroup + c) * p.kh + kh) * p.kw + kw]
                            target += tileRows
                        }
                    }
                }
            }
        }
    }

    /// Of the weights of a tile and a block in a group.
    private func offset(tile: Int, _ channels: Range<Int>) -> Int {
        (channels.lowerBound * filledChannels + tile * tileRows * channels.count) * taps
    }

    /// Block by block, so that its weights stay in L2 over all panels.
    func run(
        _ index: Int, src: UnsafePointer<Float>, weights: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
        panel: UnsafeMutablePointer<Float>, spans: UnsafeMutablePointer<Span>, dst: UnsafeMutablePointer<Float>
    ) {
        guard !grid.rows(of: index).isEmpty else { return }
        for block in 0..<blocks {
            for number in grid.panels(of: index) {
                run(block, number, tiles: grid.rows(of: index), src: src, weights: weights, bias: bias, panel: panel, spans: spans, dst: dst)
            }
        }
    }

    private func run(
        _ block: Int, _ number: Int, tiles: Range<Int>, src: UnsafePointer<Float>, weights: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
        panel: UnsafeMutablePointer<Float>, spans: UnsafeMutablePointer<Span>, dst: UnsafeMutablePointer<Float>
    ) {
        let p = problem
        let pixels = p.oh * p.ow
        let (map, position) = number.quotientAndRemainder(dividingBy: panelsPerImage)
        let part = pixelPanel(p, position, of: panelsPerImage)
        let pixel = part.pixels.lowerBound
        let rowWidth = part.vectors * lanes
        let channels = channels(of: block)
        let rowTerms = columns.count * channels.count
        let rowsOfTaps = p.rows.taps(ofAny: pixel / p.ow..<(part.pixels.upperBound - 1) / p.ow + 1)
        unfold(
            rowsOfTaps, channels.count, src + (map * p.icPerGroup + channels.lowerBound) * p.ih * p.iw, part.pixels, spans, into: panel,
            rowWidth: rowWidth)
        let group = map % p.groups
        var tap = Tap(a: 0, b: 0)
        withUnsafePointer(to: &tap) { tap in
            var channel = tiles.lowerBound
            while channel < tiles.upperBound {
                let rows = min(tileRows, tiles.upperBound - channel)
                let t = TileArguments(
                    a: weights + (group * groupCount + offset(tile: channel / tileRows, channels) + rowsOfTaps.lowerBound * rowTerms * tileRows),
                    b: UnsafePointer(panel), c: dst + ((map * p.ocPerGroup + channel) * pixels + pixel), taps: tap, tapCount: 1,
                    depth: rowsOfTaps.count * rowTerms, aRow: 1, aStep: tileRows, bStep: rowWidth, cRow: pixels,
                    start: block > 0 ? .partial : bias.map { .rows($0 + group * p.ocPerGroup + channel) } ?? .zero,
                    finish: block == blocks - 1, activation: p.activation, lastLanes: part.lastLanes)
                runPackedTile(rows, part.vectors, t)
                channel += rows
            }
        }
    }

    /// The terms of some rows of taps and `count` channels, in a panel of pixels, a row of `rowWidth` floats each.
    private func unfold(
        _ rowsOfTaps: Range<Int>, _ count: Int, _ input: UnsafePointer<Float>, _ pixels: Range<Int>, _ spans: UnsafeMutablePointer<Span>,
        into panel: UnsafeMutablePointer<Float>, rowWidth: Int
    ) {
        let p = problem
        for vector in 0..<rowWidth / lanes {
            let first = pixels.lowerBound + vector * lanes
            let spanCount = cut(first..<min(first + lanes, pixels.upperBound), into: spans)
            for kw in columns {
                place(spans, spanCount, kw)
                for kh in rowsOfTaps {
                    let tap = (kh - rowsOfTaps.lowerBound) * columns.count + kw - columns.lowerBound
                    let move = Move(
                        source: input, plane: p.ih * p.iw, count: count, down: kh * p.dilationH, height: p.ih, width: p.iw,
                        target: panel + (tap * count * rowWidth + vector * lanes), step: rowWidth)
                    switch p.strideW {
                    case 1: copyTerms(move, spans, spanCount, as: Step<1>.self)
                    case 2: copyTerms(move, spans, spanCount, as: Step<2>.self)
                    default: copyTerms(move, spans, spanCount, step: p.strideW)
                    }
                }
            }
        }
    }

    /// The rows that a vector's pixels lie in. Returns how many.
    private func cut(_ pixels: Range<Int>, into spans: UnsafeMutablePointer<Span>) -> Int {
        var spanCount = 0
        var pixel = pixels.lowerBound
        while pixel < pixels.upperBound {
            let (row, column) = pixel.quotientAndRemainder(dividingBy: problem.ow)
            let end = min(pixels.upperBound, pixel - column + problem.ow)
            (spans[spanCount].first, spans[spanCount].end) = (pixel - pixels.lowerBound, end - pixels.lowerBound)
            (spans[spanCount].row, spans[spanCount].column) = (row * problem.strideH - problem.padTop, column)
            spanCount += 1
            pixel = end
        }
        return spanCount
    }

    /// The same under a column of taps.
    private func place(_ spans: UnsafeMutablePointer<Span>, _ spanCount: Int, _ kw: Int) {
        let p = problem
        for i in 0..<spanCount {
            let column = (spans[i].column - spans[i].first) * p.strideW - p.padLeft + kw * p.dilationW
            spans[i].input = column
            spans[i].firstLive = min(spans[i].end, max(spans[i].first, (p.strideW - 1 - column) / p.strideW))
            spans[i].endLive = column < p.iw ? min(spans[i].end, (p.iw - 1 - column) / p.strideW + 1) : 0
        }
    }
}

/// A vector of each of `count` planes that goes into a panel, under a row of taps `down` rows of inputs below the first.
private struct Move {
    var source: UnsafePointer<Float>
    var plane, count, down, height, width: Int
    var target: UnsafeMutablePointer<Float>
    var step: Int

    /// The lanes of a span that lie in the image, and the input under lane 0.
    @inline(__always)
    func live(_ span: borrowing Span) -> (first: Int, end: Int, from: UnsafePointer<Float>) {
        let row = span.row &+ down
        return (span.firstLive, row >= 0 && row < height ? span.endLive : 0, source + (row &* width &+ span.input))
    }
}

/// A stride of S; only the type is used.
private enum Step<let S: Int> {}

@inline(never)
private func copyTerms<let S: Int>(_ move: borrowing Move, _ spans: UnsafePointer<Span>, _ spanCount: Int, as step: Step<S>.Type) {
    var (first, end, from) = move.live(spans[0])
    var out = move.target
    if first == 0, end == lanes {
        for _ in 0..<move.count {
            store(out, S == 1 ? load(from) : evenLanes(load(from), loadLanes(from + lanes, 0, lanes &- 1)))
            from += move.plane
            out += move.step
        }
        return
    }
    for _ in 0..<move.count {
        store(out, liveLanes(from, first, end, as: step))
        from += move.plane
        out += move.step
    }
    for i in 1..<max(1, spanCount) {
        (first, end, from) = move.live(spans[i])
        guard first < end else { continue }
        out = move.target
        for _ in 0..<move.count {
            store(out, load(out) + liveLanes(from, first, end, as: step))
            from += move.plane
            out += move.step
        }
    }
}

/// The same at any stride.
@inline(never)
private func copyTerms(_ move: borrowing Move, _ spans: UnsafePointer<Span>, _ spanCount: Int, step: Int) {
    for c in 0..<move.count {
        let out = move.target + c &* move.step
        store(out, Vector(repeating: 0))
        for i in 0..<spanCount {
            let (first, end, from) = move.live(spans[i])
            for k in stride(from: first, to: end, by: 1) { out[k] = from[c &* move.plane &+ k &* step] }
        }
    }
}

/// Lanes `first` ..< `end` of values S floats apart, zero in the others; nothing outside them is read.
@inline(__always)
private func liveLanes<let S: Int>(_ p: UnsafePointer<Float>, _ first: Int, _ end: Int, as step: Step<S>.Type) -> Vector {
    guard first < end else { return Vector(repeating: 0) }
    guard S == 2 else { return loadLanes(p, first, end) }
    let last = 2 &* end &- 1
    return evenLanes(
        loadLanes(p, min(lanes, 2 &* first), min(lanes, last)), loadLanes(p + lanes, max(0, 2 &* first &- lanes), max(0, last &- lanes)))
}
