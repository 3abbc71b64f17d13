import ConvCore
import CVector
import ThreadPool

/// Depthwise convolution on PyTorch's layout, NCHW: neighbouring output columns of a row lie along a vector, and a register tile is up to three rows of
/// outputs × up to three vectors. The rows are as far apart as the taps of a column, so that they share rows of inputs: a vector of inputs is loaded once for
/// all rows of outputs that it lies under, and a weight is broadcast once for all vectors of a row.
///
/// A channel is copied into a plane with room for the padding of its rows, where there is any: so borders are computed as all else is. Rows of taps outside the
/// image are left out for the tile, columns of taps that no column of a strip meets for the strip. The last vector of a row overlaps the one before it. At a
/// stride of 2 the vector is the even lanes of two. Lost: no copy, but vectors with their live lanes at the borders (slower than `dw-direct`: the compiler no
/// longer inlines the loop over taps).
///
/// Of `dw-direct`'s time, at AVX2 on a busy Zen 3: 0.68 and 0.70 under 3 × 3 taps on 112 × 112 and 80 × 80, 0.32 on 20 × 20 at dilation 5, 0.35 under 5 × 5
/// and 0.28 under 7 × 7 on 40 × 40, 0.17 under 9 × 9 on 20 × 20 at dilation 9. Three live columns of taps are written out, 1.14 to 1.46 times as fast as the
/// loop over them.
let depthwiseTilePlanes = Kernel(
    name: "dw-tile-planes-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: .nchw, threaded: true,
    summary: "register tile of rows × vectors of columns on NCHW, rows a dilation apart",
    space: ConfigurationSpace([
        Parameter("r", [1, 2, 3], standard: 3, "most rows of outputs in a register tile"),
        Parameter("n", [1, 2, 3], standard: multiplyAddIsFused ? 3 : 2, "most vectors of a row in a register tile; at a stride of 2 at most two"),
    ]),
    supports: { p in
        p.strideH <= 2 && p.strideW <= 2
            ? .yes : .no(reason: "a stride of \(p.strideH)×\(p.strideW); it takes strides of 1 and 2; dw-tile takes others, on NHWC")
    },
    memory: { p, _, threads in Kernel.Memory(scratch: threads * paddedBytes(p)) },
    plan: { p, c, inputs in
        let job = PlaneJob(p, rows: c["r"], vectors: c["n"], weights: inputs.weights, bias: inputs.bias)
        let (scratch, bytes) = (inputs.scratch, paddedBytes(p))
        return Kernel.Plan { [pool = inputs.pool] src, dst in
            pool.run { index in
                job.run(
                    ThreadPool.share(of: job.units, index: index, parts: pool.threads),
                    padded: (scratch + index * bytes).assumingMemoryBound(to: Float.self), src: src, dst: dst)
            }
        }
    })

/// The floats of a row with room for the padding to its left and its right, zeros.
private func paddedWidth(_ p: Problem) -> Int {
    // As far as vectors are loaded: of outputs, which may be more than there are, under the last column of taps; at a stride of 2 two vectors each.
    let reach = (max(p.ow, lanes) - 1) * p.strideW + (p.kw - 1) * p.dilationW + p.strideW
    return max(p.padLeft + p.iw, reach)
}

private func paddedBytes(_ p: Problem) -> Int { (4 * p.ih * paddedWidth(p) + 63) / 64 * 64 }

/// The map cut into units of work: an image × a channel. A class, since the copying of a large struct becomes a shared function with instructions of this
/// level.
private final class PlaneJob: Sendable {
    let problem: Problem
    nonisolated(unsafe) let weights: UnsafePointer<Float>
    nonisolated(unsafe) let bias: UnsafePointer<Float>?
    /// Floats of a padded row.
    let width: Int
    /// Rows of outputs together.
    let tiles: [Axis.PhaseTile]
    let strips: [PlaneStrip]

    init(_ p: Problem, rows: Int, vectors: Int, weights: UnsafePointer<Float>, bias: UnsafePointer<Float>?) {
        problem = p
        self.weights = weights
        self.bias = bias
        width = paddedWidth(p)
        tiles = p.rows.phaseTiles(most: rows)
        let all = (p.ow + lanes - 1) / lanes
        let most = p.strideW == 1 ? vectors : min(vectors, mostStridedVectors)
        let parts = (all + most - 1) / most
        strips = (0..<parts).map { planeStrip(p, vectors: ThreadPool.share(of: all, index: $0, parts: parts)) }
    }

    var units: Int { problem.batch * problem.ic }

