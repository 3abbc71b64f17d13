import ConvCore
import CVector
import ThreadPool

/// Depthwise convolution at a stride of 2 along a row without dilation, on blocks of 16 channels: up to fourteen outputs of a row in one register tile, rows
/// of taps in a loop. A pixel is a line and the next one lies beside it, so that no address is computed; every input is loaded once per row of taps. While a
/// row of outputs is computed, the inputs that the next one needs beside its own are asked for.
///
/// Order: blocks of channels, strips of columns whose rows stay in L1, rows, vectors of a block, parts of a row.
///
/// At AVX2 on a Zen 3, of the time of the next best kernel: 0.49 to 0.96 under 3 × 3 taps on maps of 14 × 14 to 208 × 208, 0.61 to 0.90 under 5 × 5 and
/// 7 × 7 (0.72 on the mean of 16 layers). Lost: all rows of a small map in one call (within 6 %, and up to 15 % slower where a row is more); no strips (up to
/// 35 % slower on the widest maps); asking for the outputs as well (within 5 %); the same on NHWC, a pointer for every three pixels (0.5 to 1.1 times the
/// speed of `dw-phase`).
let depthwiseStrideBlocked = Kernel(
    name: "dw-stride-blocked-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: .nchw16c, threaded: true,
    summary: "stride 2 on blocks of channels: register tile of a row of outputs, each input loaded once for all taps of a row",
    space: ConfigurationSpace(
        [
            Parameter("t", [4, 5, 6, 7, 8, 10, 12, 14], standard: mostStridePixels(taps: 3), "most pixels in a register tile; under 5 and 7 taps fewer are compiled"),
            Parameter("w", [0, 12, 24, 48, 1000], standard: 0, "most outputs of a strip of columns, at least a tile; 0: as many as leave their rows in L1"),
        ],
        constraint: "t ≤ \(mostStridePixels(taps: 3)), the largest compiled tile", admits: { $0["t"] <= mostStridePixels(taps: 3) }),
    supports: { p in
        guard p.strideW == 2, p.dilationW == 1 else {
            return .no(reason: "a stride of \(p.strideW) along a row at dilation \(p.dilationW); it takes 2 at 1; dw-tile takes others, on NHWC")
        }
        guard strideTaps.contains(p.kw) else { return .no(reason: "\(p.kw) taps in a row; it takes 3, 5 and 7; dw-tile takes others, on NHWC") }
        // Of the places of a tile only the first and last K/2 are asked whether they lie in the image.
        guard p.padLeft <= p.kw / 2, 2 * (p.ow - 1) - p.padLeft + p.kw - p.kw / 2 <= p.iw else {
            return .no(reason: "the padding reaches further in than half a row of taps; dw-tile takes it, on NHWC")
        }
        return wholeBlocks(p.ic, insteadOf: "dw-phase")
    },
    memory: { p, _, _ in Kernel.Memory(packed: vectorMajorWithStartsBytes(p)) },
    plan: { p, c, inputs in
        let (weights, starts) = packVectorMajorWithStarts(p, inputs)
        let job = StrideJob(p, pixels: c["t"], columns: c["w"], weights: weights, starts: starts)
        return Kernel.Plan { [pool = inputs.pool] src, dst in
            pool.run { index in
                job.run(ThreadPool.share(of: job.units, index: index, parts: pool.threads), src: src, dst: dst)
            }
        }
    })

/// Outputs of a row that one tile computes: the first one, how many, and which places of inputs lie in the image. A tuple: the copying of a struct becomes
/// a shared function with instructions of this level.
private typealias StridePart = (first: Int, pixels: Int, live: UInt64)

/// A row of outputs in even parts of at most so many.
private func strideParts(_ p: Problem, most: Int) -> [StridePart] {
    let count = (p.ow + most - 1) / most
    return (0..<count).map { number in
        let outputs = ThreadPool.share(of: p.ow, index: number, parts: count)
        let origin = 2 * outputs.lowerBound - p.padLeft
        let live = (0..<(2 * outputs.count + p.kw - 2)).filter { origin + $0 >= 0 && origin + $0 < p.iw }
        return (first: outputs.lowerBound, pixels: outputs.count, live: live.reduce(0) { $0 | 1 << UInt64($1) })
    }
}

