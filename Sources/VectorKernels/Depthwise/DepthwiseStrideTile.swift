import ConvCore
import CVector

/// What T outputs of a row are computed from, of which every second column of inputs lies under the same tap. Steps are in floats.
struct StrideArguments {
    /// The input at place 0 of the first live row of taps; may lie in the padding, which is never read.
    var src: UnsafePointer<Float>
    /// Of the first live row of taps.
    var weights: UnsafePointer<Float>
    /// What the sums begin with: bias or zero.
    var starts: UnsafePointer<Float>
    var dst: UnsafeMutablePointer<Float>
    /// Live rows of taps, and from one row of inputs to the next.
    var rows, rowStep: Int
    /// Bit j: place j of a row lies in the image; there may be 33 of them.
    var live: UInt64
    /// From `src` to the inputs that are asked for meanwhile, in as many rows as ``strideAsks``.
    var ahead, aheadStep: Int
    /// What an output is at the least, on the way; other activations go over what is stored.
    var least: UnsafePointer<Float>
}

/// K columns of taps × T pixels; only the type is used.
private enum StrideShape<let K: Int, let T: Int> {}
/// K columns of taps.
enum StrideTaps<let K: Int> {}

/// Rows of taps in a loop, each input of a row in a register for all sums that it lies under, which are settled at compile time: of 2·T + K − 2 places
/// only those are asked for that can lie in the padding, at most K/2 on either side.
///
/// `a` is `inout` because Swift would copy it as a whole to lend it, and what is copied just after parts of it were written waits for all stores before
/// them: the tile took 1.3 to 1.8 times as long.
@inline(never)
private func tile<let K: Int, let T: Int>(_ a: inout StrideArguments, _ shape: StrideShape<K, T>.Type) {
    // Else no kernel comes here, and there is nothing to compile.
    guard multiplyAddIsFused, T <= mostStridePixels(taps: K) else { return }
    var sum = zeros(InlineArray<T, Vector>.self)
    let start = load(loadedAnew(a.starts))
    for t in 0..<T { sum[t] = start }
    var x = a.src
    var w = a.weights
    let last = w + a.rows &* K &* lanes
    while w != last {
        var held = zeros(InlineArray<K, Vector>.self)
        // What is not held is not loaded either.
        for k in 0..<K { held[k] = load(w + k &* lanes) }
        // The borders first: behind them the compiler would keep the last inputs of the others waiting in registers. Written out: see `feedRow` of
        // the phase tile.
        border(0, x, w, held, a, &sum)
        border(1, x, w, held, a, &sum)
        border(2, x, w, held, a, &sum)
        inner(0, x, w, held, &sum)
        inner(1, x, w, held, &sum)
        inner(2, x, w, held, &sum)
        inner(3, x, w, held, &sum)
        inner(4, x, w, held, &sum)
        inner(5, x, w, held, &sum)
        inner(6, x, w, held, &sum)
        inner(7, x, w, held, &sum)
        inner(8, x, w, held, &sum)
        inner(9, x, w, held, &sum)
        inner(10, x, w, held, &sum)
        inner(11, x, w, held, &sum)
        inner(12, x, w, held, &sum)
        inner(13, x, w, held, &sum)
        inner(14, x, w, held, &sum)
        inner(15, x, w, held, &sum)
        inner(16, x, w, held, &sum)
        inner(17, x, w, held, &sum)
        inner(18, x, w, held, &sum)
        inner(19, x, w, held, &sum)
        inner(20, x, w, held, &sum)
        inner(21, x, w, held, &sum)
        inner(22, x, w, held, &sum)
        inner(23, x, w, held, &sum)
        inner(24, x, w, held, &sum)
        inner(25, x, w, held, &sum)
        inner(26, x, w, held, &sum)
        x += a.rowStep
        w = loadedAnew(w + K &* lanes)
    }
    let least = load(loadedAnew(a.least))
    for t in 0..<T {
        for row in 0..<strideAsks {
            let asked = a.src + (a.ahead &+ row &* a.aheadStep)
            atrous_prefetch(asked + 2 &* t &* Layout.blockChannels)
            atrous_prefetch(asked + (2 &* t &+ 1) &* Layout.blockChannels)
        }
        store(a.dst + t &* Layout.blockChannels, atLeast(sum[t], least))
    }
}

