import CVector
import ConvCore

/// Rows of a map, all under the same rows of taps; or first rows of phases, each with the others of its phase. Steps are in floats.
struct RowArguments {
    /// The first pixel of the first live row under the first row of outputs.
    var src: UnsafePointer<Float>
    /// The first live row's first live tap, and from one row of taps to the next.
    var weights: UnsafePointer<Float>
    var weightRowStep: Int
    /// What the sums begin with: bias or zero.
    var starts: UnsafePointer<Float>
    var dst: UnsafeMutablePointer<Float>
    var rows: Int
    /// In src, from one row of taps to the next.
    var tapRowStep: Int
    /// With 16 registers, from a pixel of src to one that is asked for meanwhile; may be zero.
    var ahead: Int
    /// What an output is at the least, on the way; other activations go over what is stored.
    var least: UnsafePointer<Float>
    var activation: Activation
}

/// W pixels under rows of K taps, D apart, T of them at a time, or Q under four rows of taps (0: not compiled); only the type is used.
private enum RowSize<let W: Int, let D: Int, let K: Int, let T: Int, let Q: Int> {}
/// The same under R rows of taps, T at a time.
private enum RowShape<let W: Int, let D: Int, let K: Int, let R: Int, let T: Int> {}
/// Part P of such a row.
private enum RowPart<let W: Int, let D: Int, let K: Int, let R: Int, let T: Int, let P: Int> {}

// What is written out below: pixels, taps and parts of a row.
private let mostPixels = 20
private let mostTaps = 5
private let mostParts = 5

/// Whether all weights fit the registers: 32 beside ten sums, what they begin with, the least that they may be and eleven inputs that the compiler
/// loads early; 16, one row of five, beside eight sums and an input. Else they are loaded with every row of inputs.
@inline(__always)
private func holdsWeights(_ taps: Int) -> Bool { taps <= 9 }

/// Whether there are rows that are compiled: on x86 below AVX2 no register would be left for the products.
let compilesRows = vectorRegisters >= 16

/// Whether rows of this shape are compiled. With 16 registers others compute phases of up to three pixels faster, and all under 3 × 3 taps.
func compilesRow(width w: Int, dilation d: Int, taps k: Int) -> Bool { vectorRegisters == 32 || k > 3 && w > mostPatchPixels * d }

@inline(never)
private func runRows<let W: Int, let D: Int, let K: Int, let R: Int, let T: Int>(_ a: borrowing RowArguments, _ shape: RowShape<W, D, K, R, T>.Type) {
    var held = zeros(TileShape<R, K>.self)
    if holdsWeights(R &* K) {
        for r in 0..<R {
            for k in 0..<K { held[r][k] = load(a.weights + (r &* a.weightRowStep &+ k &* lanes)) }
        }
    }
    let start = load(a.starts)
    // A branch on the activation would cut the row into pieces.
    let least = load(a.least)
    var src = a.src
    var dst = a.dst
    for _ in 0..<a.rows {
        rowPart(src, dst, a, held, start, least, RowPart<W, D, K, R, T, 0>.self)
        rowPart(src, dst, a, held, start, least, RowPart<W, D, K, R, T, 1>.self)
        rowPart(src, dst, a, held, start, least, RowPart<W, D, K, R, T, 2>.self)
        rowPart(src, dst, a, held, start, least, RowPart<W, D, K, R, T, 3>.self)
        rowPart(src, dst, a, held, start, least, RowPart<W, D, K, R, T, 4>.self)
        src += W &* Layout.blockChannels
        dst += W &* Layout.blockChannels
    }
    activateStored(
        rows: 1, pixels: a.rows &* W, a.dst, rowStep: 0, step: Layout.blockChannels, groups: 1, groupStep: lanes, a.activation)
}

// From here on `@_transparent`: of a function that it has inlined a few times the optimiser leaves the next call, `@inline(__always)` or not.