/// The map cut into units of work: an image × a block of channels × a row of outputs. A class, since the copying of a large struct becomes a shared function
/// with instructions of this level.
private final class StrideJob: Sendable {
    let problem: Problem
    nonisolated(unsafe) let weights: UnsafePointer<Float>
    nonisolated(unsafe) let starts: UnsafePointer<Float>
    nonisolated(unsafe) let least: UnsafePointer<Float>
    /// Rows of outputs under the same rows of taps.
    let runs: [RowRun]
    /// Strips of columns, each of some parts.
    let strips: [[StridePart]]
    /// Floats of a row and of a map, of inputs and of outputs; vectors of all channels.
    let row, map, outputRow, outputMap, vectors: Int

    /// `pixels`: the most in a tile. `columns`: the most outputs of a strip; 0: as many as is good.
    init(_ p: Problem, pixels: Int, columns: Int, weights: UnsafePointer<Float>, starts: UnsafePointer<Float>) {
        problem = p
        self.weights = weights
        self.starts = starts
        least = atrous_least(p.activation == .relu)
        runs = RowRun.all(p, most: p.oh)
        let parts = strideParts(p, most: min(pixels, mostStridePixels(taps: p.kw)))
        // The rows of inputs of one row of outputs and of the next, and both of outputs.
        let lines = 2 * (p.kh + p.strideH) + 2
        let together = max(1, (columns > 0 ? columns : Self.stripLines / lines) / parts[0].pixels)
        let count = (parts.count + together - 1) / together
        strips = (0..<count).map { Array(parts[ThreadPool.share(of: parts.count, index: $0, parts: count)]) }
        row = p.iw * Layout.blockChannels
        map = p.ih * row
        outputRow = p.ow * Layout.blockChannels
        outputMap = p.oh * outputRow
        vectors = p.ic / lanes
    }

    /// Cache lines that the rows of a strip may take: of the 512 of 32 KiB.
    private static let stripLines = 400

    var units: Int { problem.batch * problem.ic / Layout.blockChannels * problem.oh }

    /// As many rows of a block together as the share has of it.
    func run(_ share: Range<Int>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>) {
        var unit = share.lowerBound
        while unit < share.upperBound {
            let (block, first) = (unit / problem.oh, unit % problem.oh)
            let rows = first..<min(problem.oh, first + share.upperBound - unit)
            run(rows: rows, vector: block * blockVectors % vectors, src: src + block * map, dst: dst + block * outputMap)
            unit += rows.count
        }
    }

    /// Some rows of outputs of a block of channels. src and dst are the block's.
    private func run(rows: Range<Int>, vector: Int, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>) {
        let p = problem
        var a = StrideArguments(
            src: src, weights: weights, starts: starts, dst: dst, rows: 0, rowStep: p.dilationH * row, live: 0, ahead: 0, aheadStep: row, least: least)
        for strip in strips {
            for run in runs {
                let own = rows.clamped(to: run.output..<(run.output + run.rows))
                for output in own {
                    let input = run.input + (output - run.output) * p.strideH
                    a.rows = run.tapRows
                    for inBlock in 0..<blockVectors {
                        a.starts = starts + (vector + inBlock) * lanes
                        a.ahead = (run.tapRows + inBlock * strideAsks) * row
                        for part in strip {
                            a.src = src + (input * row + (2 * part.first - p.padLeft) * Layout.blockChannels + inBlock * lanes)
                            a.weights = weights + ((vector + inBlock) * p.kh + run.tap) * p.kw * lanes
                            a.dst = dst + (output * outputRow + part.first * Layout.blockChannels + inBlock * lanes)
                            a.live = part.live
                            compute(part.pixels, &a)
                        }
                    }
                    let (first, last) = (strip[0], strip[strip.count - 1])
                    activateStored(
                        rows: 1, pixels: last.first + last.pixels - first.first, dst + (output * outputRow + first.first * Layout.blockChannels), rowStep: 0,
                        step: Layout.blockChannels, groups: 1, vectors: blockVectors, groupStep: Layout.blockChannels, p.activation)
                }
            }
        }
    }

    /// Not inlined, where the arguments would be copied.
    @inline(never)
    private func compute(_ pixels: Int, _ a: inout StrideArguments) {
        switch problem.kw {
        case 3: runStride(pixels, &a, StrideTaps<3>.self)
        case 5: runStride(pixels, &a, StrideTaps<5>.self)
        case 7: runStride(pixels, &a, StrideTaps<7>.self)
        default: preconditionFailure("no such tile")
        }
    }
}
