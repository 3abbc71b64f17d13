import ConvCore
import CVector
import ThreadPool

/// Depthwise convolution that keeps its map, on blocks of 16 channels: whole rows of a width and dilation that are compiled in, one after
/// the other, each a straight line of code under all of its live taps; where the dilation leaves two to four rows that share inputs, these
/// together, phase by phase of their columns (`phaseRowShapes`), in 77 to 104 % of the time of one after the other (90 on the mean of eleven maps
/// of 10 to 20 pixels and 128 to 640 channels).
///
/// Inputs and outputs are met in the order in which they lie in memory, as the hardware prefetches, and the only branch is the one from row
/// to row: which taps the ends of a row meet is settled at compile time. Loops over the parts of a row that share their taps (9, 2 and 9
/// pixels at dilation 9) end in a misprediction about once a row, and with it goes what the CPU had asked L2 for ahead: in prototypes, 256
/// channels of 20 × 20 under 3 × 3 taps took 4.1 cycles a vector of outputs with such loops and 3.4 without, 2.2 of them multiply-adds; parts by
/// columns of the map, rows inside, 4.4.
///
/// On a Zen 5, one row after the other, of the time of the next best kernel: 73 to 98 % on YOLOv5's maps of 20 × 20, 65 to 97 % on 10 × 10, 13 × 13
/// and 16 × 16. Lost: asking for the inputs ahead (2 to 10 % slower) or for the outputs (within 5 %); rows of 40 pixels, in the order of their
/// phases where those that a column of taps spans leave L1 (of `dw-roll-blocked`'s time 92 to 103 % from L2, 98 to 133 % from L3).
///
/// With 16 registers only those of four pixels in a phase that meet five columns of taps: one vector of a block goes over two rows, then the other, which asks
/// for the inputs of the next ones meanwhile. Under 3 × 3 taps `dw-slide-blocked` is 1 to 20 % faster there.
let depthwiseRowBlocked = Kernel(
    name: "dw-row-blocked-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: .nchw16c, threaded: true,
    summary: "rows of a width and dilation that are compiled in, on blocks of channels: no branch within a row",
    supports: { p in
        guard p.strideH == 1, p.strideW == 1, p.oh == p.ih, p.ow == p.iw, p.kw % 2 == 1, p.padLeft == p.dilationW * (p.kw / 2) else {
            return .no(reason: "the map changes or shifts; it takes stride 1, an odd number of taps in a row and a padding that keeps the width; dw-tile takes it, on NHWC")
        }
        let taps = p.rows.liveTapCounts
        guard taps.lowerBound > 0 else { return .no(reason: "a row of outputs meets no tap; dw-tile takes it, on NHWC") }
        guard isCompiled(p, mostTapRows: taps.upperBound) else {
            return .no(reason: "\(p.iw) pixels under \(taps.upperBound)×\(2 * rowRadius(p) + 1) live taps at dilation \(p.dilationW) are not compiled; it has \(compiledRows)")
        }
        return wholeBlocks(p.ic, insteadOf: "dw-phase")
    },
    memory: { p, _, _ in Kernel.Memory(packed: vectorMajorWithStartsBytes(p)) },
    plan: { p, _, inputs in
        let (weights, starts) = packVectorMajorWithStarts(p, inputs)
        let job = RowJob(p, threads: inputs.threads, weights: weights, starts: starts)
        return Kernel.Plan { [pool = inputs.pool] src, dst in
            pool.run { index in
                job.run(ThreadPool.share(of: job.units, index: index, parts: pool.threads), src: src, dst: dst)
            }
        }
    })

/// What the kernel says that it has.
private let compiledRows = vectorRegisters == 32
    ? "rows of 10, 13, 16 and 20 pixels; dw-slide-blocked takes others under 3×3 taps, dw-tile under more"
    : "rows of 16 and 20 pixels at dilation 5 under five columns of taps; dw-slide-blocked takes others under 3×3, dw-line-blocked or dw-tile under more"

/// How many taps to each side meet the map.
private func rowRadius(_ p: Problem) -> Int { min(p.kw / 2, (p.iw - 1) / p.dilationW) }

/// Whether its rows are, one after the other or phase by phase.
private func isCompiled(_ p: Problem, mostTapRows: Int) -> Bool {
    if phaseRowShape(p) != nil { return true }
    guard let shape = rowShape(p) else { return false }
    return mostTapRows <= rowShapes[shape].tapRows
}

/// The number of its rows among `phaseRowShapes`; nil where they are not compiled.
private func phaseRowShape(_ p: Problem) -> Int? {
    guard compilesPhaseRows, p.dilationH == p.dilationW, p.kh % 2 == 1, p.padTop == p.dilationH * (p.kh / 2) else { return nil }
    let radius = min(p.kh / 2, (p.ih - 1) / p.dilationH)
    for number in phaseRowShapes.indices {
        let shape = phaseRowShapes[number]
        guard shape.width == p.iw, shape.dilation == p.dilationW, shape.radius == rowRadius(p), shape.radius == radius else { continue }
        let most = mostPhaseRows(number)
        if (p.oh + p.dilationH - 1) / p.dilationH <= most, p.oh / p.dilationH >= most - 1 { return number }
    }
    return nil
}