    func run(_ share: Range<Int>, padded plane: UnsafeMutablePointer<Float>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>) {
        let p = problem
        let copies = width > p.iw
        if copies, !share.isEmpty { plane.update(repeating: 0, count: p.ih * width) }
        for unit in share {
            let channel = unit % p.ic
            let (input, output) = (src + unit * p.ih * p.iw, dst + unit * p.oh * p.ow)
            if copies {
                for row in 0..<p.ih { (plane + (row * width + p.padLeft)).update(from: input + row * p.iw, count: p.iw) }
            }
            run(copies ? UnsafePointer(plane) : input, weights + channel * p.kh * p.kw, bias?[channel] ?? 0, output)
            guard p.activation != .none, p.activation != .relu else { continue }
            finishRow(output, count: p.oh * p.ow, bias: 0, activation: p.activation)
        }
    }

    /// A channel. `plane`: its rows, padded.
    private func run(_ plane: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, _ bias: Float, _ output: UnsafeMutablePointer<Float>) {
        let p = problem
        var a = PlaneArguments(
            src: plane, weights: weights, bias: bias, dst: output, lastLanes: strips[0].lastLanes, lastOffset: 0, firstRow: 0, endRow: 0,
            rowStep: p.rows.placeStep * width, step: p.dilationW, taps: 0, rowTaps: 0, kw: p.kw, tapShift: p.rows.phaseStride - 1,
            dstRowStep: p.rows.phaseStep * p.ow, rectifies: p.activation == .relu)
        for rows in tiles {
            a.firstRow = rows.places.lowerBound
            a.endRow = rows.places.upperBound
            a.rowTaps = rows.taps.count
            for strip in strips {
                a.src = plane + (rows.origin * width + strip.column)
                a.dst = output + (rows.first * p.ow + strip.output)
                a.weights = weights + (rows.taps.lowerBound * p.kw + strip.tap)
                a.taps = strip.taps
                a.lastOffset = strip.lastOffset
                runPlaneTile(rows: rows.count, vectors: strip.vectors, stride: p.strideW, &a)
            }
        }
    }
}

/// Some vectors of columns of all rows of outputs: the first output, how many vectors, where the last of them begins behind the first and how many lanes it has,
/// the column of the padded row under the first live column of taps, and how many of these there are. A tuple: the copying of a struct becomes a shared function
/// with instructions of this level.
private typealias PlaneStrip = (output: Int, vectors: Int, lastOffset: Int, lastLanes: Int, column: Int, tap: Int, taps: Int)

private func planeStrip(_ p: Problem, vectors: Range<Int>) -> PlaneStrip {
    // The last vector of a row overlaps the one before it; a strip of one vector is moved as a whole.
    let last = min((vectors.upperBound - 1) * lanes, max(0, p.ow - lanes))
    let first = min(vectors.lowerBound * lanes, last)
    let lastLanes = min(lanes, p.ow)
    let live = p.columns.taps(ofAny: first..<last + lastLanes)
    return (
        output: first, vectors: vectors.count, lastOffset: last - first, lastLanes: lastLanes,
        column: first * p.strideW + live.lowerBound * p.dilationW, tap: live.lowerBound, taps: live.count)
}

/// The most vectors of a tile at a stride of 2: with more the optimiser gives up unrolling, and the sums go through memory.
private let mostStridedVectors = 2

/// What a tile is computed from. Steps are in floats.
private struct PlaneArguments {
    /// The input under the first output's first row of taps and first live column; the row may lie in the padding.
    var src: UnsafePointer<Float>
    /// The first live column of the first row of taps that some row of outputs meets.
    var weights: UnsafePointer<Float>
    var bias: Float
    var dst: UnsafeMutablePointer<Float>
    var lastLanes, lastOffset: Int
    /// Rows of inputs that lie in the image, counted from `src`, and from one to the next.
    var firstRow, endRow, rowStep: Int
    /// From one column of taps to the next, and how many are live.
    var step, taps: Int
    /// Rows of taps from the first to the last of those, and columns of all taps.
    var rowTaps, kw: Int
    /// From one row of outputs to the next there are 1 << tapShift rows of taps.
    var tapShift: Int
    var dstRowStep: Int
    var rectifies: Bool
}

/// G rows of outputs × N vectors at a stride of S under T live columns of taps, or with T = 0 any number; only the type is used.
private enum PlaneShape<let G: Int, let N: Int, let S: Int, let T: Int> {}
/// The rows A ..< B of them.
private enum PlaneRows<let A: Int, let B: Int> {}

