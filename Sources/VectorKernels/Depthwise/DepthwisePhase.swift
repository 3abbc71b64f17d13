import ConvCore
import ThreadPool

/// Depthwise convolution, NHWC, a dilated map taken as the d × d interleaved dense ones that it is.
///
/// A register tile holds `t` pixels of one such phase × as many of its rows as `s` sums allow, for one vector of channels;
/// each input goes from its one load into all sums of the row that it belongs to, so that 0.3–0.6 loads go with a
/// multiply-add. Order: blocks of channels, row tiles phase by phase (neighbours share input rows), column tiles, vectors.
/// Near the FMA limit where 12 taps or more are live, near the bandwidth of L2 and L3 with fewer. Phases of at most three rows
/// and pixels have tiles of their own (`wholePhase`), and so have phases whose outputs lie two places apart, those of a stride of 2 that
/// does not divide the dilation (`everySecondPlace`).
///
/// Below its best where pixels of one phase lie a multiple of 2 KiB apart (256 channels at dilation 2 and 4, 512 at any): then all
/// lines of a tile fall into one or two cache sets, every use of an input comes from L2, and the stores wait for it one by one.
/// Under 3 × 3 taps `dw-roll`, which loads every input once, passes it there and at most shapes of 40 × 40 and more, and `dw-row-blocked` on
/// the maps that it is compiled for. Tried and lost:
/// copying the window of a tile, or its sums, through a dense buffer in L1, and taking the vectors in scattered order.
let depthwisePhase = Kernel(
    name: "dw-phase-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: .nhwc, threaded: true,
    // A single tap reads what the same tile then writes; a last vector that overlaps another would read it again.
    runsInPlace: { overwrites($0) && $0.ic % lanes == 0 },
    summary: "register tile of pixels × rows of one dilation phase on NHWC, an input loaded once for all the taps of a row",
    space: ConfigurationSpace(
        tileParameters
            + [Parameter("g", [0, 1, 2, 4, 8, 16, 1000], standard: 0, "vectors of channels per pass over the map; 0: as their weights ask")],
        constraint: tileConstraint, admits: admitsTile),
    supports: { p in
        supportsPhases(p).and(p.ic >= lanes ? .yes : .no(reason: "\(p.ic) channels are less than a vector of \(lanes); dw-tile takes them"))
    },
    memory: { p, _, _ in Kernel.Memory(packed: 4 * p.kh * p.kw * paddedChannels(p)) },
    plan: { p, c, inputs in
        planPhases(p, inputs) { PhaseJob(p, .nhwc, pixels: c["t"], sums: c["s"], passVectors: c["g"], threads: inputs.threads, weights: $0, bias: inputs.bias) }
    })

/// The same register tiles on blocks of 16 channels, each a map of its own: a line per pixel, one next to the other. Nothing hangs on how
/// many channels there are, and a map of 20 × 20 stays in L1. Tiles that differ in their place alone, those of neighbouring phases or
/// the inner ones of a row, are one call's inner loop, under the same weights.
let depthwisePhaseBlocked = Kernel(
    name: "dw-phase-blocked-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: .nchw16c, threaded: true,
    runsInPlace: overwrites,
    summary: "register tile of pixels × rows of one dilation phase on blocks of channels, an input loaded once for all the taps of a row",
    space: ConfigurationSpace(tileParameters, constraint: tileConstraint, admits: admitsTile),
    supports: { p in supportsPhases(p).and(wholeBlocks(p.ic, insteadOf: "dw-phase")) },
    memory: { p, _, _ in Kernel.Memory(packed: 4 * p.weightCount) },
    plan: { p, c, inputs in
        planPhases(p, inputs) { PhaseJob(p, .nchw16c, pixels: c["t"], sums: c["s"], passVectors: 0, threads: inputs.threads, weights: $0, bias: inputs.bias) }
    })

private let tileParameters = [
    Parameter("t", [3, 4, 5, 6, 7, 8, 10], standard: vectorRegisters == 32 ? 10 : 8, "pixels in a register tile"),
    Parameter(
        "s", [1, 6, 8, 10, 12, 16, 20], standard: vectorRegisters == 32 ? 20 : 12, "most sums in a register tile of several rows"),
]
private let tileConstraint = "t ≤ \(largestPhasePixels), the largest compiled tile"
private func admitsTile(_ c: Configuration) -> Bool { c["t"] <= largestPhasePixels }

private func supportsPhases(_ p: Problem) -> Kernel.Support {
    guard p.kw <= largestPhaseTaps, p.kh <= largestPhaseTaps else {
        return .no(reason: "\(p.kh)×\(p.kw) taps; it takes at most \(largestPhaseTaps) in a row; dw-tile takes them, on NHWC")
    }
    guard p.columns.phaseStride <= largestPhaseStride else {
        return .no(reason: "a stride of \(p.strideW) along a row at dilation \(p.dilationW); it takes divisors of the dilation and twice those; dw-tile takes it, on NHWC")
    }
    return .yes
}

