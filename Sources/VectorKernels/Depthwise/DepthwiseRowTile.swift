import ConvCore

/// Rows of a map, all under the same rows of taps. Steps are in floats.
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
    var activation: Activation
}

/// W pixels under R rows of K taps, D apart, T of them at a time; only the type is used.
private enum RowShape<let W: Int, let D: Int, let K: Int, let R: Int, let T: Int> {}
/// Part P of such a row.
private enum RowPart<let W: Int, let D: Int, let K: Int, let R: Int, let T: Int, let P: Int> {}

/// Whether all weights fit the registers beside the sums, what they begin with, the least that they may be and the inputs that the
/// compiler loads early.
@inline(__always)
private func holdsWeights(_ taps: Int) -> Bool { taps &+ 23 <= vectorRegisters }

@inline(never)
private func runRows<let W: Int, let D: Int, let K: Int, let R: Int, let T: Int>(_ a: borrowing RowArguments, _ shape: RowShape<W, D, K, R, T>.Type) {
    guard vectorRegisters == 32 else { return }
    var held = zeros(TileShape<R, K>.self)
    if holdsWeights(R &* K) {
        for r in 0..<R {
            for k in 0..<K { held[r][k] = load(a.weights + (r &* a.weightRowStep &+ k &* lanes)) }
        }
    }
    let start = load(a.starts)
    // A branch on the activation would cut the row into pieces.
    let least = Vector(repeating: a.activation == .relu ? 0 : -.infinity)
    var src = a.src
    var dst = a.dst
    for _ in 0..<a.rows {
        rowPart(src, dst, a, held, start, least, RowPart<W, D, K, R, T, 0>.self)
        rowPart(src, dst, a, held, start, least, RowPart<W, D, K, R, T, 1>.self)
        rowPart(src, dst, a, held, start, least, RowPart<W, D, K, R, T, 2>.self)
        rowPart(src, dst, a, held, start, least, RowPart<W, D, K, R, T, 3>.self)
        src += W &* Layout.blockChannels
        dst += W &* Layout.blockChannels
    }
    activateStored(
        rows: 1, pixels: a.rows &* W, a.dst, rowStep: 0, step: Layout.blockChannels, groups: 1, groupStep: lanes, a.activation)
}

