import ConvCore
import ThreadPool

/// Depthwise convolution that keeps its map, NHWC: each dilation phase walked down its rows from a dense copy in L1.
///
/// Pixels of one phase lie a power of two apart where the channels are one, so that all lines of a tile fall into a few
/// cache sets and every use of an input comes from L2, in half lines at 8 lanes. Here each input is read once, into a ring of
/// K + 2r − 1 rows of at most `w` + K − 1 pixels × `v` vectors, and while a tile computes it copies the rows that the next one needs, so that the
/// copy goes on under the multiply-adds. Order: blocks of channels, phases, strips of `w` columns, rows, tiles of `t` pixels,
/// vectors.
///
/// For 16 registers. On 256 channels of 20 × 20, at 8 lanes, of attainable: 84 % under 9 × 9 dense taps, 77 % under 7 × 7, 70 %
/// under 5 × 5, where `dw-phase` has 38, 55 and 43. Under 3 × 3 `dw-phase` passes it at most shapes, and at 16 lanes at all but
/// two of 30: the copy takes as long as it saves.
///
/// Lost: copying the rows between the tiles (82 % for 92 % with 5 × 5 taps, in a prototype); prefetching the row after the one
/// copied, and the lines to be stored, on top (each 2–10 % slower).
let depthwiseStage = Kernel(
    name: "dw-stage-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: .nhwc, threaded: true,
    summary: "register tile of pixels × rows on a dense ring of a phase's rows in L1, filled while it computes",
    space: ConfigurationSpace(
        [
            Parameter("t", multiplyAddIsFused ? [4, 5, 6, 8, 10] : [3, 4, 5, 6, 8], standard: multiplyAddIsFused ? 10 : 8, "most pixels in a register tile"),
            Parameter("r", [1, 2], standard: 1, "rows in a register tile under 3 and 5 columns of taps"),
            Parameter("w", [10, 20, 40], standard: 20, "most columns of a strip"),
            Parameter("v", [1, 2, 4, 8, 16], standard: 64 / lanes, "vectors of channels in the ring"),
        ],
        constraint: "t ≤ \(largestStagePixels(taps: 3, rows: 1)), with two rows \(largestStagePixels(taps: 3, rows: 2)): sums in registers; w·v·lanes ≤ \(largestStageRow) floats in a row of the ring",
        admits: { $0["t"] <= largestStagePixels(taps: 3, rows: $0["r"]) && $0["w"] * $0["v"] * lanes <= largestStageRow }),
    supports: { p in
        guard keepsMap(p) else { return .no(reason: "the map changes or shifts; it takes stride 1, an odd kernel, and padding of half of it; dw-tile takes it") }
        guard p.kw >= 3, p.kw <= largestPhaseTaps, p.kh <= largestPhaseTaps else {
            return .no(reason: "\(p.kh)×\(p.kw) taps; it takes 3 to \(largestPhaseTaps) in a row; dw-tile takes them")
        }
        return p.ic % lanes == 0 ? .yes : .no(reason: "\(p.ic) channels are no whole vectors of \(lanes); dw-phase takes them")
    },
    memory: { p, c, threads in
        Kernel.Memory(packed: 4 * p.weightCount, scratch: threads * ring(p, c).bytes)
    },
    plan: { p, c, inputs in
        let weights = inputs.packed.assumingMemoryBound(to: Float.self)
        packVectorMajor(p, inputs.weights, into: weights)
        let rows = tileRows(p, c)
        let job = StageJob(
            p, ring: ring(p, c), strips: PhaseStrips(p, stripWidth: c["w"], tileRows: rows),
            mostPixels: min(c["t"], largestStagePixels(taps: p.kw, rows: rows)), weights: weights, bias: inputs.bias)
        let scratch = inputs.scratch
        return Kernel.Plan { [pool = inputs.pool] src, dst in
            pool.run { index in
                job.run(
                    ThreadPool.share(of: job.units, index: index, parts: pool.threads),
                    ring: (scratch + index * job.ring.bytes).assumingMemoryBound(to: Float.self), src: src, dst: dst)
            }
        }
    })

/// Floats in a row of the ring: seven such rows fill L1.
private let largestStageRow = 1280

/// Rows of a tile: several share weights and inputs only where few sums follow a load.
private func tileRows(_ p: Problem, _ c: Configuration) -> Int { p.kw <= 5 ? c["r"] : 1 }

private func ring(_ p: Problem, _ c: Configuration) -> PhaseRing {
    PhaseRing(p, stripWidth: c["w"], tileRows: tileRows(p, c), vectors: c["v"], lanes: lanes)
}

/// The map cut into units of work: a block of channels × an image × a tile's rows of a strip. A class, since the copying of
/// a large struct becomes a shared function with instructions of this level.
final class StageJob {
    let problem: Problem
    let ring: PhaseRing
    private let mostPixels: Int
    private let weights: UnsafePointer<Float>
    private let bias: UnsafePointer<Float>?
    private let lines: [PhaseStrips.Line]
    private let tiles: [PhaseStrips.Tile]
    /// The offsets of the ring's slots, from any slot on as many as a window has rows.
    private let slots: UnsafeMutablePointer<Int>

