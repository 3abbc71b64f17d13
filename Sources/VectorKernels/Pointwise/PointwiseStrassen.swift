import ConvCore
import ThreadPool

/// Pointwise convolution as a Strassen–Winograd product, NHWC: with L levels 7ᴸ products of a 2⁻ᴸ part in each direction
/// instead of 8ᴸ, so that nominal FLOPs pass the FMA peak (by 8/7 a level at most).
///
/// The combinations of the weights are packed at plan time. Pixels go in blocks of r. With two levels the seven products of each product
/// of the outer level are a group: the combinations of the pixels that they take are written to scratch (7/16 · r · k floats, in L2 up to
/// 2048 channels); then panel by panel the seven run one after another, each over all tiles of the block, and the sums between them start
/// the next product; those that the next group needs (r / 2 floats for each channel of the output) lie beside the combinations. So dst is written once, with bias and activation, as in a plain product, and the
/// additions cost A's alone: four per level, the outer ones again for every group. Compute-bound. Threads share pixels × panels, each with
/// its own scratch.
///
/// Weights are read once for every block of pixels, and asked for a product ahead: they come from L3 or, of 2048 channels and more,
/// from memory. On a Zen 5, 20 × 20 pixels, against the order in which a tile goes through all products, with the weights not asked
/// for: 4096 to 1024 channels 1.22 times as fast, 1024 to 1024 1.03 times, 512 to 512 0.97 times with blocks of 96 and 1.01 times
/// with blocks of 200; reductions in parts of 2048 channels cost up to 6 %. Asking for what the splitting reads and for dst: 512
/// to 512 channels on 40 × 40 pixels 1.10 times, on 20 × 20 0.99 times. All 49 combinations at once were up to 4 % faster with the
/// machine to themselves, but took three to five times the scratch: beside the maps of a block there is room for blocks of 96 pixels and
/// reductions of 512 channels, and L3 for less than that (YOLOv5s at P5 1.06 times as long).
///
/// Rounding errors are larger than a plain product's, and bounded by the largest values and not term by term
/// (`ErrorBound`). Source: Huang, Smith, Henry, van de Geijn, "Strassen's algorithm reloaded", SC 2016, from which it differs
/// in following one panel through seven products, where theirs follows one product through all panels.
let pointwiseStrassen = Kernel(
    name: "pw-strassen-\(isaName)", layer: .pw, family: .tiled, isa: isaName, layout: .nhwc, threaded: true,
    stridesDst: true, rounding: { .ofStrassen(levels: strassenLevels($0, $1), chunkDepth: $1["k"]) },
    appliesFollowing: { wholeVectorsOfOutput($0) },
    summary: "Strassen-Winograd product on register tiles: 7 multiplications for 8, per level",
    space: ConfigurationSpace(
        [
            levelsParameter, rowsParameter, vectorsParameter,
            Parameter("k", [512, 1024, 2048, 8192], standard: 8192, "input channels per run of the recursion"),
            blockParameter,
        ],
        constraint: matrixTileConstraint,
        admits: { isCompiledTile($0["m"], $0["n"]) }),
    memory: { p, c, threads in StrassenJob(p, c, chunkDepth: c["k"], threads: threads).memory },
    plan: { p, c, inputs in
        StrassenJob(p, c, chunkDepth: c["k"], threads: inputs.threads).plan(inputs, dstStep: inputs.dstStep ?? p.oc)
    })

/// The same into planes (NCHW), as PyTorch expects a map, and reductions whole: where a plain product writes a tile into dst the sums of a
/// panel and a part of the pixels, in L1, are turned over. Takes 0.99 to 1.02 times what `pw-strassen` takes; a map that is turned over as a whole takes its size in memory as well.
let pointwiseStrassenToPlanes = Kernel(
    name: "pw-strassen-to-planes-\(isaName)", layer: .pw, family: .tiled, isa: isaName, layout: .nchw, srcLayout: .nhwc, threaded: true,
    rounding: { .ofStrassen(levels: strassenLevels($0, $1), chunkDepth: $0.ic) },
    summary: "Strassen-Winograd product on register tiles, sums turned over into planes",
    space: ConfigurationSpace(
        [levelsParameter, rowsParameter, vectorsParameter, blockParameter], constraint: matrixTileConstraint,
        admits: { isCompiledTile($0["m"], $0["n"]) }),
    memory: { p, c, threads in StrassenJob(p, c, chunkDepth: p.ic, threads: threads, toPlanes: true).memory },
    plan: { p, c, inputs in
        StrassenJob(p, c, chunkDepth: p.ic, threads: inputs.threads, toPlanes: true).plan(
            inputs, dstStep: inputs.dstChannelStep ?? p.oh * p.ow)
    })