@_transparent
private func rowPart<let W: Int, let D: Int, let K: Int, let R: Int, let T: Int, let P: Int>(
    _ src: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>, _ a: borrowing RowArguments, _ held: borrowing TileShape<R, K>,
    _ start: Vector, _ least: Vector, _ part: RowPart<W, D, K, R, T, P>.Type
) {
    guard P * T < W else { return }
    var sum = zeros(InlineArray<T, Vector>.self)
    let first = vectorRegisters == 32 ? start : load(loadedAnew(a.starts))
    for t in 0..<T { sum[t] = first }
    inputRow(0, src, a, held, &sum, part)
    inputRow(1, src, a, held, &sum, part)
    inputRow(2, src, a, held, &sum, part)
    inputRow(3, src, a, held, &sum, part)
    let bound = vectorRegisters == 32 ? least : load(loadedAnew(a.least))
    for t in 0..<T {
        let output = P &* T &+ t
        if output < W {
            if vectorRegisters < 32 { atrous_prefetch(src + (output &* Layout.blockChannels &+ a.ahead)) }
            store(dst + output &* Layout.blockChannels, atLeast(sum[t], bound))
        }
    }
}

/// A row of inputs, each loaded once for all the taps under which it meets those pixels: so no input waits in a register. Nothing is
/// computed in the padding.
@_transparent
private func inputRow<let W: Int, let D: Int, let K: Int, let R: Int, let T: Int, let P: Int>(
    _ r: Int, _ src: UnsafePointer<Float>, _ a: borrowing RowArguments, _ held: borrowing TileShape<R, K>, _ sum: inout InlineArray<T, Vector>,
    _ part: RowPart<W, D, K, R, T, P>.Type
) {
    guard r < R else { return }
    var weight = zeros(InlineArray<K, Vector>.self)
    let weights = a.weights + r &* a.weightRowStep
    for k in 0..<K { weight[k] = holdsWeights(R &* K) ? held[r][k] : load(weights + k &* lanes) }
    let row = src + r &* a.tapRowStep
    // Written out: whether the compiler unrolls a loop over them depends on what else there is in the file.
    input(0, row, weight, &sum, part)
    input(1, row, weight, &sum, part)
    input(2, row, weight, &sum, part)
    input(3, row, weight, &sum, part)
    input(4, row, weight, &sum, part)
    input(5, row, weight, &sum, part)
    input(6, row, weight, &sum, part)
    input(7, row, weight, &sum, part)
    input(8, row, weight, &sum, part)
    input(9, row, weight, &sum, part)
    input(10, row, weight, &sum, part)
    input(11, row, weight, &sum, part)
    input(12, row, weight, &sum, part)
    input(13, row, weight, &sum, part)
    input(14, row, weight, &sum, part)
    input(15, row, weight, &sum, part)
    input(16, row, weight, &sum, part)
    input(17, row, weight, &sum, part)
    input(18, row, weight, &sum, part)
    input(19, row, weight, &sum, part)
}

@_transparent
private func input<let W: Int, let D: Int, let K: Int, let R: Int, let T: Int, let P: Int>(
    _ n: Int, _ row: UnsafePointer<Float>, _ weight: borrowing InlineArray<K, Vector>, _ sum: inout InlineArray<T, Vector>,
    _ part: RowPart<W, D, K, R, T, P>.Type
) {
    guard n < W else { return }
    let x = load(row + n &* Layout.blockChannels)
    tap(0, n, x, weight, &sum, part)
    tap(1, n, x, weight, &sum, part)
    tap(2, n, x, weight, &sum, part)
    tap(3, n, x, weight, &sum, part)
    tap(4, n, x, weight, &sum, part)
}

@_transparent
private func tap<let W: Int, let D: Int, let K: Int, let R: Int, let T: Int, let P: Int>(
    _ k: Int, _ n: Int, _ x: Vector, _ weight: borrowing InlineArray<K, Vector>, _ sum: inout InlineArray<T, Vector>, _ part: RowPart<W, D, K, R, T, P>.Type
) {
    let output = n &- (k &- K / 2) &* D
    let t = output &- P &* T
    if k < K, t >= 0, t < T { sum[t] = multiplyAdd(x, weight[k], sum[t]) }
}