/// The number of its rows among `rowShapes`; nil where they are not compiled.
private func rowShape(_ p: Problem) -> Int? {
    for number in rowShapes.indices {
        let shape = rowShapes[number]
        if shape.width == p.iw, shape.dilation == p.dilationW, shape.radius == rowRadius(p) {
            return compilesRow(width: shape.width, dilation: shape.dilation, taps: 2 * shape.radius + 1) ? number : nil
        }
    }
    return nil
}

/// The map cut into units of work: an image × a block of channels, or some of its rows. A class, since the copying of a large struct
/// becomes a shared function with instructions of this level.
private final class RowJob: Sendable {
    let problem: Problem
    nonisolated(unsafe) let weights: UnsafePointer<Float>
    nonisolated(unsafe) let starts: UnsafePointer<Float>
    /// Of `phaseRowShapes`, or of `rowShapes`.
    let shape: Int
    let byPhases: Bool
    let runs: [RowRun]
    /// Of a unit of work.
    let runsAtOnce: Int
    /// Floats of a row of a map and of a map, and vectors of all channels.
    let row, map, vectors: Int
    /// Floats from a vector's first weight to the first that a row meets.
    let firstTap: Int
    nonisolated(unsafe) let least: UnsafePointer<Float>

    init(_ p: Problem, threads: Int, weights: UnsafePointer<Float>, starts: UnsafePointer<Float>) {
        problem = p
        self.weights = weights
        self.starts = starts
        let phased = phaseRowShape(p)
        byPhases = phased != nil
        shape = phased ?? rowShape(p)!
        row = p.iw * Layout.blockChannels
        least = atrous_least(p.activation == .relu)
        firstTap = (p.kw / 2 - rowRadius(p)) * lanes
        let isWhole = sharesMaps(p, threads: threads)
        let together = phased.map { mostPhaseRows($0) } ?? 1
        var most = isWhole ? p.oh : byPhases ? 1 : rowsOfUnit
        // The next vector of a block is to find the lines of the one before in L1.
        if vectorRegisters < 32 { most = rowsOfPass }
        if activatesStored(p.activation) { most = min(most, max(1, activatedBytes / (4 * row * together))) }
        runs = byPhases ? RowRun.phases(p, radius: rowRadius(p), most: most) : RowRun.all(p, most: most)
        runsAtOnce = isWhole ? runs.count : 1
        map = p.oh * row
        vectors = p.ic / lanes
    }

    var units: Int { problem.batch * problem.ic / Layout.blockChannels * (runs.count / runsAtOnce) }

    /// Counts instead of dividing, and takes the runs by number (an iterator would retain the array, which waits for all stores before it): a
    /// map may take no more than 200 ns.
    func run(_ share: Range<Int>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>) {
        let p = problem
        let shares = runs.count / runsAtOnce
        var part = share.lowerBound % shares
        var place = share.lowerBound / shares * map
        var vector = share.lowerBound / shares * blockVectors % vectors
        for _ in share {
            for number in part * runsAtOnce..<(part + 1) * runsAtOnce {
                let run = runs[number]
                for inBlock in 0..<blockVectors {
                    let channel = (vector + inBlock) * lanes
                    let first = place + inBlock * lanes
                    let a = RowArguments(
                        src: src + (first + run.input * row), weights: weights + ((channel * p.kh + run.tap * lanes) * p.kw + firstTap),
                        weightRowStep: p.kw * lanes, starts: starts + channel, dst: dst + (first + run.output * row), rows: run.rows,
                        tapRowStep: p.dilationH * row, ahead: ahead(inBlock, number), least: least, activation: p.activation)
                    if byPhases { runPhaseRows(shape, run.tapRows, a) } else { runRows(shape, tapRows: run.tapRows, a) }
                }
            }
            part += 1
            if part == shares {
                part = 0
                place += map
                vector += blockVectors
                if vector == vectors { vector = 0 }
            }
        }
    }

    /// From the inputs of a run to those that vector `inBlock` of a block asks for: with 16 registers the last vector for those that the next run needs
    /// beside these, another where a map ends for the first of the next map.
    @inline(__always)
    private func ahead(_ inBlock: Int, _ number: Int) -> Int {
        guard vectorRegisters < 32 else { return 0 }
        let isLast = number + 1 == runs.count
        let next = runs[isLast ? 0 : number + 1]
        let toNext = (next.input - runs[number].input + (isLast ? problem.ih : 0)) * row
        if inBlock < blockVectors - 1 { return isLast ? toNext : 0 }
        return toNext + (next.tapRows - 1) * problem.dilationH * row
    }
}

/// Rows that a thread takes at once where threads share a map: a call reads the weights anew, and 20 rows are to be shared evenly by three.
private let rowsOfUnit = 4
/// Rows that one vector of a block goes over before the next does, with 16 registers.
private let rowsOfPass = 2
