import ConvCore

/// What a column of tiles computes: `rows` × T outputs, a dilation apart in both directions, in src and dst alike. Steps are in floats.
struct RollArguments {
    /// The input to the left of the first output of the first row; in the padding unless `hasLeft`.
    var src: UnsafePointer<Float>
    /// `[vector][3][3][lane]`
    var weights: UnsafePointer<Float>
    /// What the sums begin with: bias or zero, by channel.
    var starts: UnsafePointer<Float>
    var dst: UnsafeMutablePointer<Float>
    /// All of the phase: above and below them is padding.
    var rows: Int
    var step, rowStep: Int
    /// Whether the inputs beside the outputs of a row lie in the image.
    var hasLeft, hasRight: Bool
    /// How many times to walk down: neighbouring vectors of channels, or other columns of the map.
    var groups: Int
    /// From one of them to the next: in src and dst, in the weights, in the starts.
    var groupStep, weightGroupStep, startGroupStep: Int
    /// How many times all of that, at other rows of the map, and from one to the next in src and dst.
    var repeats, repeatStep: Int
    var activation: Activation
}

/// T pixels × H vectors of channels; only the type is used.
enum RollSize<let T: Int, let H: Int> {}
/// The same with the inputs beside the outputs of a row in the image, left and right (1), or in the padding (0).
enum RollShape<let T: Int, let H: Int, let L: Int, let R: Int> {}

/// Two rows of sums and the inputs under the tile, of every vector: of the next one, too, the compiler loads the inputs early. Beyond that
/// it spills: four pixels of one vector and two of two with 16 registers (nearly as fast per output as three of one), five of two with 32.
@inline(__always)
func fitsRoll(pixels t: Int, vectors h: Int) -> Bool { 3 &* h &* t &+ 7 <= rollRegisters }

/// A register that holds products counts among the seven.
let rollRegisters = vectorRegisters == 32 ? 32 : 16

/// The sums stay in registers down all rows.
@inline(__always)
private func rollTile<let T: Int, let H: Int, let L: Int, let R: Int>(
    _ a: borrowing RollArguments, _ shape: RollShape<T, H, L, R>.Type, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>
) {
    var src = src
    var weights = a.weights
    var start = a.starts
    var dst = dst
    let rowStep = a.rowStep
    for _ in 0..<a.groups {
        var above = zeros(TileShape<H, T>.self)
        var on = zeros(TileShape<H, T>.self)
        var x = src
        var out = dst
        rollRow(x, out, weights, start, &above, &on, a, isFirst: true, isLast: false, shape)
        if a.rows > 1 {
            x += rowStep
            for _ in 2..<a.rows {
                rollRow(x, out, weights, start, &above, &on, a, isFirst: false, isLast: false, shape)
                x += rowStep
                out += rowStep
            }
            rollRow(x, out, weights, start, &above, &on, a, isFirst: false, isLast: true, shape)
            out += rowStep
        }
        for h in 0..<H { finishSums(&above[h], out + h &* lanes, a.step, a.activation) }
        src += a.groupStep
        weights += a.weightGroupStep
        start += a.startGroupStep
        dst += a.groupStep
    }
}

/// A row of inputs of every vector.
@inline(__always)
private func rollRow<let T: Int, let H: Int, let L: Int, let R: Int>(
    _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ weights: UnsafePointer<Float>, _ start: UnsafePointer<Float>,
    _ above: inout TileShape<H, T>, _ on: inout TileShape<H, T>, _ a: borrowing RollArguments, isFirst: Bool, isLast: Bool,
    _ shape: RollShape<T, H, L, R>.Type
) {
    // Written out: see `windowRow` of the phase tile.
    rollVector(0, x, out, weights, start, &above, &on, a, isFirst: isFirst, isLast: isLast, shape)
    rollVector(1, x, out, weights, start, &above, &on, a, isFirst: isFirst, isLast: isLast, shape)
}