/// The inputs at place `i` and at that place from the end, which may lie in the padding.
@inline(__always)
private func border<let K: Int, let T: Int>(
    _ i: Int, _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>, _ held: borrowing InlineArray<K, Vector>, _ a: borrowing StrideArguments,
    _ sum: inout InlineArray<T, Vector>
) {
    guard i < K / 2 else { return }
    if a.live & (1 << UInt64(i)) != 0 { place(i, x, w, held, &sum) }
    let j = 2 * T + K - 3 - i
    if a.live & (1 << UInt64(j)) != 0 { place(j, x, w, held, &sum) }
}

/// One of the inputs between them, at most 2·T − 1.
@inline(__always)
private func inner<let K: Int, let T: Int>(
    _ i: Int, _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>, _ held: borrowing InlineArray<K, Vector>, _ sum: inout InlineArray<T, Vector>
) {
    guard i < 2 * T + K - 2 - K / 2 * 2 else { return }
    place(i + K / 2, x, w, held, &sum)
}

/// The input at place `j` under every second tap, into the sums of the outputs there.
@inline(__always)
private func place<let K: Int, let T: Int>(
    _ j: Int, _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>, _ held: borrowing InlineArray<K, Vector>, _ sum: inout InlineArray<T, Vector>
) {
    let value = load(x + j &* Layout.blockChannels)
    let heldCount = heldWeights(K, pixels: T)
    // For every input anew: else they would wait in registers.
    let anew = heldCount < K ? loadedAnew(w) : w
    for k in 0..<K {
        let t = (j - k) / 2
        if (j - k) % 2 == 0, j >= k, t < T {
            let weight = k < heldCount ? held[k] : load(anew + k &* lanes)
            sum[t] = multiplyAdd(value, weight, sum[t])
        }
    }
}

/// How many of a row's weights are in registers beside the sums and an input; the others are operands from L1. Of five beside eight sums and more
/// the compiler would spill with all of them held.
@inline(__always)
private func heldWeights(_ k: Int, pixels: Int) -> Int {
    let room = vectorRegisters &- pixels &- 1
    return k == 5 && pixels > 7 && vectorRegisters < 32 ? 4 : min(k, room)
}

/// Rows of inputs that a vector of a block asks for while a row of outputs is computed: together the two that the next one needs beside its own at a stride of 2
/// and without dilation; else they are some of those that come soon.
let strideAsks = max(1, 2 / blockVectors)

/// The columns of taps of compiled tiles.
let strideTaps = [3, 5, 7]

/// The most pixels of a compiled tile.
@inline(__always)
func mostStridePixels(taps k: Int) -> Int {
    if vectorRegisters == 32 { return 14 }
    return k == 3 ? 12 : k == 5 ? 10 : 8
}

/// Computes `pixels` outputs of a row.
@inline(__always)
func runStride<let K: Int>(_ pixels: Int, _ a: inout StrideArguments, _ taps: StrideTaps<K>.Type) {
    switch pixels {
    case 1: tile(&a, StrideShape<K, 1>.self)
    case 2: tile(&a, StrideShape<K, 2>.self)
    case 3: tile(&a, StrideShape<K, 3>.self)
    case 4: tile(&a, StrideShape<K, 4>.self)
    case 5: tile(&a, StrideShape<K, 5>.self)
    case 6: tile(&a, StrideShape<K, 6>.self)
    case 7: tile(&a, StrideShape<K, 7>.self)
    case 8: tile(&a, StrideShape<K, 8>.self)
    case 9: tile(&a, StrideShape<K, 9>.self)
    case 10: tile(&a, StrideShape<K, 10>.self)
    case 11: tile(&a, StrideShape<K, 11>.self)
    case 12: tile(&a, StrideShape<K, 12>.self)
    case 13: tile(&a, StrideShape<K, 13>.self)
    case 14: tile(&a, StrideShape<K, 14>.self)
    default: preconditionFailure("no such tile")
    }
}
