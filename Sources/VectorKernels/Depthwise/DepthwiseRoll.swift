import ConvCore
import ThreadPool

/// Depthwise convolution under 3 × 3 taps that keeps its map, NHWC: each column of `t` pixels of a dilation phase walked down with
/// three rows of sums in registers.
///
/// Every line of inputs is met once per column of tiles and goes at once into the three rows of outputs that it lies under: (t +
/// 2)/t lines and one store per output, beside nine weights per `t` outputs from L1. So nothing has to be found in L1 again, where
/// pixels of one phase that lie a power of two apart share a few cache sets, and a line that is fetched from L2 or L3 has done its
/// work. Order: rows of phases, column tiles, phases along a row (neighbouring pixels), vectors of channels, rows.
///
/// Of the FMA peak of a Zen 4, maps in L1: 98 to 100 % at 16 lanes, 80 to 88 % at 8 from 10 rows on; of that a column of 10 rows
/// loses 35 to 60 cycles, and at 8 lanes there are twice as many columns. On YOLOv5's maps of 40 × 40 and more, dilation 2 to 5, 83
/// to 91 % and 54 to 63 % (`dw-phase` at 8 lanes 53 to 58). On phases of three rows `dw-phase` passes it. A Zen 5 computes twice as fast
/// and reads L2 no faster: 96 to 98 % from L1 with rows of seven, 55 to 80 % of YOLOv5's maps. There rows of at most eight pixels in place
/// of six, of which a phase of seven needs one column in place of two, are 1.1 to 1.25 times as fast;
/// on a Zen 4 such rows are 2 to 4 % slower per output. On maps whose rows `dw-row-blocked` has compiled it passes this one, and so
/// does `dw-slide-blocked` at 8 lanes on all of YOLOv5's, at 16 on most of 40 × 40 and more.
///
/// `h` = 2 walks two vectors down together. With 8 lanes, where it would take both vectors of a line, no tile of two is left that does
/// not spill.
///
/// Lost: asking for the outputs of a row before its sums, or for inputs or outputs of the next vectors (up to 13 % slower at 16
/// lanes, 18 % at 8; for those of the row of phases below, on a Zen 5, 3 to 25 %); at 8 lanes, the two vectors of a line
/// taking turns every 1 to 8 rows (5 to 40 % slower) or column (5 to 25 %), and weights or inputs as operands from L1, which the
/// compiler spills; walking along the rows of the map, tiles lying down it (within 3 % on the mean, on any map).
///
/// A walk takes some 20 cycles before its first row, which shows where there are few channels: 12 × 12 pixels of one vector take 190 ns,
/// of which two walks; 180 where a walk was described by its unit's number alone.
///
/// Hangs on where dst lies: see `AlignedMemory.mapSpacing`.
let depthwiseRoll = rollKernel(
    "dw-roll", .nhwc, summary: "3×3 taps: three rows of sums rolled down a column of pixels, every input loaded once",
    further: [
        Parameter("h", [1, 2], standard: 1, "neighbouring vectors of channels walked down together"),
        Parameter("g", [4, 8, 16, 1000], standard: 1000, "most vectors of channels in a unit of work"),
    ]
) { p in
    p.ic % lanes == 0 ? .yes : .no(reason: "\(p.ic) channels are no whole vectors of \(lanes); dw-phase takes them")
}

/// The same walk on blocks of 16 channels, each a map of its own: see ``depthwisePhaseBlocked``. Columns of tiles that differ in their
/// place alone are walked down one after the other.
let depthwiseRollBlocked = rollKernel(
    "dw-roll-blocked", .nchw16c, summary: "3×3 taps on blocks of channels: three rows of sums rolled down a column of pixels, every input loaded once",
    further: []
) { wholeBlocks($0.ic, insteadOf: "dw-phase") }

private func rollKernel(
    _ algorithm: String, _ layout: Layout, summary: String, further: [Parameter],
    supportsChannels: @escaping @Sendable (Problem) -> Kernel.Support
) -> Kernel {
    Kernel(
        name: "\(algorithm)-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: layout, threaded: true, summary: summary,
        space: ConfigurationSpace(
            [
                Parameter("t", [2, 3, 4, 5, 6, 7, 8], standard: vectorRegisters == 32 ? 8 : 3, "most pixels in a row of sums"),
            ] + further,
            constraint:
                "3·\(layout == .nhwc ? "h·" : "")t + 7 ≤ \(rollRegisters) registers: of each vector 2·t sums and t inputs; seven for weights and inputs beside the tile",
            admits: { fitsRoll(pixels: $0["t"], vectors: layout == .nhwc ? $0["h"] : 1) }),
        supports: { p in
            guard p.kh == 3, p.kw == 3 else { return .no(reason: "\(p.kh)×\(p.kw) taps; it takes 3×3; dw-tile takes others, on NHWC") }
            guard keepsMap(p) else { return .no(reason: "the map changes or shifts; it takes stride 1 and a padding of the dilation; dw-tile takes it, on NHWC") }
            return supportsChannels(p)
        },
        memory: { p, _, _ in Kernel.Memory(packed: vectorMajorWithStartsBytes(p)) },
        plan: { p, c, inputs in
            let (weights, starts) = packVectorMajorWithStarts(p, inputs)
            let isBlocked = layout == .nchw16c
            let job = RollJob(
                p, layout, mostPixels: c["t"], together: isBlocked ? 1 : c["h"], passVectors: isBlocked ? blockVectors : c["g"], threads: inputs.threads,
                weights: weights, starts: starts)
            return Kernel.Plan { [pool = inputs.pool] src, dst in
                pool.run { index in
                    job.run(ThreadPool.share(of: job.units, index: index, parts: pool.threads), src: src, dst: dst)
                }
            }
        })
}