@_transparent
private func rowPart<let W: Int, let D: Int, let K: Int, let R: Int, let T: Int, let P: Int>(
    _ src: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>, _ a: borrowing RowArguments, _ held: borrowing TileShape<R, K>,
    _ start: Vector, _ least: Vector, _ part: RowPart<W, D, K, R, T, P>.Type
) {
    guard P * T < W else { return }
    var sum = zeros(InlineArray<T, Vector>.self)
    for t in 0..<T { sum[t] = start }
    inputRow(0, src, a, held, &sum, part)
    inputRow(1, src, a, held, &sum, part)
    inputRow(2, src, a, held, &sum, part)
    inputRow(3, src, a, held, &sum, part)
    for t in 0..<T {
        let output = P &* T &+ t
        if output < W { store(dst + output &* Layout.blockChannels, atLeast(sum[t], least)) }
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
    // Written out: the compiler unrolls a loop over them or not as the wind blows.
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

/// The rows that are compiled: width, dilation, how many taps to each side meet the map, and how many rows of taps at most.
let rowShapes = [
    (width: 10, dilation: 1, radius: 1, rows: 3),
    (width: 10, dilation: 2, radius: 1, rows: 3),
    (width: 10, dilation: 3, radius: 1, rows: 3),
    (width: 10, dilation: 4, radius: 1, rows: 3),
    (width: 10, dilation: 5, radius: 1, rows: 3),
    (width: 10, dilation: 7, radius: 1, rows: 3),
    (width: 10, dilation: 9, radius: 1, rows: 3),
    (width: 13, dilation: 1, radius: 1, rows: 3),
    (width: 13, dilation: 2, radius: 1, rows: 3),
    (width: 13, dilation: 3, radius: 1, rows: 3),
    (width: 13, dilation: 4, radius: 1, rows: 3),
    (width: 13, dilation: 5, radius: 1, rows: 3),
    (width: 13, dilation: 6, radius: 1, rows: 3),
    (width: 13, dilation: 7, radius: 1, rows: 3),
    (width: 13, dilation: 9, radius: 1, rows: 3),
    (width: 13, dilation: 5, radius: 2, rows: 3),
    (width: 16, dilation: 1, radius: 1, rows: 3),
    (width: 16, dilation: 2, radius: 1, rows: 3),
    (width: 16, dilation: 3, radius: 1, rows: 3),
    (width: 16, dilation: 4, radius: 1, rows: 3),
    (width: 16, dilation: 5, radius: 1, rows: 3),
    (width: 16, dilation: 6, radius: 1, rows: 3),
    (width: 16, dilation: 7, radius: 1, rows: 3),
    (width: 16, dilation: 9, radius: 1, rows: 3),
    (width: 16, dilation: 5, radius: 2, rows: 4),
    (width: 16, dilation: 7, radius: 2, rows: 3),
    (width: 20, dilation: 1, radius: 1, rows: 3),
    (width: 20, dilation: 2, radius: 1, rows: 3),
    (width: 20, dilation: 3, radius: 1, rows: 3),
    (width: 20, dilation: 4, radius: 1, rows: 3),
    (width: 20, dilation: 5, radius: 1, rows: 3),
    (width: 20, dilation: 6, radius: 1, rows: 3),
    (width: 20, dilation: 7, radius: 1, rows: 3),
    (width: 20, dilation: 8, radius: 1, rows: 3),
    (width: 20, dilation: 9, radius: 1, rows: 3),
    (width: 20, dilation: 5, radius: 2, rows: 4),
    (width: 20, dilation: 7, radius: 2, rows: 3),
    (width: 20, dilation: 9, radius: 2, rows: 3),
]

/// Computes rows of the shape with that number under so many rows of taps. How many pixels at a time: as many as the compiler keeps in
/// registers beside weights and inputs.
@inline(__always)
func runRows(_ shape: Int, rows: Int, _ a: borrowing RowArguments) {
    switch shape &* 4 &+ rows {
    case 1: runRows(a, RowShape<10, 1, 3, 1, 10>.self)
    case 2: runRows(a, RowShape<10, 1, 3, 2, 10>.self)
    case 3: runRows(a, RowShape<10, 1, 3, 3, 10>.self)
    case 5: runRows(a, RowShape<10, 2, 3, 1, 10>.self)
    case 6: runRows(a, RowShape<10, 2, 3, 2, 10>.self)
    case 7: runRows(a, RowShape<10, 2, 3, 3, 10>.self)
    case 9: runRows(a, RowShape<10, 3, 3, 1, 10>.self)
    case 10: runRows(a, RowShape<10, 3, 3, 2, 10>.self)
    case 11: runRows(a, RowShape<10, 3, 3, 3, 10>.self)
    case 13: runRows(a, RowShape<10, 4, 3, 1, 10>.self)
    case 14: runRows(a, RowShape<10, 4, 3, 2, 10>.self)
    case 15: runRows(a, RowShape<10, 4, 3, 3, 10>.self)
    case 17: runRows(a, RowShape<10, 5, 3, 1, 10>.self)
    case 18: runRows(a, RowShape<10, 5, 3, 2, 10>.self)
    case 19: runRows(a, RowShape<10, 5, 3, 3, 10>.self)
    case 21: runRows(a, RowShape<10, 7, 3, 1, 10>.self)
    case 22: runRows(a, RowShape<10, 7, 3, 2, 10>.self)
    case 23: runRows(a, RowShape<10, 7, 3, 3, 10>.self)
    case 25: runRows(a, RowShape<10, 9, 3, 1, 10>.self)
    case 26: runRows(a, RowShape<10, 9, 3, 2, 10>.self)
    case 27: runRows(a, RowShape<10, 9, 3, 3, 10>.self)
    case 29: runRows(a, RowShape<13, 1, 3, 1, 7>.self)
    case 30: runRows(a, RowShape<13, 1, 3, 2, 7>.self)
    case 31: runRows(a, RowShape<13, 1, 3, 3, 7>.self)
    case 33: runRows(a, RowShape<13, 2, 3, 1, 7>.self)
    case 34: runRows(a, RowShape<13, 2, 3, 2, 7>.self)
    case 35: runRows(a, RowShape<13, 2, 3, 3, 7>.self)
    case 37: runRows(a, RowShape<13, 3, 3, 1, 7>.self)
    case 38: runRows(a, RowShape<13, 3, 3, 2, 7>.self)
    case 39: runRows(a, RowShape<13, 3, 3, 3, 7>.self)
    case 41: runRows(a, RowShape<13, 4, 3, 1, 7>.self)
    case 42: runRows(a, RowShape<13, 4, 3, 2, 7>.self)
    case 43: runRows(a, RowShape<13, 4, 3, 3, 7>.self)
    case 45: runRows(a, RowShape<13, 5, 3, 1, 7>.self)
    case 46: runRows(a, RowShape<13, 5, 3, 2, 7>.self)
    case 47: runRows(a, RowShape<13, 5, 3, 3, 7>.self)
    case 49: runRows(a, RowShape<13, 6, 3, 1, 7>.self)
    case 50: runRows(a, RowShape<13, 6, 3, 2, 7>.self)
    case 51: runRows(a, RowShape<13, 6, 3, 3, 7>.self)
    case 53: runRows(a, RowShape<13, 7, 3, 1, 7>.self)
    case 54: runRows(a, RowShape<13, 7, 3, 2, 7>.self)
    case 55: runRows(a, RowShape<13, 7, 3, 3, 7>.self)
    case 57: runRows(a, RowShape<13, 9, 3, 1, 7>.self)
    case 58: runRows(a, RowShape<13, 9, 3, 2, 7>.self)
    case 59: runRows(a, RowShape<13, 9, 3, 3, 7>.self)
    case 61: runRows(a, RowShape<13, 5, 5, 1, 7>.self)
    case 62: runRows(a, RowShape<13, 5, 5, 2, 7>.self)
    case 63: runRows(a, RowShape<13, 5, 5, 3, 7>.self)
    case 65: runRows(a, RowShape<16, 1, 3, 1, 8>.self)
    case 66: runRows(a, RowShape<16, 1, 3, 2, 8>.self)
    case 67: runRows(a, RowShape<16, 1, 3, 3, 8>.self)
    case 69: runRows(a, RowShape<16, 2, 3, 1, 8>.self)
    case 70: runRows(a, RowShape<16, 2, 3, 2, 8>.self)
    case 71: runRows(a, RowShape<16, 2, 3, 3, 8>.self)
    case 73: runRows(a, RowShape<16, 3, 3, 1, 8>.self)
    case 74: runRows(a, RowShape<16, 3, 3, 2, 8>.self)
    case 75: runRows(a, RowShape<16, 3, 3, 3, 8>.self)
    case 77: runRows(a, RowShape<16, 4, 3, 1, 8>.self)
    case 78: runRows(a, RowShape<16, 4, 3, 2, 8>.self)
    case 79: runRows(a, RowShape<16, 4, 3, 3, 8>.self)
    case 81: runRows(a, RowShape<16, 5, 3, 1, 8>.self)
    case 82: runRows(a, RowShape<16, 5, 3, 2, 8>.self)
    case 83: runRows(a, RowShape<16, 5, 3, 3, 8>.self)
    case 85: runRows(a, RowShape<16, 6, 3, 1, 8>.self)
    case 86: runRows(a, RowShape<16, 6, 3, 2, 8>.self)
    case 87: runRows(a, RowShape<16, 6, 3, 3, 8>.self)
    case 89: runRows(a, RowShape<16, 7, 3, 1, 8>.self)
    case 90: runRows(a, RowShape<16, 7, 3, 2, 8>.self)
    case 91: runRows(a, RowShape<16, 7, 3, 3, 8>.self)
    case 93: runRows(a, RowShape<16, 9, 3, 1, 8>.self)
    case 94: runRows(a, RowShape<16, 9, 3, 2, 8>.self)
    case 95: runRows(a, RowShape<16, 9, 3, 3, 8>.self)
    case 97: runRows(a, RowShape<16, 5, 5, 1, 8>.self)
    case 98: runRows(a, RowShape<16, 5, 5, 2, 8>.self)
    case 99: runRows(a, RowShape<16, 5, 5, 3, 8>.self)
    case 100: runRows(a, RowShape<16, 5, 5, 4, 6>.self)
    case 101: runRows(a, RowShape<16, 7, 5, 1, 8>.self)
    case 102: runRows(a, RowShape<16, 7, 5, 2, 8>.self)
    case 103: runRows(a, RowShape<16, 7, 5, 3, 8>.self)
    case 105: runRows(a, RowShape<20, 1, 3, 1, 10>.self)
    case 106: runRows(a, RowShape<20, 1, 3, 2, 10>.self)
    case 107: runRows(a, RowShape<20, 1, 3, 3, 10>.self)
    case 109: runRows(a, RowShape<20, 2, 3, 1, 10>.self)
    case 110: runRows(a, RowShape<20, 2, 3, 2, 10>.self)
    case 111: runRows(a, RowShape<20, 2, 3, 3, 10>.self)
    case 113: runRows(a, RowShape<20, 3, 3, 1, 10>.self)
    case 114: runRows(a, RowShape<20, 3, 3, 2, 10>.self)
    case 115: runRows(a, RowShape<20, 3, 3, 3, 10>.self)
    case 117: runRows(a, RowShape<20, 4, 3, 1, 10>.self)
    case 118: runRows(a, RowShape<20, 4, 3, 2, 10>.self)
    case 119: runRows(a, RowShape<20, 4, 3, 3, 10>.self)
    case 121: runRows(a, RowShape<20, 5, 3, 1, 10>.self)
    case 122: runRows(a, RowShape<20, 5, 3, 2, 10>.self)
    case 123: runRows(a, RowShape<20, 5, 3, 3, 10>.self)
    case 125: runRows(a, RowShape<20, 6, 3, 1, 8>.self)
    case 126: runRows(a, RowShape<20, 6, 3, 2, 8>.self)
    case 127: runRows(a, RowShape<20, 6, 3, 3, 8>.self)
    case 129: runRows(a, RowShape<20, 7, 3, 1, 8>.self)
    case 130: runRows(a, RowShape<20, 7, 3, 2, 8>.self)
    case 131: runRows(a, RowShape<20, 7, 3, 3, 8>.self)
    case 133: runRows(a, RowShape<20, 8, 3, 1, 10>.self)
    case 134: runRows(a, RowShape<20, 8, 3, 2, 10>.self)
    case 135: runRows(a, RowShape<20, 8, 3, 3, 10>.self)
    case 137: runRows(a, RowShape<20, 9, 3, 1, 10>.self)
    case 138: runRows(a, RowShape<20, 9, 3, 2, 10>.self)
    case 139: runRows(a, RowShape<20, 9, 3, 3, 10>.self)
    case 141: runRows(a, RowShape<20, 5, 5, 1, 8>.self)
    case 142: runRows(a, RowShape<20, 5, 5, 2, 8>.self)
    case 143: runRows(a, RowShape<20, 5, 5, 3, 8>.self)
    case 144: runRows(a, RowShape<20, 5, 5, 4, 8>.self)
    case 145: runRows(a, RowShape<20, 7, 5, 1, 10>.self)
    case 146: runRows(a, RowShape<20, 7, 5, 2, 10>.self)
    case 147: runRows(a, RowShape<20, 7, 5, 3, 10>.self)
    case 149: runRows(a, RowShape<20, 9, 5, 1, 10>.self)
    case 150: runRows(a, RowShape<20, 9, 5, 2, 10>.self)
    case 151: runRows(a, RowShape<20, 9, 5, 3, 10>.self)
    default: preconditionFailure("no such rows")
    }
}