private let levelsParameter = Parameter(
    "l", [0, 1, 2], standard: 0, "levels of the recursion; 0: as many as leave a product 128 input channels")
private let rowsParameter = Parameter(
    "m", [4, 6, 8, 10, 12], standard: vectorRegisters == 32 ? 10 : standardTileRows, "pixels in a register tile")
private let vectorsParameter = Parameter("n", [1, 2], standard: 2, "vectors of output channels in a register tile")
private let blockParameter = Parameter("r", [48, 96, 200, 400], standard: 200, "pixels per block")

/// A second level gains where a product keeps enough input channels to cover the start and the end of a tile: with 128 it
/// was 5 % faster than one level, with 64 2 % slower.
private func strassenLevels(_ p: Problem, _ c: Configuration) -> Int {
    c["l"] > 0 ? c["l"] : p.ic >= 512 ? 2 : 1
}

/// A class, since the copying of a large struct becomes a shared function with instructions of this level.
private final class StrassenJob: Sendable {
    let problem: Problem
    let levels: Int
    let panels: StrassenPanels
    let tileRows: Int
    /// Pixels of the largest part of a block.
    let partRows: Int
    let grid: TileGrid
    let stepCount: Int
    /// Sums of one panel and part of a block: those that a group of products leaves to the next, and those within it.
    let keptSums, passingSums: Int
    /// Whether dst is in planes.
    let toPlanes: Bool
    let threads: Int

    /// `chunkDepth`: the most input channels of a run of the recursion; all of them where dst is in planes.
    init(_ p: Problem, _ c: Configuration, chunkDepth: Int, threads: Int, toPlanes: Bool = false) {
        problem = p
        self.threads = threads
        self.toPlanes = toPlanes
        levels = strassenLevels(p, c)
        tileRows = c["m"]
        panels = StrassenPanels(p, levels: levels, width: c["n"] * lanes, lanes: lanes, chunkDepth: chunkDepth)
        grid = TileGrid(rows: p.batch * p.oh * p.ow, tileRows: tileRows << levels, panels: panels.panels, threads: threads)
        partRows = (min(c["r"], grid.mostRows) + (1 << levels) - 1) >> levels
        let program = StrassenProgram(levels: levels)
        stepCount = program.steps.count
        keptSums = program.keptSums
        passingSums = program.sums - program.keptSums
    }

    var memory: Kernel.Memory { Kernel.Memory(packed: 4 * packedCount, scratch: threads * 4 * scratchCount) }

    /// `dstStep`: floats from one pixel of dst to the next, or from one plane to the next.
    func plan(_ inputs: Kernel.PlanInputs, dstStep: Int) -> Kernel.Plan {
        let packed = inputs.packed.assumingMemoryBound(to: Float.self)
        pack(inputs.weights, bias: inputs.bias, into: packed)
        return Kernel.Plan { [self, pool = inputs.pool, scratch = inputs.scratch, following = inputs.following] src, dst in
            pool.run { index in
                let own = (scratch + index * 4 * scratchCount).assumingMemoryBound(to: Float.self)
                run(index, src: src, packed: packed, scratch: own, following: following, dst: dst, dstStep: dstStep)
            }
        }
    }

    // What planning writes: the program, the bias, the weights; each from a cache line's start.

    private var programBytes: Int { AlignedMemory.rounded(stepCount * MemoryLayout<StrassenProgram.Step>.stride) }
    private var biasOffset: Int { programBytes / 4 }
    private var weightsOffset: Int { biasOffset + AlignedMemory.rounded(4 * panels.biasCount) / 4 }
    private var packedCount: Int { weightsOffset + panels.count }

    private func pack(_ weights: UnsafePointer<Float>, bias: UnsafePointer<Float>?, into packed: UnsafeMutablePointer<Float>) {
        StrassenProgram(levels: levels).write(to: packed)
        let padded = packed + biasOffset
        padded.update(repeating: 0, count: panels.biasCount)
        if let bias { padded.update(from: bias, count: problem.oc) }
        panels.pack(weights, into: packed + weightsOffset)
    }

    // What a thread works in: A's combinations of a group of products, the sums, and a tile for what does not fit dst, or a sum that is
    // turned over.