/// `a` is `inout` because Swift would copy it as a whole to lend it.
@inline(never)
private func tile<let G: Int, let N: Int, let S: Int, let T: Int>(_ a: inout PlaneArguments, _ shape: PlaneShape<G, N, S, T>.Type) {
    var sum = TileShape<G, N>(repeating: InlineArray(repeating: Vector(repeating: a.bias)))
    let (step, taps, lastOffset) = (a.step, a.taps, S &* a.lastOffset)
    // From the weights of a row of outputs to those of the next.
    let back = 0 &- (a.kw << a.tapShift)
    var row = a.src + a.firstRow &* a.rowStep
    var weights = a.weights + a.firstRow &* a.kw
    for i in a.firstRow..<a.endRow {
        // The rows of outputs that have a row of taps here.
        let first = max(0, (i &- a.rowTaps &+ 1 &+ a.tapShift) &>> a.tapShift)
        let last = min(G &- 1, i &>> a.tapShift)
        switch first &* 4 &+ last {
        case 0: inputRow(row, weights, back, step, taps, lastOffset, &sum, shape, PlaneRows<0, 1>.self)
        case 1: inputRow(row, weights, back, step, taps, lastOffset, &sum, shape, PlaneRows<0, 2>.self)
        case 2: inputRow(row, weights, back, step, taps, lastOffset, &sum, shape, PlaneRows<0, 3>.self)
        case 5: inputRow(row, weights, back, step, taps, lastOffset, &sum, shape, PlaneRows<1, 2>.self)
        case 6: inputRow(row, weights, back, step, taps, lastOffset, &sum, shape, PlaneRows<1, 3>.self)
        case 10: inputRow(row, weights, back, step, taps, lastOffset, &sum, shape, PlaneRows<2, 3>.self)
        default: break  // At a stride of 2 a single row of taps leaves rows of inputs out.
        }
        row += a.rowStep
        weights += a.kw
    }
    if a.rectifies {
        for g in 0..<G {
            for n in 0..<N { sum[g][n] = rectified(sum[g][n]) }
        }
    }
    for g in 0..<G {
        let row = a.dst + g &* a.dstRowStep
        for n in 0..<N {
            let p = row + (n == N - 1 && N > 1 ? a.lastOffset : n &* lanes)
            if N == 1, a.lastLanes < lanes { storeLanes(p, sum[g][n], a.lastLanes) } else { store(p, sum[g][n]) }
        }
    }
}

/// A row of inputs into the rows of sums A ..< B, under one column of taps after the other.
@inline(__always)
private func inputRow<let G: Int, let N: Int, let S: Int, let T: Int, let A: Int, let B: Int>(
    _ row: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, _ back: Int, _ step: Int, _ taps: Int, _ lastOffset: Int, _ sum: inout TileShape<G, N>,
    _ shape: PlaneShape<G, N, S, T>.Type, _ rows: PlaneRows<A, B>.Type
) {
    guard B <= G else { return }
    if T > 0 {
        // Anew: else the compiler would load all weights first, and spill.
        for k in 0..<T { tap(loadedAnew(row + k &* step), loadedAnew(weights + k), back, lastOffset, &sum, shape, rows) }
        return
    }
    var x = row
    var w = weights
    for _ in 0..<taps {
        tap(x, w, back, lastOffset, &sum, shape, rows)
        x += step
        w += 1
    }
}

/// The same under one of them.
@inline(__always)
private func tap<let G: Int, let N: Int, let S: Int, let T: Int, let A: Int, let B: Int>(
    _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>, _ back: Int, _ lastOffset: Int, _ sum: inout TileShape<G, N>,
    _ shape: PlaneShape<G, N, S, T>.Type, _ rows: PlaneRows<A, B>.Type
) {
    for n in 0..<N {
        let p = x + (n == N - 1 && N > 1 ? lastOffset : S &* n &* lanes)
        let value = S == 1 ? load(p) : evenLanes(load(p), load(p + lanes))
        for g in A..<B { sum[g][n] = multiplyAddInPlace(value, broadcast(w + g &* back), sum[g][n]) }
    }
}

@inline(__always)
private func runPlaneTile(rows: Int, vectors: Int, stride: Int, _ a: inout PlaneArguments) {
    switch rows {
    case 1: run(vectors, stride, &a, PlaneRows<0, 1>.self)
    case 2: run(vectors, stride, &a, PlaneRows<0, 2>.self)
    case 3: run(vectors, stride, &a, PlaneRows<0, 3>.self)
    default: preconditionFailure("no such tile")
    }
}

@inline(never)
private func run<let G: Int>(_ vectors: Int, _ stride: Int, _ a: inout PlaneArguments, _ rows: PlaneRows<0, G>.Type) {
    // Three columns are written out: the end of a loop so short is mispredicted too often.
    if a.taps == 3 { run(vectors, stride, &a, rows, PlaneRows<0, 3>.self) } else { run(vectors, stride, &a, rows, PlaneRows<0, 0>.self) }
}

@inline(__always)
private func run<let G: Int, let T: Int>(
    _ vectors: Int, _ stride: Int, _ a: inout PlaneArguments, _ rows: PlaneRows<0, G>.Type, _ taps: PlaneRows<0, T>.Type
) {
    switch stride &* 4 &+ vectors {
    case 5: tile(&a, PlaneShape<G, 1, 1, T>.self)
    case 6: tile(&a, PlaneShape<G, 2, 1, T>.self)
    case 7: tile(&a, PlaneShape<G, 3, 1, T>.self)
    case 9: tile(&a, PlaneShape<G, 1, 2, T>.self)
    case 10: tile(&a, PlaneShape<G, 2, 2, T>.self)
    default: preconditionFailure("no such tile")
    }
}
