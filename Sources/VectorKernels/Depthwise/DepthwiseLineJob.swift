import ConvCore
import CVector
import ThreadPool

// What the kernels share that compute rows of a map phase by phase along the row.

/// What a row of outputs, or a part of it, is computed from: rows of inputs, a dilation apart. Steps are in floats.
struct LineArguments {
    /// The first pixel of the first live row.
    var src: UnsafePointer<Float>
    /// The first live row's taps; the other rows' lie behind.
    var weights: UnsafePointer<Float>
    /// What the sums begin with: bias or zero.
    var starts: UnsafePointer<Float>
    /// The first output.
    var dst: UnsafeMutablePointer<Float>
    /// Live rows of taps.
    var tapRows: Int
    /// From one row of inputs to the next, and from one pixel of a phase to the next.
    var rowStep, step: Int
    /// Neighbouring phases to compute.
    var phases: Int
    /// Of a whole row: the pixels of its longest phases, and how many phases have as many; the others have one pixel less.
    var places, longest: Int
    /// From the first row's inputs to those that are asked for meanwhile; may be zero.
    var ahead: Int
    /// What an output is at the least, on the way; other activations go over what is stored.
    var least: UnsafePointer<Float>
}

/// Some pixels of neighbouring phases of a row: the first of all, in how many phases, and the number of the compiled tile. A tuple: the copying of a
/// struct becomes a shared function with instructions of this level.
typealias LinePart = (pixel: Int, phases: Int, shape: Int)

/// Plans a kernel that computes rows in these parts, or whole where there are none.
func planLines(_ p: Problem, _ inputs: Kernel.PlanInputs, parts: [LinePart] = []) -> Kernel.Plan {
    let (weights, starts) = packVectorMajorWithStarts(p, inputs)
    let job = LineJob(p, threads: inputs.threads, weights: weights, starts: starts, lineParts: parts)
    return Kernel.Plan { [pool = inputs.pool] src, dst in
        pool.run { index in
            job.run(ThreadPool.share(of: job.units, index: index, parts: pool.threads), src: src, dst: dst)
        }
    }
}

/// The map cut into units of work: an image × a block of channels, or some of its rows. A class, since the copying of a large struct
/// becomes a shared function with instructions of this level.
///
/// Rows go phase by phase, so that each finds all but one of its rows of inputs in L1. They are computed for one vector of a block after the other, and
/// with the last the inputs are asked for that the next row needs in its last live row; where a phase begins, those of its first live row before that,
/// if there are several vectors.
private final class LineJob: Sendable {
    let problem: Problem
    nonisolated(unsafe) let weights: UnsafePointer<Float>
    nonisolated(unsafe) let starts: UnsafePointer<Float>
    nonisolated(unsafe) let least: UnsafePointer<Float>
    /// Of a map, each a row, in the order of the work.
    let rows: [RowRun]
    /// Units of work of a map.
    let parts: Int
    /// Floats of a row of a map and of a map, and vectors of all channels.
    let row, map, vectors: Int
    /// See `LineArguments`.
    let places, longest: Int
    /// Of a row, each its own call; none where a call takes a whole row.
    let lineParts: [LinePart]

    init(_ p: Problem, threads: Int, weights: UnsafePointer<Float>, starts: UnsafePointer<Float>, lineParts: [LinePart]) {
        problem = p
        self.lineParts = lineParts
        least = atrous_least(p.activation == .relu)
        self.weights = weights
        self.starts = starts
        row = p.iw * Layout.blockChannels
        map = p.oh * row
        vectors = p.ic / lanes
        let rows = RowRun.all(p, most: 1)
        self.rows = p.outputRowsInDilationOrder.map { rows[$0] }
        // As many for every thread.
        let rounds = (p.oh + rowsOfUnit * threads - 1) / (rowsOfUnit * threads)
        parts = sharesMaps(p, threads: threads) ? 1 : min(p.oh, rounds * threads)
        places = p.columns.longestPhase
        longest = p.columns.longestPhases
    }

    var units: Int { problem.batch * problem.ic / Layout.blockChannels * parts }

    func run(_ share: Range<Int>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>) {
        let p = problem
        var part = share.lowerBound % parts
        var place = share.lowerBound / parts * map
        var vector = share.lowerBound / parts * blockVectors % vectors
        let taps = p.kh * p.kw
        var a = LineArguments(
            src: src, weights: weights, starts: starts, dst: dst, tapRows: 0, rowStep: p.dilationH * row, step: p.dilationW * Layout.blockChannels,
            phases: min(p.dilationW, p.ow), places: places, longest: longest, ahead: 0, least: least)
        for _ in share {
            for number in rows.count * part / parts..<rows.count * (part + 1) / parts {
                let own = rows[number]
                let isLast = number + 1 == rows.count
                let next = rows[isLast ? 0 : number + 1]
                let toNext = (next.input - own.input + (isLast ? p.ih : 0)) * row
                let begins = isLast || next.output != own.output + p.dilationH
                a.weights = weights + (vector * taps + own.tap * p.kw) * lanes
                a.starts = starts + vector * lanes
                a.tapRows = own.tapRows
                a.ahead = begins ? toNext : 0
                for inBlock in 0..<blockVectors {
                    if inBlock == blockVectors - 1 { a.ahead = toNext + (next.tapRows - 1) * a.rowStep }
                    a.src = src + (place + own.input * row + inBlock * lanes)
                    a.dst = dst + (place + own.output * row + inBlock * lanes)
                    if lineParts.isEmpty {
                        runSlide(a)
                    } else {
                        runParts(&a)
                    }
                    a.weights += taps * lanes
                    a.starts += lanes
                }
                activateStored(
                    rows: 1, pixels: p.ow, dst + (place + own.output * row), rowStep: 0, step: Layout.blockChannels, groups: 1, vectors: blockVectors,
                    groupStep: Layout.blockChannels, p.activation)
            }
            part += 1
            if part == parts {
                part = 0
                place += map
                vector += blockVectors
                if vector == vectors { vector = 0 }
            }
        }
    }

    /// In place: what is copied as a whole just after parts of it were written has to wait for all stores before them, those of the map too.
    private func runParts(_ a: inout LineArguments) {
        let (src, dst) = (a.src, a.dst)
        for number in 0..<lineParts.count {
            let part = lineParts[number]
            a.src = src + part.pixel * Layout.blockChannels
            a.dst = dst + part.pixel * Layout.blockChannels
            a.phases = part.phases
            switch problem.kw {
            case 5: runLine(part.shape, a, LineTaps<5>.self)
            case 7: runLine(part.shape, a, LineTaps<7>.self)
            case 9: runLine(part.shape, a, LineTaps<9>.self)
            default: preconditionFailure("no such tiles")
            }
        }
    }
}

/// Most rows of a unit of work, where threads share a map.
private let rowsOfUnit = 8