    /// Floats from one row of a combination to the next: no multiple of 1 KiB, at which the rows of a tile would share
    /// few cache sets.
    private var rowStride: Int {
        let whole = (panels.depth + lanes - 1) / lanes * lanes
        return whole % 256 == 0 ? whole + 16 : whole
    }
    /// Floats of a sum: one panel of a part of a block.
    private var sumCount: Int { partRows * panels.width }
    private var keptOffset: Int { AlignedMemory.rounded(4 * 7 * partRows * rowStride) / 4 }
    private var passingOffset: Int { keptOffset + grid.mostPanels * keptSums * sumCount }
    private var spareOffset: Int { passingOffset + passingSums * sumCount }
    private var scratchCount: Int { AlignedMemory.rounded(4 * (spareOffset + (toPlanes ? sumCount : tileRows * panels.width))) / 4 }

    private func run(
        _ index: Int, src: UnsafePointer<Float>, packed: UnsafePointer<Float>, scratch: UnsafeMutablePointer<Float>,
        following: Kernel.Following?, dst: UnsafeMutablePointer<Float>, dstStep: Int
    ) {
        let rows = grid.rows(of: index)
        let panelRange = grid.panels(of: index)
        guard !rows.isEmpty, !panelRange.isEmpty else { return }
        let side = 1 << levels
        // Equal blocks, in equal parts.
        let blocks = (rows.count + side * partRows - 1) / (side * partRows)
        let part = ((rows.count + blocks - 1) / blocks + side - 1) >> levels
        var first = rows.lowerBound
        while first < rows.upperBound {
            let count = min(side * part, rows.upperBound - first)
            for chunk in 0..<panels.chunks {
                for group in 0..<panels.groups {
                    split(src + first * problem.ic, rows: count, part: part, chunk: chunk, group: group, into: scratch)
                    for panel in panelRange {
                        multiply(
                            part: part, first: first, rows: count, chunk: chunk, group: group, panel: panel, packed: packed, scratch: scratch,
                            kept: scratch + (keptOffset + (panel - panelRange.lowerBound) * keptSums * sumCount), following: following,
                            dst: dst, dstStep: dstStep)
                    }
                }
            }
            first += count
        }
    }

    /// Writes the combinations of a block of pixels that a group of products takes, `part` rows each.
    private func split(
        _ src: UnsafePointer<Float>, rows: Int, part: Int, chunk: Int, group: Int, into scratch: UnsafeMutablePointer<Float>
    ) {
        let depth = panels.depth
        let column = chunk * (depth << levels)
        let src = src + column
        let there = problem.ic - column
        let (below, stride) = (part * problem.ic, rowStride)
        if levels == 2 {
            splitStrassenTwice(
                group, src, stride: problem.ic, below: below, rowsThere: rows, columnsThere: there, rows: part, depth: depth, into: scratch,
                outStride: stride, block: part * stride)
        } else {
            splitStrassen(
                src, stride: problem.ic, below: below, rowsThere: rows, columnsThere: there, rows: part, depth: depth,
                into: scratch, outStride: stride, block: part * stride)
        }
    }