/// The map cut into units of work: an image × channels × one walk, or all of a map. A class, since the copying of a large struct becomes a
/// shared function with instructions of this level.
private final class RollJob: Sendable {
    let problem: Problem
    nonisolated(unsafe) let weights: UnsafePointer<Float>
    nonisolated(unsafe) let starts: UnsafePointer<Float>
    /// Of a map.
    let walks: [PhaseWalk]
    /// Of a unit of work: one, or where the walks are put together in runs all.
    let walksAtOnce: Int
    /// Of all channels, and those that go over the map together: in blocks of channels those of a block.
    let vectors, passVectors: Int
    /// Vectors that one tile walks down together.
    let together: Int
    let isBlocked: Bool
    /// Floats from one pixel to the next.
    let pixelStep: Int

    init(
        _ p: Problem, _ layout: Layout, mostPixels: Int, together: Int, passVectors: Int, threads: Int, weights: UnsafePointer<Float>,
        starts: UnsafePointer<Float>
    ) {
        problem = p
        self.weights = weights
        self.starts = starts
        isBlocked = layout == .nchw16c
        let inRuns = isBlocked && sharesMaps(p, threads: threads)
        vectors = p.ic / lanes
        self.together = together
        self.passVectors = min(passVectors, vectors)
        pixelStep = layout.steps(channels: p.ic, pixels: p.ih * p.iw).pixel
        walks = PhaseWalk.all(p, most: mostPixels, inRuns: inRuns, mostRows: repeatedBytes / (4 * p.iw * pixelStep))
        walksAtOnce = inRuns ? walks.count : 1
    }

    private var passes: Int { (vectors + passVectors - 1) / passVectors }

    var units: Int { problem.batch * passes * (walks.count / walksAtOnce) }

    func run(_ share: Range<Int>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>) {
        let p = problem
        let shares = walks.count / walksAtOnce
        for unit in share {
            let map = unit / shares
            let pass = map % passes
            let own = pass * passVectors..<min(vectors, (pass + 1) * passVectors)
            // To the pass's first channel in blocks of channels, else to the image's.
            let offset = (isBlocked ? map : map / passes) * p.oh * p.ow * pixelStep
            for walk in unit % shares * walksAtOnce..<(unit % shares + 1) * walksAtOnce {
                run(walk: walks[walk], vectors: own, src: src + offset, dst: dst + offset)
            }
        }
    }

    private func run(walk: PhaseWalk, vectors own: Range<Int>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>) {
        let p = problem
        let step = p.dilationW * pixelStep
        let place = walk.first * pixelStep
        let groupStep = isBlocked ? walk.columnRun.step * pixelStep : together * lanes
        var a = RollArguments(
            src: src, weights: weights, starts: starts, dst: dst, rows: walk.rows, step: step, rowStep: p.dilationH * p.iw * pixelStep,
            hasLeft: walk.hasLeft, hasRight: walk.hasRight, groups: 1, groupStep: groupStep, weightGroupStep: isBlocked ? 0 : 9 * groupStep,
            startGroupStep: isBlocked ? 0 : groupStep, repeats: walk.rowRun.count, repeatStep: walk.rowRun.step * p.ow * pixelStep,
            activation: p.activation)
        // Sums that are activated where they lie should not have left L1.
        let most = activatesStored(p.activation) ? max(1, activatedBytes / (walk.rows * walk.pixels * lanes * 4)) : Int.max
        if isBlocked {
            for vector in own {
                let inMap = place + (vector - own.lowerBound) * lanes
                point(&a, at: vector)
                var done = 0
                while done < walk.columnRun.count {
                    a.groups = min(most, walk.columnRun.count - done)
                    a.src = src + (inMap + done * groupStep - step)
                    a.dst = dst + (inMap + done * groupStep)
                    runRollTile(walk.pixels, 1, a)
                    done += a.groups
                }
            }
        } else {
            var vector = own.lowerBound
            while vector < own.upperBound {
                // The odd one out is walked down alone.
                let abreast = min(together, own.upperBound - vector)
                point(&a, at: vector)
                a.groups = max(1, min(most, own.upperBound - vector) / abreast)
                a.src = src + (place + vector * lanes - step)
                a.dst = dst + (place + vector * lanes)
                runRollTile(walk.pixels, abreast, a)
                vector += a.groups * abreast
            }
        }
    }

    private func point(_ a: inout RollArguments, at vector: Int) {
        a.weights = weights + vector * lanes * 9
        a.starts = starts + vector * lanes
    }
}

/// Of the rows of a map that one call computes for several rows of phases, a run of columns at a time: with more, 80 × 80 pixels took up to 1.09
/// times as long on a Zen 5; with one row of phases at a time, 20 × 20 up to 1.25 times. Where a line holds several vectors, the second
/// would not find it in L1 any more.
private let repeatedBytes = blockVectors == 1 ? 128 << 10 : 0