/// The rows that are compiled: width, dilation, how many taps to each side meet the row, and how many rows of taps at most.
///
/// To add one: a line here and one in `runRows`, at the same place, and at its top with 16 registers for those that `compilesRow` admits. The widths are those of the last stage at 320, 416, 512 and 640 pixels a side,
/// the dilations those that three taps can have there, and those under which five, seven or nine taps leave five.
let rowShapes = [
    (width: 10, dilation: 1, radius: 1, tapRows: 3),
    (width: 10, dilation: 2, radius: 1, tapRows: 3),
    (width: 10, dilation: 3, radius: 1, tapRows: 3),
    (width: 10, dilation: 4, radius: 1, tapRows: 3),
    (width: 10, dilation: 5, radius: 1, tapRows: 3),
    (width: 10, dilation: 6, radius: 1, tapRows: 3),
    (width: 10, dilation: 7, radius: 1, tapRows: 3),
    (width: 10, dilation: 8, radius: 1, tapRows: 3),
    (width: 10, dilation: 9, radius: 1, tapRows: 3),
    (width: 13, dilation: 1, radius: 1, tapRows: 3),
    (width: 13, dilation: 2, radius: 1, tapRows: 3),
    (width: 13, dilation: 3, radius: 1, tapRows: 3),
    (width: 13, dilation: 4, radius: 1, tapRows: 3),
    (width: 13, dilation: 5, radius: 1, tapRows: 3),
    (width: 13, dilation: 6, radius: 1, tapRows: 3),
    (width: 13, dilation: 7, radius: 1, tapRows: 3),
    (width: 13, dilation: 8, radius: 1, tapRows: 3),
    (width: 13, dilation: 9, radius: 1, tapRows: 3),
    (width: 13, dilation: 5, radius: 2, tapRows: 3),
    (width: 16, dilation: 1, radius: 1, tapRows: 3),
    (width: 16, dilation: 2, radius: 1, tapRows: 3),
    (width: 16, dilation: 3, radius: 1, tapRows: 3),
    (width: 16, dilation: 4, radius: 1, tapRows: 3),
    (width: 16, dilation: 5, radius: 1, tapRows: 3),
    (width: 16, dilation: 6, radius: 1, tapRows: 3),
    (width: 16, dilation: 7, radius: 1, tapRows: 3),
    (width: 16, dilation: 8, radius: 1, tapRows: 3),
    (width: 16, dilation: 9, radius: 1, tapRows: 3),
    (width: 16, dilation: 5, radius: 2, tapRows: 4),
    (width: 16, dilation: 7, radius: 2, tapRows: 3),
    (width: 20, dilation: 1, radius: 1, tapRows: 3),
    (width: 20, dilation: 2, radius: 1, tapRows: 3),
    (width: 20, dilation: 3, radius: 1, tapRows: 3),
    (width: 20, dilation: 4, radius: 1, tapRows: 3),
    (width: 20, dilation: 5, radius: 1, tapRows: 3),
    (width: 20, dilation: 6, radius: 1, tapRows: 3),
    (width: 20, dilation: 7, radius: 1, tapRows: 3),
    (width: 20, dilation: 8, radius: 1, tapRows: 3),
    (width: 20, dilation: 9, radius: 1, tapRows: 3),
    (width: 20, dilation: 5, radius: 2, tapRows: 4),
    (width: 20, dilation: 7, radius: 2, tapRows: 3),
    (width: 20, dilation: 9, radius: 2, tapRows: 3),
]

