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
/// to 91 % and 54 to 63 % (`dw-phase` at 8 lanes 53 to 58). On phases of three rows `dw-phase` passes it.
///
/// `h` = 2 walks two vectors down together. With 8 lanes, where it would take both vectors of a line, no tile of two is left that does
/// not spill.
///
/// Lost: asking for the outputs of a row before its sums, or for inputs or outputs of the next vectors (up to 13 % slower at 16
/// lanes, 18 % at 8); rows of seven and eight sums at 16 lanes (2 to 4 % slower per output); at 8 lanes, the two vectors of a line
/// taking turns every 1 to 8 rows (5 to 40 % slower) or column (5 to 25 %), and weights or inputs as operands from L1, which the
/// compiler spills; walking along the rows of the map, tiles lying down it (within 3 % on the mean, on any map).
///
/// Hangs on where dst lies: see `AlignedMemory.mapSpacing`.
let depthwiseRoll = rollKernel(
    "dw-roll", .nhwc, summary: "3×3 taps: three rows of sums rolled down a column of pixels, every input loaded once",
    further: [Parameter("g", [4, 8, 16, 1000], standard: 1000, "most vectors of channels in a unit of work")]
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
                Parameter("t", [2, 3, 4, 5, 6], standard: vectorRegisters == 32 ? 6 : 3, "most pixels in a row of sums"),
                Parameter("h", [1, 2], standard: 1, "neighbouring vectors of channels walked down together"),
            ] + further,
            constraint:
                "3·h·t + 7 ≤ \(rollRegisters) registers: of each vector 2·t sums and t inputs; seven for weights and inputs beside the tile",
            admits: { fitsRoll(pixels: $0["t"], vectors: $0["h"]) && (layout == .nhwc || $0["h"] <= blockVectors) }),
        supports: { p in
            guard p.kh == 3, p.kw == 3 else { return .no(reason: "\(p.kh)×\(p.kw) taps; it takes 3×3; dw-phase takes others") }
            guard p.strideH == 1, p.strideW == 1, p.oh == p.ih, p.ow == p.iw, p.padTop == p.dilationH, p.padLeft == p.dilationW
            else { return .no(reason: "the map changes or shifts; it takes stride 1 and a padding of the dilation") }
            return supportsChannels(p)
        },
        memory: { p, _, _ in Kernel.Memory(packed: 4 * (p.weightCount + p.ic)) },
        plan: { p, c, inputs in
            let weights = inputs.packed.assumingMemoryBound(to: Float.self)
            packVectorMajor(p, inputs.weights, into: weights)
            let starts = weights + p.weightCount
            for channel in 0..<p.ic { starts[channel] = inputs.bias?[channel] ?? 0 }
            let isBlocked = layout == .nchw16c
            let job = RollJob(
                p, layout, mostPixels: c["t"], together: c["h"], passVectors: isBlocked ? blockVectors : c["g"], threads: inputs.threads,
                weights: weights, starts: starts)
            return Kernel.Plan { [pool = inputs.pool] src, dst in
                pool.run { index in
                    job.run(ThreadPool.share(of: job.units, index: index, parts: pool.threads), src: src, dst: dst)
                }
            }
        })
}

/// The map cut into units of work: an image × channels × a row of phases × columns. A class, since the copying of a large struct becomes
/// a shared function with instructions of this level.
private final class RollJob: Sendable {
    let problem: Problem
    nonisolated(unsafe) let weights: UnsafePointer<Float>
    nonisolated(unsafe) let starts: UnsafePointer<Float>
    /// Of the image.
    let phaseRows: Int
    /// In blocks of channels in runs of those alike.
    let columns: [PhaseColumn]
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
        phaseRows = min(p.dilationH, p.oh)
        isBlocked = layout == .nchw16c
        columns = PhaseColumn.all(width: p.ow, dilation: p.dilationW, most: mostPixels, inRuns: isBlocked && sharesMaps(p, threads: threads))
        vectors = p.ic / lanes
        self.together = together
        self.passVectors = min(passVectors, vectors)
        pixelStep = layout.steps(channels: p.ic, pixels: p.ih * p.iw).pixel
    }

    private var passes: Int { (vectors + passVectors - 1) / passVectors }

    var units: Int { problem.batch * passes * phaseRows * columns.count }

    func run(_ share: Range<Int>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>) {
        let p = problem
        for unit in share {
            let tile = columns[unit % columns.count]
            let run = tile.run
            let top = unit / columns.count % phaseRows
            let pass = unit / columns.count / phaseRows % passes
            let image = unit / columns.count / phaseRows / passes
            let first = top * p.iw + tile.first
            let rows = (p.oh - top + p.dilationH - 1) / p.dilationH
            let own = pass * passVectors..<min(vectors, (pass + 1) * passVectors)
            // Sums that are activated where they lie should not have left L1.
            let most = activatesStored(p.activation) ? max(1, activatedBytes / (rows * tile.count * lanes * 4)) : Int.max
            let map = isBlocked ? image * passes + pass : image
            let offset = (map * p.oh * p.ow + first) * pixelStep - (isBlocked ? own.lowerBound * lanes : 0)
            if isBlocked {
                for vector in stride(from: own.lowerBound, to: own.upperBound, by: together) {
                    var done = 0
                    while done < run.count {
                        let groups = min(most, run.count - done)
                        walk(
                            tile, vector, together, rows: rows, groups: groups, groupStep: run.step * pixelStep, weightGroupStep: 0, startGroupStep: 0,
                            src: src + (offset + done * run.step * pixelStep), dst: dst + (offset + done * run.step * pixelStep))
                        done += groups
                    }
                }
            } else {
                var vector = own.lowerBound
                while vector < own.upperBound {
                    // The odd one out is walked down alone.
                    let remaining = own.upperBound - vector
                    let abreast = min(together, remaining)
                    let groups = max(1, min(most, remaining) / abreast)
                    walk(
                        tile, vector, abreast, rows: rows, groups: groups, groupStep: abreast * lanes, weightGroupStep: 9 * abreast * lanes,
                        startGroupStep: abreast * lanes, src: src + offset, dst: dst + offset)
                    vector += groups * abreast
                }
            }
        }
    }

    /// src and dst are the tile's first output's place, of the first channel.
    private func walk(
        _ tile: PhaseColumn, _ vector: Int, _ abreast: Int, rows: Int, groups: Int, groupStep: Int, weightGroupStep: Int, startGroupStep: Int,
        src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>
    ) {
        let p = problem
        let step = p.dilationW * pixelStep
        let channel = vector * lanes
        runRollTile(
            tile.count, abreast,
            RollArguments(
                src: src + (channel - step), weights: weights + channel * 9, starts: starts + channel, dst: dst + channel, rows: rows, step: step,
                rowStep: p.dilationH * p.iw * pixelStep, hasLeft: tile.hasLeft, hasRight: tile.hasRight, groups: groups, groupStep: groupStep,
                weightGroupStep: weightGroupStep, startGroupStep: startGroupStep, activation: p.activation))
    }
}

/// Of a tile whose sums are activated where they lie: half of L1.
private let activatedBytes = 16 << 10
