import ConvCore
import ThreadPool

/// Depthwise convolution that keeps its map, on blocks of 16 channels: whole rows of a width and dilation that are compiled in, one after
/// the other, each a straight line of code under all of its live taps.
///
/// Inputs and outputs are met in the order in which they lie in memory, as the hardware prefetches, and the only branch is the one from row
/// to row: which taps the ends of a row meet is settled at compile time. Loops over the parts of a row that share their taps (9, 2 and 9
/// pixels at dilation 9) end in a misprediction about once a row, and with it goes what the CPU had asked L2 for ahead: in prototypes, 256
/// channels of 20 × 20 took 4.1 cycles an output with such loops and 3.4 without, 2.2 of them multiply-adds; parts by columns of the map,
/// rows inside, 4.4. Three taps in a row keep the weights in registers; with five they are loaded with every row of inputs.
///
/// On a Zen 5, of the time of the next best kernel: 76 to 97 % on YOLOv5's maps of 20 × 20, 50 to 80 % on 10 × 10 and 13 × 13 (whose phases are
/// short). Lost: asking for the inputs ahead (2 to 10 % slower) or for the outputs (within 5 %); maps of 40 pixels, taken by rows a dilation apart
/// where those that a column of taps spans leave L1 (of `dw-roll`'s time 92 to 103 % from L2, 98 to 133 % from L3), and of 80.
let depthwiseRowBlocked = Kernel(
    name: "dw-row-blocked-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: .nchw16c, threaded: true,
    summary: "rows of a width and dilation that are compiled in, on blocks of channels: no branch within a row",
    space: ConfigurationSpace([]),
    supports: { p in
        guard p.strideH == 1, p.strideW == 1, p.oh == p.ih, p.ow == p.iw, p.padLeft == p.dilationW * (p.kw / 2), p.kw % 2 == 1 else {
            return .no(reason: "the map changes or shifts; it takes stride 1, odd taps and a padding that keeps the width")
        }
        let liveRows = p.rows.segments.map(\.taps.count)
        guard let shape = RowJob.shape(p), liveRows.allSatisfy((1...rowShapes[shape].rows).contains) else {
            return .no(reason: "\(p.iw) pixels under \(liveRows.max() ?? 0)×\(2 * RowJob.radius(p) + 1) live taps at dilation \(p.dilationW) are not compiled; dw-phase-blocked takes them")
        }
        return wholeBlocks(p.ic, insteadOf: "dw-phase")
    },
    memory: { p, _, _ in Kernel.Memory(packed: 4 * (p.weightCount + p.ic)) },
    plan: { p, _, inputs in
        let weights = inputs.packed.assumingMemoryBound(to: Float.self)
        packVectorMajor(p, inputs.weights, into: weights)
        let starts = weights + p.weightCount
        for channel in 0..<p.ic { starts[channel] = inputs.bias?[channel] ?? 0 }
        let job = RowJob(p, threads: inputs.threads, weights: weights, starts: starts)
        return Kernel.Plan { [pool = inputs.pool] src, dst in
            pool.run { index in
                job.run(ThreadPool.share(of: job.units, index: index, parts: pool.threads), src: src, dst: dst)
            }
        }
    })

/// The map cut into units of work: an image × a block of channels, or some of its rows. A class, since the copying of a large struct
/// becomes a shared function with instructions of this level.
private final class RowJob: Sendable {
    let problem: Problem
    nonisolated(unsafe) let weights: UnsafePointer<Float>
    nonisolated(unsafe) let starts: UnsafePointer<Float>
    /// Of `rowShapes`.
    let shape: Int
    /// Neighbouring rows under the same taps.
    let runs: [(outputs: Range<Int>, taps: Range<Int>)]
    /// Of a unit of work.
    let runsAtOnce: Int

    init(_ p: Problem, threads: Int, weights: UnsafePointer<Float>, starts: UnsafePointer<Float>) {
        problem = p
        self.weights = weights
        self.starts = starts
        shape = Self.shape(p)!
        let isWhole = sharesMaps(p, threads: threads)
        // Sums that are activated where they lie should not have left L1; threads that share a map take some rows each.
        let most = isWhole ? activatesStored(p.activation) ? max(1, activatedBytes / (p.ow * Layout.blockChannels * 4)) : p.oh : rowsOfUnit
        runs = p.rows.segments.flatMap { segment in
            stride(from: segment.outputs.lowerBound, to: segment.outputs.upperBound, by: most).map {
                ($0..<min($0 + most, segment.outputs.upperBound), segment.taps)
            }
        }
        runsAtOnce = isWhole ? runs.count : 1
    }

    var units: Int { problem.batch * problem.ic / Layout.blockChannels * (runs.count / runsAtOnce) }

    /// How many taps to each side meet the map.
    static func radius(_ p: Problem) -> Int { min(p.kw / 2, (p.iw - 1) / p.dilationW) }

    static func shape(_ p: Problem) -> Int? {
        rowShapes.firstIndex { ($0.width, $0.dilation, $0.radius) == (p.iw, p.dilationW, radius(p)) }
    }

    func run(_ share: Range<Int>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>) {
        let p = problem
        let shares = runs.count / runsAtOnce
        let rowStep = p.iw * Layout.blockChannels
        let firstTap = p.kw / 2 - Self.radius(p)
        for unit in share {
            let map = unit / shares
            let block = map % (p.ic / Layout.blockChannels)
            // By number: an iterator would retain the array, and that waits for the stores before it.
            for run in unit % shares * runsAtOnce..<(unit % shares + 1) * runsAtOnce {
                let (outputs, taps) = runs[run]
                let firstInput = outputs.lowerBound - p.padTop + taps.lowerBound * p.dilationH
                for inBlock in 0..<blockVectors {
                    let vector = block * blockVectors + inBlock
                    let place = map * p.oh * rowStep + inBlock * lanes
                    runRows(
                        shape, rows: taps.count,
                        RowArguments(
                            src: src + (place + firstInput * rowStep),
                            weights: weights + ((vector * p.kh + taps.lowerBound) * p.kw + firstTap) * lanes, weightRowStep: p.kw * lanes,
                            starts: starts + vector * lanes, dst: dst + (place + outputs.lowerBound * rowStep), rows: outputs.count,
                            tapRowStep: p.dilationH * rowStep, activation: p.activation))
                }
            }
        }
    }
}

/// Of rows whose sums are activated where they lie: half of L1.
private let activatedBytes = 16 << 10

/// Where threads share a map.
private let rowsOfUnit = 4
