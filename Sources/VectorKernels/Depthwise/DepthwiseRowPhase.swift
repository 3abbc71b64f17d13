import CVector
import ConvCore

/// Rows of W pixels, D apart like the columns of taps, under K × K taps: N pixels of each in the first phases of columns, L in the others; only the
/// type is used.
private enum PhaseRows<let W: Int, let D: Int, let N: Int, let L: Int, let K: Int> {}
/// M rows of them.
private enum RowCount<let M: Int> {}
/// M × N pixels of one phase, D apart both ways in rows of W.
private enum PhasePart<let W: Int, let D: Int, let M: Int, let N: Int, let K: Int> {}

/// All rows of a map that share their inputs, M of them a dilation apart, together; `a.rows` times, from one to the next. A row of theirs is a
/// straight line of code, phase after phase of its columns, in which every input is loaded once, for all outputs of its phase, which wait in
/// registers with all weights of 3 × 3 taps. So the FMA units are all that counts in L1 (101 to 105 % of their time), and what comes from L2 and
/// goes there is the same for every row, where of rows that are computed one after the other the first half brings all inputs of a map.
@inline(never)
private func runTogether<let W: Int, let D: Int, let N: Int, let L: Int, let K: Int, let M: Int>(
    _ a: borrowing RowArguments, _ shape: PhaseRows<W, D, N, L, K>.Type, _ size: RowCount<M>.Type
) {
    var held = zeros(TileShape<3, 3>.self)
    if K == 3 {
        for i in 0..<3 {
            for j in 0..<3 { held[i][j] = load(a.weights + (i &* a.weightRowStep &+ j &* lanes)) }
        }
    }
    let start = load(a.starts)
    // A branch on the activation would cut the row into pieces.
    let least = load(a.least)
    var src = a.src
    var dst = a.dst
    for _ in 0..<a.rows {
        column(0, src, dst, a, held, start, least, shape, size)
        column(1, src, dst, a, held, start, least, shape, size)
        column(2, src, dst, a, held, start, least, shape, size)
        column(3, src, dst, a, held, start, least, shape, size)
        column(4, src, dst, a, held, start, least, shape, size)
        column(5, src, dst, a, held, start, least, shape, size)
        column(6, src, dst, a, held, start, least, shape, size)
        column(7, src, dst, a, held, start, least, shape, size)
        column(8, src, dst, a, held, start, least, shape, size)
        src += W &* Layout.blockChannels
        dst += W &* Layout.blockChannels
    }
    for m in 0..<M {
        activateStored(
            rows: 1, pixels: a.rows &* W, a.dst + m &* D &* W &* Layout.blockChannels, rowStep: 0, step: Layout.blockChannels, groups: 1,
            groupStep: lanes, a.activation)
    }
}

/// The phase that begins at column `first`.
@_transparent
private func column<let W: Int, let D: Int, let N: Int, let L: Int, let K: Int, let M: Int>(
    _ first: Int, _ src: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>, _ a: borrowing RowArguments, _ held: borrowing TileShape<3, 3>,
    _ start: Vector, _ least: Vector, _ shape: PhaseRows<W, D, N, L, K>.Type, _ size: RowCount<M>.Type
) {
    guard first < D else { return }
    let place = first &* Layout.blockChannels
    if first &+ (N &- 1) &* D < W {
        phase(src + place, dst + place, a, held, start, least, PhasePart<W, D, M, N, K>.self)
    } else {
        phase(src + place, dst + place, a, held, start, least, PhasePart<W, D, M, L, K>.self)
    }
}

/// Optimised by itself before it is inlined once for every column: `@_transparent`, a row took the compiler fifteen times as long.
@inline(__always)
private func phase<let W: Int, let D: Int, let M: Int, let N: Int, let K: Int>(
    _ src: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>, _ a: borrowing RowArguments, _ held: borrowing TileShape<3, 3>, _ start: Vector,
    _ least: Vector, _ part: PhasePart<W, D, M, N, K>.Type
) {
    var sum = zeros(TileShape<M, N>.self)
    for m in 0..<M {
        for n in 0..<N { sum[m][n] = start }
    }
    inputs(0, src, a, held, &sum, part)
    inputs(1, src, a, held, &sum, part)
    inputs(2, src, a, held, &sum, part)
    inputs(3, src, a, held, &sum, part)
    for m in 0..<M {
        for n in 0..<N { store(dst + (m &* W &+ n) &* D &* Layout.blockChannels, atLeast(sum[m][n], least)) }
    }
}

/// The inputs of row `i`.
@_transparent
private func inputs<let W: Int, let D: Int, let M: Int, let N: Int, let K: Int>(
    _ i: Int, _ src: UnsafePointer<Float>, _ a: borrowing RowArguments, _ held: borrowing TileShape<3, 3>, _ sum: inout TileShape<M, N>,
    _ part: PhasePart<W, D, M, N, K>.Type
) {
    guard i < M else { return }
    input(i, 0, src, a, held, &sum, part)
    input(i, 1, src, a, held, &sum, part)
    input(i, 2, src, a, held, &sum, part)
    input(i, 3, src, a, held, &sum, part)
}