    init(
        _ p: Problem, ring: PhaseRing, strips: PhaseStrips, mostPixels: Int, weights: UnsafePointer<Float>,
        bias: UnsafePointer<Float>?
    ) {
        problem = p
        self.weights = weights
        self.bias = bias
        self.ring = ring
        self.mostPixels = mostPixels
        lines = strips.lines
        tiles = strips.tiles
        let window = ring.slots + p.kh
        slots = .allocate(capacity: ring.slots + window)
        for i in 0..<ring.slots + window { slots[i] = i % ring.slots * ring.slotFloats }
    }

    deinit { slots.deallocate() }

    private var blocks: Int { (problem.ic / lanes + ring.vectors - 1) / ring.vectors }

    /// Row tiles of all images of all blocks of channels.
    var units: Int { blocks * problem.batch * tiles.count }

    func run(_ share: Range<Int>, ring memory: UnsafeMutablePointer<Float>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>) {
        var unit = share.lowerBound
        while unit < share.upperBound {
            let first = unit % tiles.count
            let last = min(tiles.count, first + share.upperBound - unit)
            let image = unit / tiles.count % problem.batch
            let channel = unit / tiles.count / problem.batch * ring.vectors * lanes
            run(
                tiles: first..<last, channel: channel, ring: memory, src: src + image * problem.ih * problem.iw * problem.ic + channel,
                dst: dst + image * problem.oh * problem.ow * problem.ic + channel)
            unit += last - first
        }
    }

    /// Tiles in a row over one block of channels from `channel` on, where src and dst begin.
    private func run(
        tiles share: Range<Int>, channel: Int, ring memory: UnsafeMutablePointer<Float>, src: UnsafePointer<Float>,
        dst: UnsafeMutablePointer<Float>
    ) {
        let p = problem
        let step = p.dilationW * p.ic
        let taps = p.kh * p.kw
        let reach = p.kh / 2
        let groups = min(ring.vectors, (p.ic - channel) / lanes)
        var a = StageTileArguments(
            ring: memory, slots: UnsafePointer(slots), offset: 0, rows: 0..<0, rowTaps: p.kh, live: 0, groupStep: 0,
            weights: weights + channel * taps, weightRowStep: p.kw * lanes, weightGroupStep: taps * lanes, bias: nil, dst: dst,
            dstStep: step, dstRowStep: p.dilationH * p.ow * p.ic, groups: groups, activation: p.activation, copyStep: step,
            copyShare: 0, first: (src, memory, 0, 0), second: (src, memory, 0, 0))
        // What the first tile needs, or earlier tiles of the same strip would have left.
        let begin = tiles[share.lowerBound].lines.lowerBound
        var staged = begin - min(reach, lines[begin].place)
        while staged < tiles[share.lowerBound].staged {
            a.first = pixels(staged, 0..<lines[staged].input.count, memory, src)
            copyWhole(a)
            staged += 1
        }
        for index in share {
            let tile = tiles[index]
            let line = lines[tile.lines.lowerBound]
            let next = index + 1 < share.upperBound ? tiles[index + 1].staged : staged
            // At most as many rows as a tile has: two.
            let ahead = staged..<next
            let counts = (ahead.count > 0 ? lines[staged].input.count : 0, ahead.count > 1 ? lines[staged + 1].input.count : 0)
            let rowCount = tile.lines.count
            let above = min(reach, line.place)
            let below = min(reach, line.height - line.place - rowCount)
            // Window row 0 lies `reach` above the tile's first; those in the padding are not read.
            let top = tile.lines.lowerBound - reach
            a.slots = UnsafePointer(slots) + (top % ring.slots + ring.slots) % ring.slots
            a.rows = (reach - above)..<(reach + rowCount + below)
            a.groupStep = line.input.count * lanes
            let parts = (line.out.count + mostPixels - 1) / mostPixels
            let total = counts.0 + counts.1
            for part in 0..<parts {
                let first = line.out.lowerBound + line.out.count * part / parts
                let count = line.out.lowerBound + line.out.count * (part + 1) / parts - first
                let origin = first - p.kw / 2
                let lowest = max(0, -origin)
                let highest = min(count + p.kw - 1, line.width - origin)
                a.live = (1 << UInt32(highest)) - (1 << UInt32(lowest))
                a.offset = (origin - line.input.lowerBound) * lanes
                a.bias = bias.map { $0 + channel }
                a.dst = dst + (line.row * p.ow + line.column) * p.ic + first * step
                let copied = total * part / parts..<total * (part + 1) / parts
                a.first.count = 0
                a.second.count = 0
                if copied.lowerBound < counts.0 {
                    a.first = pixels(staged, copied.lowerBound..<min(copied.upperBound, counts.0), memory, src)
                }
                if copied.upperBound > counts.0 {
                    a.second = pixels(staged + 1, max(0, copied.lowerBound - counts.0)..<copied.upperBound - counts.0, memory, src)
                }
                a.copyShare = (copied.count + a.rows.count - 1) / a.rows.count
                runStageTile(p.kw, count, rowCount, a)
            }
            staged = next
        }
    }

    /// Pixels of a row on their way into the ring; a vector's pixels lie side by side there.
    private func pixels(
        _ index: Int, _ range: Range<Int>, _ memory: UnsafeMutablePointer<Float>, _ src: UnsafePointer<Float>
    ) -> StagePixels {
        let p = problem
        let line = lines[index]
        let column = line.column + (line.input.lowerBound + range.lowerBound) * p.dilationW
        return (
            src + (line.row * p.iw + column) * p.ic, memory + slots[index % ring.slots] + range.lowerBound * lanes, range.count,
            line.input.count * lanes
        )
    }
}