private func planPhases(
    _ p: Problem, _ inputs: Kernel.PlanInputs, job: (_ weights: UnsafePointer<Float>) -> PhaseJob
) -> Kernel.Plan {
    let weights = inputs.packed.assumingMemoryBound(to: Float.self)
    packVectorMajor(p, inputs.weights, into: weights)
    let job = job(weights)
    return Kernel.Plan { [pool = inputs.pool] src, dst in
        pool.run { index in
            job.run(ThreadPool.share(of: job.units, index: index, parts: pool.threads), src: src, dst: dst)
        }
    }
}

/// Pixels at once under a single tap, which takes nothing from registers that hold more: each is a stream of its own for
/// the prefetcher, and pixels of a power of two of channels lie in the same few cache sets.
private let mostStreams = 4

/// The map cut into units of work: an image × channels × tiles of rows. A class, since the copying of a large struct becomes a
/// shared function with instructions of this level.
private final class PhaseJob: Sendable {
    let problem: Problem
    nonisolated(unsafe) let weights: UnsafePointer<Float>
    nonisolated(unsafe) let bias: UnsafePointer<Float>?
    /// In NHWC every tile of rows by itself.
    let grid: PhaseGrid
    /// Of all channels.
    let vectors: Int
    /// Vectors that go over the map together; in blocks of channels those of a block.
    let passVectors: Int
    let isBlocked: Bool
    /// Floats from one pixel to the next.
    let pixelStep: Int
    /// Floats from one place of a tile to the next, and from one output.
    let placeStep, placeRowStep, outputStep, outputRowStep: Int

    /// `layout`: NHWC or blocks of channels. `passVectors`: 0 for as many as is good.
    init(
        _ p: Problem, _ layout: Layout, pixels: Int, sums: Int, passVectors: Int, threads: Int, weights: UnsafePointer<Float>,
        bias: UnsafePointer<Float>?
    ) {
        problem = p
        self.weights = weights
        self.bias = bias
        vectors = paddedChannels(p) / lanes
        isBlocked = layout == .nchw16c
        pixelStep = layout.steps(channels: p.ic, pixels: p.ih * p.iw).pixel
        (placeStep, placeRowStep) = (p.columns.placeStep * pixelStep, p.rows.placeStep * p.iw * pixelStep)
        (outputStep, outputRowStep) = (p.columns.phaseStep * pixelStep, p.rows.phaseStep * p.ow * pixelStep)
        var most = min(pixels, p.columns.phaseStride == 1 ? mostPixels(taps: p.kw) : mostEverySecond(taps: p.kw))
        if overwrites(p), !isBlocked { most = min(most, mostStreams) }
        // Under few taps two rows are worth more than a long one.
        if p.kw == 3, p.hasDensePhases { most = max(1, min(most, sums / 2)) }
        let longest = min(most, p.columns.longestPhase)
        grid = PhaseGrid(
            p, most: longest, room: phaseRoom(pixels: longest), rowsPerRun: isBlocked && sharesMaps(p, threads: threads) ? max(2, Self.rowBytes / (4 * p.iw * pixelStep)) : 1,
            isWidth: isPhaseWidth, rowsOfTile: { phaseRows(taps: $0, pixels: $1, sums: sums) })
        if isBlocked {
            self.passVectors = blockVectors
        } else if passVectors > 0 {
            self.passVectors = passVectors
        } else {
            let manyWeights = 4 * grid.taps * grid.tiles > 7 * p.oh * p.ow
            self.passVectors = manyWeights ? max(1, min(Self.mostWeightVectors, Self.weightBytes / (4 * lanes * grid.taps))) : 1000
        }
    }

    /// Where a tile has more weights than 1.75 times its outputs, so many vectors at most, with weights of so many bytes, go over the map
    /// together: the weights, which every tile reads, would come from L2. Of attainable, under 9 × 9 taps at dilation 9: 256 channels of
    /// 40 × 40 77 % for 68, 512 of 20 × 20 75 % for 66.
    private static let mostWeightVectors = 16
    private static let weightBytes = 48 << 10
    /// Of the rows that one call computes in a block of channels: most of L1.
    private static let rowBytes = 26 << 10

    /// Row tiles of all images of all passes; neighbours in number share input rows.
    var units: Int { passes * problem.batch * grid.rows.count }

    /// A vector that overlaps its neighbour goes with it into the last pass: two threads would finish the shared channels
    /// twice.
    private var passes: Int { max(1, isBlocked ? vectors / passVectors : (problem.ic / lanes + passVectors - 1) / passVectors) }