/// Computes rows of the shape with that number under so many rows of taps. How many pixels at a time: as many as the compiler keeps in
/// registers beside weights and inputs.
@inline(__always)
func runRows(_ shape: Int, tapRows: Int, _ a: borrowing RowArguments) {
    guard compilesRows else { preconditionFailure("no such rows") }
    // Before the others, which the compiler then leaves alone: to specialise all and find them empty took it 40 seconds.
    guard vectorRegisters == 32 else {
        switch shape {
        case 28: return runRows(tapRows, a, RowSize<16, 5, 5, 8, 8>.self)
        case 39: return runRows(tapRows, a, RowSize<20, 5, 5, 7, 7>.self)
        default: preconditionFailure("no such rows")
        }
    }
    switch shape {
    case 0: runRows(tapRows, a, RowSize<10, 1, 3, 10, 0>.self)
    case 1: runRows(tapRows, a, RowSize<10, 2, 3, 10, 0>.self)
    case 2: runRows(tapRows, a, RowSize<10, 3, 3, 10, 0>.self)
    case 3: runRows(tapRows, a, RowSize<10, 4, 3, 10, 0>.self)
    case 4: runRows(tapRows, a, RowSize<10, 5, 3, 10, 0>.self)
    case 5: runRows(tapRows, a, RowSize<10, 6, 3, 10, 0>.self)
    case 6: runRows(tapRows, a, RowSize<10, 7, 3, 10, 0>.self)
    case 7: runRows(tapRows, a, RowSize<10, 8, 3, 10, 0>.self)
    case 8: runRows(tapRows, a, RowSize<10, 9, 3, 10, 0>.self)
    case 9: runRows(tapRows, a, RowSize<13, 1, 3, 7, 0>.self)
    case 10: runRows(tapRows, a, RowSize<13, 2, 3, 7, 0>.self)
    case 11: runRows(tapRows, a, RowSize<13, 3, 3, 7, 0>.self)
    case 12: runRows(tapRows, a, RowSize<13, 4, 3, 7, 0>.self)
    case 13: runRows(tapRows, a, RowSize<13, 5, 3, 7, 0>.self)
    case 14: runRows(tapRows, a, RowSize<13, 6, 3, 7, 0>.self)
    case 15: runRows(tapRows, a, RowSize<13, 7, 3, 7, 0>.self)
    case 16: runRows(tapRows, a, RowSize<13, 8, 3, 7, 0>.self)
    case 17: runRows(tapRows, a, RowSize<13, 9, 3, 7, 0>.self)
    case 18: runRows(tapRows, a, RowSize<13, 5, 5, 7, 0>.self)
    case 19: runRows(tapRows, a, RowSize<16, 1, 3, 8, 0>.self)
    case 20: runRows(tapRows, a, RowSize<16, 2, 3, 8, 0>.self)
    case 21: runRows(tapRows, a, RowSize<16, 3, 3, 8, 0>.self)
    case 22: runRows(tapRows, a, RowSize<16, 4, 3, 8, 0>.self)
    case 23: runRows(tapRows, a, RowSize<16, 5, 3, 8, 0>.self)
    case 24: runRows(tapRows, a, RowSize<16, 6, 3, 8, 0>.self)
    case 25: runRows(tapRows, a, RowSize<16, 7, 3, 8, 0>.self)
    case 26: runRows(tapRows, a, RowSize<16, 8, 3, 8, 0>.self)
    case 27: runRows(tapRows, a, RowSize<16, 9, 3, 8, 0>.self)
    case 28: runRows(tapRows, a, RowSize<16, 5, 5, 8, 6>.self)
    case 29: runRows(tapRows, a, RowSize<16, 7, 5, 8, 0>.self)
    case 30: runRows(tapRows, a, RowSize<20, 1, 3, 10, 0>.self)
    case 31: runRows(tapRows, a, RowSize<20, 2, 3, 10, 0>.self)
    case 32: runRows(tapRows, a, RowSize<20, 3, 3, 10, 0>.self)
    case 33: runRows(tapRows, a, RowSize<20, 4, 3, 10, 0>.self)
    case 34: runRows(tapRows, a, RowSize<20, 5, 3, 10, 0>.self)
    case 35: runRows(tapRows, a, RowSize<20, 6, 3, 8, 0>.self)
    case 36: runRows(tapRows, a, RowSize<20, 7, 3, 8, 0>.self)
    case 37: runRows(tapRows, a, RowSize<20, 8, 3, 10, 0>.self)
    case 38: runRows(tapRows, a, RowSize<20, 9, 3, 10, 0>.self)
    case 39: runRows(tapRows, a, RowSize<20, 5, 5, 8, 8>.self)
    case 40: runRows(tapRows, a, RowSize<20, 7, 5, 10, 0>.self)
    case 41: runRows(tapRows, a, RowSize<20, 9, 5, 10, 0>.self)
    default: preconditionFailure("no such rows")
    }
}

@inline(__always)
private func runRows<let W: Int, let D: Int, let K: Int, let T: Int, let Q: Int>(
    _ tapRows: Int, _ a: borrowing RowArguments, _ size: RowSize<W, D, K, T, Q>.Type
) {
    guard W <= mostPixels, K <= mostTaps, W <= mostParts &* T, Q == 0 || W <= mostParts &* Q else {
        preconditionFailure("not all of it is written out")
    }
    switch tapRows {
    case 1: runRows(a, RowShape<W, D, K, 1, T>.self)
    case 2: runRows(a, RowShape<W, D, K, 2, T>.self)
    case 3: runRows(a, RowShape<W, D, K, 3, T>.self)
    default: if Q > 0 { runRows(a, RowShape<W, D, K, 4, Q>.self) }
    }
}