    /// The products of a group: one panel of every block of columns × all tiles of the pixels from `first` on.
    private func multiply(
        part: Int, first: Int, rows: Int, chunk: Int, group: Int, panel: Int, packed: UnsafePointer<Float>, scratch: UnsafeMutablePointer<Float>,
        kept: UnsafeMutablePointer<Float>, following: Kernel.Following?, dst: UnsafeMutablePointer<Float>, dstStep: Int
    ) {
        let steps = UnsafeRawPointer(packed).assumingMemoryBound(to: StrassenProgram.Step.self)
        let column = panel * panels.width
        let width = min(panels.width, panels.columns - column)
        let weights = packed + (weightsOffset + panels.offset(chunk: chunk, panel: panel, product: 7 * group))
        let (keptSums, sumCount) = (self.keptSums, self.sumCount)
        let passing = scratch + passingOffset
        let spare = scratch + spareOffset
        let last = chunk == panels.chunks - 1
        let stride = rowStride
        func sum(_ number: Int) -> UnsafeMutablePointer<Float> {
            number < keptSums ? kept + number * sumCount : passing + (number - keptSums) * sumCount
        }
        var tap = Tap(a: 0, b: 0)
        var addends = InlineArray<5, Addend>(repeating: Addend(sums: kept, row: width))
        withUnsafePointer(to: &tap) { tap in
            withUnsafeMutablePointer(to: &addends) { pointer in
                let addends = UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: Addend.self)
                var t = TileArguments(
                    a: scratch, b: weights, c: spare, taps: tap, tapCount: 1, depth: panels.depth, aRow: stride, aStep: 1,
                    bStep: panels.width, cRow: width, start: .zero, finish: false, activation: problem.activation,
                    lastLanes: lanes, addends: addends, addendCount: 0)
                let tiles = (part + tileRows - 1) / tileRows
                // At most a line at a time: with one tile for all of the part the first half of what is next.
                t.laterStep = min(16, (panels.width + tiles - 1) / tiles)
                for index in 0..<stepCount where steps[index].group == group {
                    let step = steps[index]
                    let product = step.product - 7 * group
                    t.tapCount = step.product < 0 ? 0 : 1
                    t.b = weights + product * panels.productCount
                    for tile in 0..<tiles {
                        let share = ThreadPool.share(of: part, index: tile, parts: tiles)
                        let above = share.lowerBound * width
                        for i in 0..<step.addendCount {
                            addends[i] = Addend(sums: sum(step.addends[i]) + above, row: width)
                        }
                        t.addendCount = step.addendCount
                        t.a = UnsafePointer(scratch) + (product * part + share.lowerBound) * stride
                        // The next tile's, or the next product's first.
                        t.ahead = t.a + share.count * stride
                        t.aheadStep = (share.count * stride + panels.depth - 1) / panels.depth
                        // The next product's, and behind the last the next panel's (another thread's, where they are shared out).
                        t.later = t.b + (panels.productCount + tile * panels.depth * t.laterStep)
                        t.start = .zero
                        guard step.sum < 0 else {
                            t.c = sum(step.sum) + above
                            t.cRow = width
                            t.finish = false
                            t.prefetchesC = false
                            runPackedTile(share.count, width / lanes, t)
                            continue
                        }
                        let row = step.row * part + share.lowerBound
                        let channel = step.column * panels.columns + column
                        let rowsThere = min(share.count, rows - row)
                        let columnsThere = min(width, problem.oc - channel)
                        guard rowsThere > 0, columnsThere > 0 else { continue }
                        t.finish = last
                        t.following = following?.from(channel: channel)
                        guard !toPlanes else {
                            t.c = spare + above
                            t.cRow = width
                            t.prefetchesC = false
                            t.start = .columns(packed + biasOffset + channel)
                            runPackedTile(share.count, width / lanes, t)
                            continue
                        }
                        let target = dst + (first + row) * dstStep + channel
                        let fits = rowsThere == share.count && columnsThere == width
                        t.c = fits ? target : spare
                        t.cRow = fits ? dstStep : width
                        t.prefetchesC = fits
                        if chunk == 0 {
                            t.start = .columns(packed + biasOffset + channel)
                        } else {
                            if !fits { copyTile(target, dstStep, to: spare, width, rowsThere, columnsThere) }
                            addends[step.addendCount] = Addend(sums: t.c, row: t.cRow)
                            t.addendCount += 1
                        }
                        runPackedTile(share.count, width / lanes, t)
                        if !fits { copyTile(spare, width, to: target, dstStep, rowsThere, columnsThere) }
                    }
                    if toPlanes, step.sum < 0 {
                        let pixels = first + step.row * part..<first + max(step.row * part, min(rows, (step.row + 1) * part))
                        writePlanes(spare, pixels: pixels, channel: step.column * panels.columns + column, width: width, dst: dst, planeStep: dstStep)
                    }
                }
            }
        }
    }

    /// Writes a sum, the first rows of which are these pixels, into the planes from `channel` on.
    private func writePlanes(
        _ sum: UnsafePointer<Float>, pixels: Range<Int>, channel: Int, width: Int, dst: UnsafeMutablePointer<Float>, planeStep: Int
    ) {
        let channels = min(width, problem.oc - channel)
        guard channels > 0 else { return }
        var sum = sum
        eachImage(of: pixels, pixels: problem.oh * problem.ow) { image, rows in
            turnOver(
                sum, width, rows.count, channels, dst + ((image * problem.oc + channel) * planeStep + rows.lowerBound), planeStep, past: false)
            sum += rows.count * width
        }
    }
}

@inline(never)
private func copyTile(
    _ source: UnsafePointer<Float>, _ sourceRow: Int, to target: UnsafeMutablePointer<Float>, _ targetRow: Int, _ rows: Int,
    _ columns: Int
) {
    for row in 0..<rows {
        for column in 0..<columns { target[row &* targetRow &+ column] = source[row &* sourceRow &+ column] }
    }
}