/// One input under all taps that join it with an output of its phase.
@_transparent
private func input<let W: Int, let D: Int, let M: Int, let N: Int, let K: Int>(
    _ i: Int, _ j: Int, _ src: UnsafePointer<Float>, _ a: borrowing RowArguments, _ held: borrowing TileShape<3, 3>, _ sum: inout TileShape<M, N>,
    _ part: PhasePart<W, D, M, N, K>.Type
) {
    guard j < N else { return }
    let x = load(src + (i &* W &+ j) &* D &* Layout.blockChannels)
    for m in 0..<M {
        let row = i &- m &+ K / 2
        for n in 0..<N {
            let column = j &- n &+ K / 2
            if row >= 0, row < K, column >= 0, column < K {
                let weight = K == 3 ? held[row][column] : load(a.weights + (row &* a.weightRowStep &+ column &* lanes))
                sum[m][n] = multiplyAdd(x, weight, sum[m][n])
            }
        }
    }
}

/// The rows that are taken phase by phase: width, dilation of rows and columns, how many taps to each side meet the map either way. Two to
/// four rows lie in a phase of theirs, as many as pixels or one fewer: maps of other heights are taken one row after the other (`rowShapes`).
///
/// So are those that gain nothing (fewer than 2.1 pixels in a phase on the mean; 10 pixels at dilation 4) and, at dilation 5 and 6 on 20 pixels,
/// those for which the compiler spills, or keeps the phases of 4 × 4 apart as a function. Not tried: dilations that leave more than four, or four under 5 × 5 taps.
///
/// To add one: a line here and one in `runPhaseRows`, at the same place.
let phaseRowShapes = [
    (width: 10, dilation: 3, radius: 1),
    (width: 13, dilation: 4, radius: 1),
    (width: 13, dilation: 5, radius: 1),
    (width: 13, dilation: 6, radius: 1),
    (width: 13, dilation: 5, radius: 2),
    (width: 16, dilation: 5, radius: 1),
    (width: 16, dilation: 6, radius: 1),
    (width: 16, dilation: 7, radius: 1),
    (width: 16, dilation: 7, radius: 2),
    (width: 20, dilation: 7, radius: 1),
    (width: 20, dilation: 8, radius: 1),
    (width: 20, dilation: 9, radius: 1),
    (width: 20, dilation: 7, radius: 2),
    (width: 20, dilation: 9, radius: 2),
]

/// Whether there are any: with 16 registers `dw-slide-blocked` and `dw-line-blocked` take whole phases.
let compilesPhaseRows = vectorRegisters == 32

/// How many rows of a phase are computed together at most, of a shape of `phaseRowShapes`; the fewest is one less.
func mostPhaseRows(_ shape: Int) -> Int {
    let shape = phaseRowShapes[shape]
    return (shape.width + shape.dilation - 1) / shape.dilation
}

/// Computes `count` rows of a phase together, of the shape with that number.
@inline(__always)
func runPhaseRows(_ shape: Int, _ count: Int, _ a: borrowing RowArguments) {
    guard compilesPhaseRows else { preconditionFailure("no such rows") }
    switch shape {
    case 0: runPhases(count, a, PhaseRows<10, 3, 4, 3, 3>.self)
    case 1: runPhases(count, a, PhaseRows<13, 4, 4, 3, 3>.self)
    case 2: runPhases(count, a, PhaseRows<13, 5, 3, 2, 3>.self)
    case 3: runPhases(count, a, PhaseRows<13, 6, 3, 2, 3>.self)
    case 4: runPhases(count, a, PhaseRows<13, 5, 3, 2, 5>.self)
    case 5: runPhases(count, a, PhaseRows<16, 5, 4, 3, 3>.self)
    case 6: runPhases(count, a, PhaseRows<16, 6, 3, 2, 3>.self)
    case 7: runPhases(count, a, PhaseRows<16, 7, 3, 2, 3>.self)
    case 8: runPhases(count, a, PhaseRows<16, 7, 3, 2, 5>.self)
    case 9: runPhases(count, a, PhaseRows<20, 7, 3, 2, 3>.self)
    case 10: runPhases(count, a, PhaseRows<20, 8, 3, 2, 3>.self)
    case 11: runPhases(count, a, PhaseRows<20, 9, 3, 2, 3>.self)
    case 12: runPhases(count, a, PhaseRows<20, 7, 3, 2, 5>.self)
    case 13: runPhases(count, a, PhaseRows<20, 9, 3, 2, 5>.self)
    default: preconditionFailure("no such rows")
    }
}

@inline(__always)
private func runPhases<let W: Int, let D: Int, let N: Int, let L: Int, let K: Int>(
    _ count: Int, _ a: borrowing RowArguments, _ shape: PhaseRows<W, D, N, L, K>.Type
) {
    guard N == (W &+ D &- 1) / D, L == W / D, N <= 4, L >= 2, D <= 9, K == 3 || K == 5 else { preconditionFailure("not all of it is written out") }
    switch count {
    case 2: if N == 3 { runTogether(a, shape, RowCount<2>.self) }
    case 3: runTogether(a, shape, RowCount<3>.self)
    case 4: if N == 4 { runTogether(a, shape, RowCount<4>.self) }
    default: preconditionFailure("no such rows")
    }
}
