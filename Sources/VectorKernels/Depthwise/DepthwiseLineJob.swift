import ConvCore
import CVector
import ThreadPool

// What the kernels share that compute rows of a map phase by phase along the row.

/// What rows of outputs a dilation apart, or parts of them, are computed from: rows of inputs, as far apart. Steps are in floats.
struct LineArguments {
    /// The first pixel of the first row of inputs.
    var src: UnsafePointer<Float>
    /// Of all rows of taps.
    var weights: UnsafePointer<Float>
    /// What the sums begin with: bias or zero.
    var starts: UnsafePointer<Float>
    /// The first output.
    var dst: UnsafeMutablePointer<Float>
    /// Rows of outputs, the row of taps that the first of them meets the first row of inputs under, and rows of inputs.
    var rows, tap, inputRows: Int
    /// From one row to the next, and from one pixel of a phase to the next.
    var rowStep, step: Int
    /// Neighbouring phases to compute.
    var phases: Int
    /// Of a strip of columns: the pixels of its longest phases, and how many phases have as many; the others have one pixel less.
    var places, longest: Int
    /// Whether there are inputs a step to the left of it, and to the right.
    var hasLeft, hasRight: Bool
    /// From the first row's inputs to those that the first vector of a block asks for meanwhile, in `asks` rows of it; the next vector asks for as many
    /// further on.
    var ahead: Int
    /// What an output is at the least, on the way; other activations go over what is stored.
    var least: UnsafePointer<Float>
}

/// How many rows of inputs each vector of a block asks for, where so many rows of outputs are computed together.
@inline(__always)
func asks(rows: Int) -> Int { (rows &+ blockVectors &- 1) / blockVectors }

/// What is loaded where it is needed, since with 16 registers none is left for it. Methods that do so take it anew each time.
struct LineOperands {
    var starts, weights, leasts: UnsafePointer<Float>

    /// What a sum begins with.
    @inline(__always)
    mutating func start() -> Vector {
        if vectorRegisters < 32 { starts = loadedAnew(starts) }
        return load(starts)
    }

    /// What an output is at the least.
    @inline(__always)
    mutating func least() -> Vector {
        if vectorRegisters < 32 { leasts = loadedAnew(leasts) }
        return load(leasts)
    }
}

/// Some pixels of neighbouring phases of a row: the first of all, in how many phases, and the number of the compiled tile. A tuple: the copying of a
/// struct becomes a shared function with instructions of this level.
typealias LinePart = (pixel: Int, phases: Int, shape: Int)

/// What rows are computed with.
enum LineTiles {
    /// 3 × 3 taps slid along phases of any length: all of a strip's rows that are computed together in one call, no parts.
    case slides
    /// Rows of one phase, of which ``LinePart`` tells the compiled tile.
    case lines
    /// Whole phases, of which ``LinePart`` tells the pixels of a row.
    case patches
}

/// A strip of the columns of a map: its pixels, and what ``LineArguments`` says of its phases. A tuple like ``LinePart``.
typealias LineStrip = (pixels: Range<Int>, places: Int, longest: Int)

/// Plans a kernel that computes rows with such tiles, in these parts; at most so many rows together, in strips of so many columns, or of more where the
/// dilation is. Whole phases of few pixels are computed as such.
func planLines(
    _ p: Problem, _ inputs: Kernel.PlanInputs, _ tiles: LineTiles, parts: [LinePart] = [], mostRows: Int = 1, mostColumns: Int = .max
) -> Kernel.Plan {
    let (weights, starts) = packVectorMajorWithStarts(p, inputs)
    let isPatches = computesPatches(p)
    if isPatches { keepPatchTaps(p, weights) }
    let job = LineJob(
        p, threads: inputs.threads, weights: weights, starts: starts, isPatches ? .patches : tiles, lineParts: isPatches ? patchParts(p) : parts,
        mostRows: isPatches ? mostPatchPixels : mostRows, mostColumns: isPatches ? .max : mostColumns)
    return Kernel.Plan { [pool = inputs.pool] src, dst in
        pool.run { index in
            job.run(ThreadPool.share(of: job.units, index: index, parts: pool.threads), src: src, dst: dst)
        }
    }
}

/// The map cut into units of work: an image × a block of channels, or some of its rows. A class, since the copying of a large struct
/// becomes a shared function with instructions of this level.
///
/// Rows go phase by phase, so that those computed together find all rows of inputs in L1 but the last ones, as many as they are; those before them ask
/// for these. Where a phase begins the others come unasked. Vectors of a block go one after the other, wide maps in strips of columns.
private final class LineJob: Sendable {
    let problem: Problem
    nonisolated(unsafe) let weights: UnsafePointer<Float>
    nonisolated(unsafe) let starts: UnsafePointer<Float>
    nonisolated(unsafe) let least: UnsafePointer<Float>
    /// Of a map, in the order of the work.
    let runs: [RowRun]
    /// Units of work of a map: one, or as many as runs.
    let parts: Int
    let strips: [LineStrip]
    /// Floats of a row of a map and of a map, and vectors of all channels.
    let row, map, vectors: Int
    let tiles: LineTiles
    /// Of a row, each its own call; none of slides.
    let lineParts: [LinePart]
    /// See `patchTaps`.
    let keptTaps: Int
    /// Floats from one vector's weights to the next one's.
    let weightStep: Int