/// A row of inputs of vector `h` goes into the rows of sums that lie under it: `above`, which is then stored to `out`, `on`, and the one
/// below. One after the other, so that the last takes the registers of the first; by columns of taps all three are in them at once, and
/// the compiler spills. `isFirst`: there is no row of outputs above, `isLast`: none below.
@inline(__always)
private func rollVector<let T: Int, let H: Int, let L: Int, let R: Int>(
    _ h: Int, _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ weights: UnsafePointer<Float>,
    _ start: UnsafePointer<Float>, _ above: inout TileShape<H, T>, _ on: inout TileShape<H, T>, _ a: borrowing RollArguments,
    isFirst: Bool, isLast: Bool, _ shape: RollShape<T, H, L, R>.Type
) {
    guard h < H else { return }
    let c = h &* lanes
    let (x, w) = (x + c, weights + 9 &* c)
    let step = a.step
    var value = zeros(InlineArray<T, Vector>.self)
    for t in 0..<T { value[t] = load(x + (t &+ 1) &* step) }
    if isFirst {
        for t in 0..<T { on[h][t] = load(start + c) }
    } else {
        feed(x, value, w + 6 &* lanes, step, &above[h], shape)
        finishSums(&above[h], out + c, step, a.activation)
    }
    feed(x, value, w + 3 &* lanes, step, &on[h], shape)
    above[h] = on[h]
    guard !isLast else { return }
    for t in 0..<T { on[h][t] = load(start + c) }
    feed(x, value, w, step, &on[h], shape)
}

/// A row of taps over a row of inputs, of which those under the tile are held. Nothing is computed in the padding.
@inline(__always)
private func feed<let T: Int, let H: Int, let L: Int, let R: Int>(
    _ x: UnsafePointer<Float>, _ value: borrowing InlineArray<T, Vector>, _ weights: UnsafePointer<Float>, _ step: Int,
    _ sum: inout InlineArray<T, Vector>, _ shape: RollShape<T, H, L, R>.Type
) {
    heldRow(0, value, weights, &sum)
    heldRow(1, value, weights, &sum)
    heldRow(2, value, weights, &sum)
    if L == 1 { sum[0] = multiplyAdd(load(x), load(weights), sum[0]) }
    if R == 1 { sum[T &- 1] = multiplyAdd(load(x + (T &+ 1) &* step), load(weights + 2 &* lanes), sum[T &- 1]) }
}

/// Tap `k` of a row over the inputs under the tile: into every sum the one that lies k − 1 places to its right.
@inline(__always)
private func heldRow<let T: Int>(
    _ k: Int, _ value: borrowing InlineArray<T, Vector>, _ weights: UnsafePointer<Float>, _ sum: inout InlineArray<T, Vector>
) {
    let weight = load(weights + k &* lanes)
    for t in 0..<T {
        let j = t &+ k &- 1
        if j >= 0, j < T { sum[t] = multiplyAdd(value[j], weight, sum[t]) }
    }
}

/// A function for each side: asked in the loop, the compiler keeps fewer sums in registers.
@inline(never)
private func roll<let T: Int, let H: Int, let L: Int, let R: Int>(
    _ a: borrowing RollArguments, _ shape: RollShape<T, H, L, R>.Type
) {
    guard fitsRoll(pixels: T, vectors: H) else { return }
    var src = a.src
    var dst = a.dst
    for _ in 0..<a.repeats {
        rollTile(a, shape, src: src, dst: dst)
        activateStored(
            rows: a.rows, pixels: T, dst, rowStep: a.rowStep, step: a.step, groups: a.groups, vectors: H, groupStep: a.groupStep, a.activation)
        src += a.repeatStep
        dst += a.repeatStep
    }
}

@inline(__always)
private func roll<let T: Int, let H: Int>(_ a: borrowing RollArguments, _ shape: RollSize<T, H>.Type) {
    switch (a.hasLeft, a.hasRight) {
    case (true, true): roll(a, RollShape<T, H, 1, 1>.self)
    case (false, true): roll(a, RollShape<T, H, 0, 1>.self)
    case (true, false): roll(a, RollShape<T, H, 1, 0>.self)
    case (false, false): roll(a, RollShape<T, H, 0, 0>.self)
    }
}

/// Runs the tile of `t` pixels × `h` vectors.
@inline(__always)
func runRollTile(_ t: Int, _ h: Int, _ a: borrowing RollArguments) {
    switch h &* 8 &+ t {
    case 9: roll(a, RollSize<1, 1>.self)
    case 10: roll(a, RollSize<2, 1>.self)
    case 11: roll(a, RollSize<3, 1>.self)
    case 12: roll(a, RollSize<4, 1>.self)
    case 13: roll(a, RollSize<5, 1>.self)
    case 14: roll(a, RollSize<6, 1>.self)
    case 15: roll(a, RollSize<7, 1>.self)
    case 16: roll(a, RollSize<8, 1>.self)
    case 17: roll(a, RollSize<1, 2>.self)
    case 18: roll(a, RollSize<2, 2>.self)
    case 19: roll(a, RollSize<3, 2>.self)
    case 20: roll(a, RollSize<4, 2>.self)
    default: preconditionFailure("no such tile")
    }
}