    func run(_ share: Range<Int>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>) {
        let p = problem
        let (srcImage, dstImage) = (p.ih * p.iw * pixelStep, p.oh * p.ow * pixelStep)
        for unit in share {
            let image = unit / grid.rows.count % p.batch
            let pass = unit / grid.rows.count / p.batch
            let first = pass * passVectors
            let rows = grid.rows[unit % grid.rows.count]
            if isBlocked {
                let map = image * passes + pass
                for vector in first..<first + passVectors {
                    let channel = (vector - first) * lanes
                    runBlock(rows.tile, rows.run, vector, src: src + (map * srcImage + channel), dst: dst + (map * dstImage + channel))
                }
            } else {
                let last = pass == passes - 1 ? vectors : first + passVectors
                runRows(rows.tile, vectors: first..<last, src: src + image * srcImage, dst: dst + image * dstImage)
            }
        }
    }

    /// One tile of rows over all columns, NHWC: the vectors of a tile, then tiles like it. src and dst are the image's.
    private func runRows(
        _ rows: Axis.PhaseTile, vectors pass: Range<Int>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>
    ) {
        let p = problem
        // Whole vectors together; one that overlaps its neighbour by itself.
        let whole = pass.upperBound * lanes > p.ic ? pass.upperBound - 1 : pass.upperBound
        // Vectors outside: one that overlaps its neighbour begins its sums anew when the neighbour's are finished.
        var vector = pass.lowerBound
        while vector < pass.upperBound {
            var t = arguments(rows, vector: vector)
            t.groups = vector < whole ? whole - vector : 1
            let channel = firstChannel(p, vector)
            for columns in grid.columns {
                t.repeats = columns.run.count
                t.srcRepeatStep = columns.run.step * p.strideW * pixelStep
                t.dstRepeatStep = columns.run.step * pixelStep
                run(columns.part, rows, vector, &t, src: src + channel, dst: dst + channel)
            }
            vector += t.groups
        }
    }

    /// Tiles of rows like this one over all columns, for one vector of a block of channels. src and dst are that vector's.
    private func runBlock(
        _ rows: Axis.PhaseTile, _ rowRun: TileRun, _ vector: Int, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>
    ) {
        let p = problem
        var t = arguments(rows, vector: vector)
        (t.weightGroupStep, t.biasGroupStep) = (0, 0)
        t.repeats = rowRun.count
        t.srcRepeatStep = rowRun.step * p.strideH * p.iw * pixelStep
        t.dstRepeatStep = rowRun.step * p.ow * pixelStep
        for columns in grid.columns {
            t.groups = columns.run.count
            t.srcGroupStep = columns.run.step * p.strideW * pixelStep
            t.dstGroupStep = columns.run.step * pixelStep
            run(columns.part, rows, vector, &t, src: src, dst: dst)
        }
    }

    /// What all tiles of some rows have in common, for neighbouring vectors from `vector` on.
    private func arguments(_ rows: Axis.PhaseTile, vector: Int) -> PhaseTileArguments {
        let p = problem
        return PhaseTileArguments(
            src: weights, weights: weights, bias: bias.map { $0 + firstChannel(p, vector) },
            // Both are set with every tile.
            dst: UnsafeMutablePointer(mutating: weights), rows: rows.places, rowTaps: rows.taps.count, live: 0,
            step: placeStep, rowStep: placeRowStep, dstStep: outputStep, dstRowStep: outputRowStep, weightRowStep: p.kw * lanes,
            groups: 1, srcGroupStep: lanes, dstGroupStep: lanes, weightGroupStep: p.kh * p.kw * lanes, biasGroupStep: lanes,
            repeats: 1, srcRepeatStep: 0, dstRepeatStep: 0, activation: p.activation)
    }

    /// A part of a tile of columns. src and dst are the first vector's at the map's first pixel.
    private func run(
        _ part: Axis.PartTile, _ rows: Axis.PhaseTile, _ vector: Int, _ t: inout PhaseTileArguments, src: UnsafePointer<Float>,
        dst: UnsafeMutablePointer<Float>
    ) {
        let p = problem
        let tile = part.tile
        t.live = (1 << UInt32(tile.places.upperBound)) - (1 << UInt32(tile.places.lowerBound))
        t.src = src + (rows.origin * p.iw + tile.origin) * pixelStep
        t.dst = dst + (rows.first * p.ow + tile.first) * pixelStep
        t.weights = weights + (vector * p.kh * p.kw + rows.taps.lowerBound * p.kw + part.tap) * lanes
        t.resumes = part.resumes
        t.activation = part.finishes ? p.activation : .none
        if !part.resumes, part.finishes, let rowExtent = wholePhaseExtent(rows), let columnExtent = wholePhaseExtent(tile) {
            runWholePhase(rowExtent, columnExtent, t)
        } else if tile.stride == 2, tile.count > 1 {
            runEverySecondPlace(tile.taps.count, tile.count, t)
        } else {
            runPhaseTile(tile.taps.count, tile.count, rows.count, t)
        }
    }
}