    init(
        _ p: Problem, threads: Int, weights: UnsafePointer<Float>, starts: UnsafePointer<Float>, _ tiles: LineTiles, lineParts: [LinePart],
        mostRows: Int, mostColumns: Int
    ) {
        problem = p
        self.tiles = tiles
        self.lineParts = lineParts
        keptTaps = patchTaps(p)
        weightStep = (tiles == .patches ? keptTaps * keptTaps : p.kh * p.kw) * lanes
        least = atrous_least(p.activation == .relu)
        self.weights = weights
        self.starts = starts
        row = p.iw * Layout.blockChannels
        map = p.oh * row
        vectors = p.ic / lanes
        runs = RowRun.together(p, most: mostRows)
        parts = sharesMaps(p, threads: threads) ? 1 : runs.count
        // Each has a pixel of every phase.
        let strips = max(1, min(1 + (p.ow - 1) / mostColumns, p.ow / p.dilationW))
        self.strips = (0..<strips).map { strip in
            let pixels = ThreadPool.share(of: p.ow, index: strip, parts: strips)
            return (pixels: pixels, places: (pixels.count + p.dilationW - 1) / p.dilationW, longest: (pixels.count - 1) % p.dilationW + 1)
        }
    }

    var units: Int { problem.batch * problem.ic / Layout.blockChannels * parts }

    func run(_ share: Range<Int>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>) {
        let p = problem
        var part = share.lowerBound % parts
        var place = share.lowerBound / parts * map
        var vector = share.lowerBound / parts * blockVectors % vectors
        var a = LineArguments(
            src: src, weights: weights, starts: starts, dst: dst, rows: 1, tap: 0, inputRows: 0, rowStep: p.dilationH * row,
            step: p.dilationW * Layout.blockChannels, phases: min(p.dilationW, p.ow), places: 0, longest: 0, hasLeft: false, hasRight: false, ahead: 0, least: least)
        for _ in share {
            for strip in 0..<strips.count {
                let own = strips[strip]
                a.hasLeft = strip > 0
                a.hasRight = strip + 1 < strips.count
                a.places = own.places
                a.longest = own.longest
                a.weights = weights + vector * weightStep
                a.starts = starts + vector * lanes
                let numbers = parts == 1 ? 0..<runs.count : part..<(part + 1)
                let endsMap = !a.hasRight && numbers.upperBound == runs.count
                let toNext = (strips[a.hasRight ? strip + 1 : 0].pixels.lowerBound - own.pixels.lowerBound) * Layout.blockChannels + (endsMap ? map : 0)
                run(
                    numbers, at: place + own.pixels.lowerBound * Layout.blockChannels, width: own.pixels.count,
                    then: a.hasRight ? numbers.lowerBound : endsMap ? 0 : numbers.upperBound, toNext: toNext, src: src, dst: dst, &a)
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

    /// Some runs of a strip that lies at `place`. `following` will come after them, in a strip that lies `toNext` floats further on.
    private func run(
        _ numbers: Range<Int>, at place: Int, width: Int, then following: Int, toNext: Int, src: UnsafePointer<Float>,
        dst: UnsafeMutablePointer<Float>, _ a: inout LineArguments
    ) {
        let p = problem
        for number in numbers {
            let own = runs[number]
            let isLast = number + 1 == numbers.upperBound
            let next = runs[isLast ? following : number + 1]
            a.src = src + (place + own.input * row)
            a.dst = dst + (place + own.output * row)
            a.rows = own.rows
            a.tap = own.tap
            a.inputRows = own.tapRows
            a.ahead = (next.input - own.input) * row + (isLast ? toNext : 0) + max(0, next.tapRows - blockVectors * asks(rows: own.rows)) * a.rowStep
            compute(&a)
            activateStored(
                rows: own.rows, pixels: width, dst + (place + own.output * row), rowStep: a.rowStep, step: Layout.blockChannels, groups: 1,
                vectors: blockVectors, groupStep: Layout.blockChannels, p.activation)
        }
    }

    /// In place, and not inlined, where the arguments would be copied: what is copied as a whole just after parts of it were written has to wait for all
    /// stores before them, those of the map too.
    @inline(never)
    private func compute(_ a: inout LineArguments) {
        switch tiles {
        case .slides: runSlide(&a)
        case .lines: computeLines(&a)
        case .patches:
            let (src, dst) = (a.src, a.dst)
            for number in 0..<lineParts.count {
                let part = lineParts[number]
                a.src = src + part.pixel * Layout.blockChannels
                a.dst = dst + part.pixel * Layout.blockChannels
                a.phases = part.phases
                runPatch(pixels: part.shape, taps: keptTaps, &a)
            }
        }
    }

    @inline(__always)
    private func computeLines(_ a: inout LineArguments) {
        let (src, dst, weights, starts, ahead) = (a.src, a.dst, a.weights, a.starts, a.ahead)
        defer { (a.weights, a.starts) = (weights, starts) }
        for inBlock in 0..<blockVectors {
            a.weights = weights + inBlock * weightStep
            a.starts = starts + inBlock * lanes
            a.ahead = ahead + inBlock * a.rowStep
            for number in 0..<lineParts.count {
                let part = lineParts[number]
                a.src = src + (part.pixel * Layout.blockChannels + inBlock * lanes)
                a.dst = dst + (part.pixel * Layout.blockChannels + inBlock * lanes)
                a.phases = part.phases
                switch problem.kw {
                case 5: runLine(part.shape, a, LineTaps<5>.self)
                case 7: runLine(part.shape, a, LineTaps<7>.self)
                case 9: runLine(part.shape, a, LineTaps<9>.self)
                case 11: runLine(part.shape, a, LineTaps<11>.self)
                default: preconditionFailure("no such tiles")
                }
            }
        }
    }
}
