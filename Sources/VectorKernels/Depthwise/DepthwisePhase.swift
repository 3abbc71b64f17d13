import ConvCore
import ThreadPool

/// Depthwise convolution, NHWC, a dilated map taken as the d × d interleaved dense ones that it is.
///
/// A register tile holds `t` pixels of one such phase × as many of its rows as `s` sums allow, for one vector of channels;
/// each input goes from its one load into all sums of the row that it belongs to, so that 0.3–0.6 loads go with a
/// multiply-add. Order: blocks of channels, row tiles phase by phase (neighbours share input rows), column tiles, vectors.
/// Near the FMA limit where 12 taps or more are live, near the bandwidth of L2 and L3 with fewer. Phases of at most three rows
/// and pixels have tiles of their own (`wholePhase`).
///
/// Below its best where pixels of one phase lie a multiple of 2 KiB apart (256 channels at dilation 2 and 4, 512 at any): then all
/// lines of a tile fall into one or two cache sets, every use of an input comes from L2, and the stores wait for it one by one.
/// Under 3 × 3 taps `dw-roll`, which loads every input once, passes it there and at most shapes of 40 × 40 and more. Tried and lost:
/// copying the window of a tile, or its sums, through a dense buffer in L1, and taking the vectors in scattered order.
let depthwisePhase = Kernel(
    name: "dw-phase-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: .nhwc, threaded: true,
    // A single tap reads what the same tile then writes; a last vector that overlaps another would read it again.
    runsInPlace: { overwrites($0) && $0.ic % lanes == 0 },
    summary: "register tile of pixels × rows a dilation apart on NHWC, an input loaded once for all the taps of a row",
    space: ConfigurationSpace(
        [
            Parameter("t", [3, 4, 5, 6, 7, 8, 10], standard: vectorRegisters == 32 ? 10 : 8, "pixels in a register tile"),
            Parameter(
                "s", [1, 6, 8, 10, 12, 16, 20], standard: vectorRegisters == 32 ? 20 : 12,
                "most sums in a register tile of several rows"),
            Parameter("g", [0, 1, 2, 4, 8, 16, 1000], standard: 0, "vectors of channels per pass over the map; 0: as their weights ask"),
        ],
        constraint: "t ≤ \(largestPhasePixels), the largest compiled tile", admits: { $0["t"] <= largestPhasePixels }),
    supports: { p in
        guard p.kw <= largestPhaseTaps, p.kh <= largestPhaseTaps else {
            return .no(reason: "\(p.kh)×\(p.kw) taps; it takes at most \(largestPhaseTaps) in a row; dw-tile takes them")
        }
        guard p.rows.phaseStep != nil, p.columns.phaseStep != nil else {
            return .no(reason: "the stride does not divide the dilation; dw-tile takes it")
        }
        return p.ic >= lanes ? .yes : .no(reason: "\(p.ic) channels are less than a vector of \(lanes); dw-tile takes them")
    },
    memory: { p, _, _ in Kernel.Memory(packed: 4 * p.kh * p.kw * paddedChannels(p)) },
    plan: { p, c, inputs in
        let weights = inputs.packed.assumingMemoryBound(to: Float.self)
        packVectorMajor(p, inputs.weights, into: weights)
        let job = PhaseJob(p, pixels: c["t"], sums: c["s"], blockVectors: c["g"], weights: weights, bias: inputs.bias)
        return Kernel.Plan { [pool = inputs.pool] src, dst in
            pool.run { index in
                job.run(ThreadPool.share(of: job.units, index: index, parts: pool.threads), src: src, dst: dst)
            }
        }
    })

/// Pixels at once under a single tap, which takes nothing from registers that hold more: each is a stream of its own for
/// the prefetcher, and pixels of a power of two of channels lie in the same few cache sets.
private let mostStreams = 4

/// The map cut into units of work: a block of channels × an image × a tile of rows. A class, since the copying of a large
/// struct becomes a shared function with instructions of this level.
final class PhaseJob {
    let problem: Problem
    let weights: UnsafePointer<Float>
    let bias: UnsafePointer<Float>?
    let rowTiles: [Axis.PhaseTile]
    let columns: [Axis.PartTile]
    let vectors, blockVectors: Int

    init(
        _ p: Problem, pixels: Int, sums: Int, blockVectors: Int, weights: UnsafePointer<Float>,
        bias: UnsafePointer<Float>?
    ) {
        problem = p
        self.weights = weights
        self.bias = bias
        vectors = paddedChannels(p) / lanes
        var most = pixels
        if overwrites(p) { most = min(most, mostStreams) }
        // Under few taps two rows are worth more than a long one.
        if p.kw == 3 { most = max(1, min(most, sums / 2)) }
        let longest = min(most, p.columns.longestPhase)
        columns = p.columns.partTiles(most: longest, room: phaseRoom(pixels: longest), isWidth: isPhaseWidth)
        var rows = Int.max
        for part in columns { rows = min(rows, phaseRows(taps: part.tile.taps.count, pixels: part.tile.count, sums: sums)) }
        rowTiles = p.rows.phaseTiles(most: rows, step: p.rows.phaseStep!)
        guard blockVectors == 0 else {
            self.blockVectors = blockVectors
            return
        }
        var rowTaps = 0
        for tile in rowTiles { rowTaps = max(rowTaps, tile.taps.count) }
        var (columnTaps, tiles) = (0, 0)
        for part in columns {
            columnTaps = max(columnTaps, part.tile.taps.count)
            if part.finishes { tiles += rowTiles.count }
        }
        let taps = rowTaps * columnTaps
        let manyWeights = 4 * taps * tiles > 7 * p.oh * p.ow
        self.blockVectors = manyWeights ? max(1, min(Self.mostWeightVectors, Self.weightBytes / (4 * lanes * taps))) : 1000
    }

    /// Where a tile has more weights than 1.75 times its outputs, so many vectors at most, with weights of so many bytes, go over the map
    /// together: the weights, which every tile reads, would come from L2. Of attainable, under 9 × 9 taps at dilation 9: 256 channels of
    /// 40 × 40 77 % for 68, 512 of 20 × 20 75 % for 66.
    private static let mostWeightVectors = 16
    private static let weightBytes = 48 << 10

    /// Row tiles of all images of all blocks of channels; neighbours in number share input rows.
    var units: Int { blocks * problem.batch * rowTiles.count }

    /// A vector that overlaps its neighbour goes with it into the last block: two threads would finish the shared channels
    /// twice.
    private var blocks: Int { (problem.ic / lanes + blockVectors - 1) / blockVectors }

    func run(_ share: Range<Int>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>) {
        let p = problem
        for unit in share {
            let image = unit / rowTiles.count % p.batch
            let block = unit / rowTiles.count / p.batch
            let first = block * blockVectors
            let last = block == blocks - 1 ? vectors : first + blockVectors
            runRows(
                rowTiles[unit % rowTiles.count], vectors: first..<last,
                src: src + image * p.ih * p.iw * p.ic, dst: dst + image * p.oh * p.ow * p.ic)
        }
    }

    /// One tile of rows over all columns. src and dst are the image's.
    private func runRows(
        _ rows: Axis.PhaseTile, vectors block: Range<Int>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>
    ) {
        let p = problem
        let taps = p.kh * p.kw
        let pixelStep = (p.kw == 1 ? 1 : p.dilationW) * p.ic
        let rowStep = (p.kh == 1 ? 1 : p.dilationH) * p.iw * p.ic
        var t = PhaseTileArguments(
            src: src, weights: weights, bias: nil, dst: dst, rows: rows.places, rowTaps: rows.taps.count, live: 0,
            step: pixelStep, rowStep: rowStep, dstStep: p.columns.phaseStep! * p.ic,
            dstRowStep: p.rows.phaseStep! * p.ow * p.ic, weightRowStep: p.kw * lanes, weightGroupStep: taps * lanes,
            groups: 1, activation: p.activation)
        // Whole vectors together; one that overlaps its neighbour by itself.
        let whole = block.upperBound * lanes > p.ic ? block.upperBound - 1 : block.upperBound
        let rowExtent = wholePhaseExtent(rows)
        // Vectors outside: one that overlaps its neighbour begins its sums anew when the neighbour's are finished.
        var vector = block.lowerBound
        while vector < block.upperBound {
            t.groups = vector < whole ? whole - vector : 1
            let channel = firstChannel(p, vector)
            t.bias = bias.map { $0 + channel }
            for part in columns {
                let tile = part.tile
                let columnExtent = part.resumes || !part.finishes ? nil : wholePhaseExtent(tile)
                t.live = (1 << UInt32(tile.places.upperBound)) - (1 << UInt32(tile.places.lowerBound))
                t.src = src + ((rows.origin * p.iw + tile.origin) * p.ic + channel)
                t.dst = dst + ((rows.first * p.ow + tile.first) * p.ic + channel)
                t.weights = weights + (vector * taps + rows.taps.lowerBound * p.kw + part.tap) * lanes
                t.resumes = part.resumes
                t.activation = part.finishes ? p.activation : .none
                if let rowExtent, let columnExtent {
                    runWholePhase(rowExtent, columnExtent, t)
                } else {
                    runPhaseTile(tile.taps.count, tile.count, rows.count, t)
                }
            }
            vector += t.groups
        }
    }
}
