import ConvCore

/// K columns of taps × T pixels that lie two places of their phase apart; only the type is used.
private enum EverySecondPlace<let K: Int, let T: Int> {}

/// The most places between two outputs of a compiled tile.
let largestPhaseStride = 2

/// The most pixels of a compiled tile: with 16 registers the compiler spills from seven on beside four and five columns of taps, which are
/// the live ones of wider kernels near the borders, and with a multiply-add of two instructions from five on beside nine.
@inline(__always)
func mostEverySecond(taps k: Int) -> Int {
    if k > 7, !multiplyAddIsFused { return 4 }
    return vectorRegisters == 32 || k <= 3 ? largestPhasePixels : 6
}

/// A row of `phaseTile` for a stride of 2 that does not divide the dilation: T sums in registers, and under each row of taps K weights, so
/// that each of the 2·T + K − 2 inputs goes from its one load into all sums that it lies under. Of them only those that can lie in the padding
/// are asked whether they do (asking all: 3 to 10 % slower), and these go first (in their order: 2 to 9 % slower). By one sum after the other, as
/// `dw-tile` takes it, every multiply-add has a load of its own, and every column of outputs near a border a tile of its own.
///
/// In blocks of channels on a Zen 5, of `dw-tile`'s time: 79 to 97 % under 3 × 3 taps, which L2 bounds (four lines of inputs per output), 44
/// to 79 % under 5 × 5, 31 to 73 % under 7 × 7. Lost: two rows of outputs under the same inputs, their weights all in registers (96 to 108 %
/// under 3 × 3 and 7 × 7 taps, 105 to 120 % under 5 × 5), and the three rows of 3 × 3 taps written out (90 to 105 %).
@inline(__always)
private func everySecondPlace<let K: Int, let T: Int>(_ a: borrowing PhaseTileArguments, _ shape: EverySecondPlace<K, T>.Type) {
    var firstSrc = a.src + a.rows.lowerBound &* a.rowStep
    var firstDst = a.dst
    for _ in 0..<a.repeats {
        var src = firstSrc
        var weights = a.weights + a.rows.lowerBound &* a.weightRowStep
        var dst = firstDst
        var bias = a.bias
        for _ in 0..<a.groups {
            let start = bias.map { load($0) } ?? Vector(repeating: 0)
            var sum = zeros(InlineArray<T, Vector>.self)
            for t in 0..<T { sum[t] = start }
            if a.resumes {
                for t in 0..<T { sum[t] = load(dst + t &* a.dstStep) }
            }
            var x = src
            var w = weights
            for _ in a.rows {
                feedRow(x, w, a, &sum, shape)
                x += a.rowStep
                w += a.weightRowStep
            }
            finishSums(&sum, dst, a.dstStep, a.activation)
            src += a.srcGroupStep
            weights += a.weightGroupStep
            dst += a.dstGroupStep
            if let p = bias { bias = p + a.biasGroupStep }
        }
        activateStored(
            rows: 1, pixels: T, firstDst, rowStep: a.dstRowStep, step: a.dstStep, groups: a.groups, groupStep: a.dstGroupStep, a.activation)
        firstSrc += a.srcRepeatStep
        firstDst += a.dstRepeatStep
    }
}

// From here on `@_transparent`: see `DepthwiseRowTile.swift`.

/// A row of inputs under a row of taps.
@_transparent
private func feedRow<let K: Int, let T: Int>(
    _ x: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, _ a: borrowing PhaseTileArguments, _ sum: inout InlineArray<T, Vector>,
    _ shape: EverySecondPlace<K, T>.Type
) {
    var weight = zeros(InlineArray<K, Vector>.self)
    for k in 0..<K { weight[k] = load(weights + k &* lanes) }
    // The borders first: behind them the compiler would keep the last inputs of the others waiting in registers. Written out: see `feedRow` of
    // the phase tile.
    border(0, x, weight, a, &sum)
    border(1, x, weight, a, &sum)
    border(2, x, weight, a, &sum)
    border(3, x, weight, a, &sum)
    border(4, x, weight, a, &sum)
    var inside = x + K / 2 &* a.step
    inner(0, &inside, weight, a, &sum)
    inner(1, &inside, weight, a, &sum)
    inner(2, &inside, weight, a, &sum)
    inner(3, &inside, weight, a, &sum)
    inner(4, &inside, weight, a, &sum)
    inner(5, &inside, weight, a, &sum)
    inner(6, &inside, weight, a, &sum)
    inner(7, &inside, weight, a, &sum)
    inner(8, &inside, weight, a, &sum)
    inner(9, &inside, weight, a, &sum)
    inner(10, &inside, weight, a, &sum)
    inner(11, &inside, weight, a, &sum)
    inner(12, &inside, weight, a, &sum)
    inner(13, &inside, weight, a, &sum)
    inner(14, &inside, weight, a, &sum)
    inner(15, &inside, weight, a, &sum)
    inner(16, &inside, weight, a, &sum)
    inner(17, &inside, weight, a, &sum)
    inner(18, &inside, weight, a, &sum)
}

/// The inputs at place `i` and at that place from the end, which may lie in the padding.
@_transparent
private func border<let K: Int, let T: Int>(
    _ i: Int, _ x: UnsafePointer<Float>, _ weight: borrowing InlineArray<K, Vector>, _ a: borrowing PhaseTileArguments,
    _ sum: inout InlineArray<T, Vector>
) {
    guard i < K / 2 else { return }
    if a.live & (1 << UInt32(i)) != 0 { feedEverySecond(i, load(x + i &* a.step), weight, &sum) }
    let j = 2 * T + K - 3 - i
    if a.live & (1 << UInt32(j)) != 0 { feedEverySecond(j, load(x + j &* a.step), weight, &sum) }
}

/// One of the inputs between them, at most 2·T − 1, which all lie in the image: see `runEverySecondPlace`.
@_transparent
private func inner<let K: Int, let T: Int>(
    _ i: Int, _ x: inout UnsafePointer<Float>, _ weight: borrowing InlineArray<K, Vector>, _ a: borrowing PhaseTileArguments,
    _ sum: inout InlineArray<T, Vector>
) {
    guard i < 2 * T + K - 2 - K / 2 * 2 else { return }
    feedEverySecond(i + K / 2, load(x), weight, &sum)
    x += a.step
}

/// The input at place `j` under every second tap, into the sums of the outputs there.
@_transparent
private func feedEverySecond<let K: Int, let T: Int>(
    _ j: Int, _ value: Vector, _ weight: borrowing InlineArray<K, Vector>, _ sum: inout InlineArray<T, Vector>
) {
    for i in 0..<(K + 1) / 2 {
        let t = j / 2 - i
        let k = 2 * i + j % 2
        if k < K, t >= 0, t < T { sum[t] = multiplyAdd(value, weight[k], sum[t]) }
    }
}

@inline(never)
private func run<let K: Int, let T: Int>(_ a: borrowing PhaseTileArguments, _ shape: EverySecondPlace<K, T>.Type) {
    guard K + T <= mostHeld, T <= mostEverySecond(taps: K) else { return }
    everySecondPlace(a, shape)
}

@inline(never)
private func runPixels<let K: Int>(_ t: Int, _ a: borrowing PhaseTileArguments, _ taps: InlineArray<K, Vector>.Type) {
    switch t {
    case 2: run(a, EverySecondPlace<K, 2>.self)
    case 3: run(a, EverySecondPlace<K, 3>.self)
    case 4: run(a, EverySecondPlace<K, 4>.self)
    case 5: run(a, EverySecondPlace<K, 5>.self)
    case 6: run(a, EverySecondPlace<K, 6>.self)
    case 7: run(a, EverySecondPlace<K, 7>.self)
    case 8: run(a, EverySecondPlace<K, 8>.self)
    case 9: run(a, EverySecondPlace<K, 9>.self)
    case 10: run(a, EverySecondPlace<K, 10>.self)
    default: preconditionFailure("no such tile")
    }
}

/// Runs the tile of `k` columns of taps × `t` pixels, at least two, which lie two places apart.
@inline(never)
func runEverySecondPlace(_ k: Int, _ t: Int, _ a: borrowing PhaseTileArguments) {
    let places = 2 &* t &+ k &- 2
    let inner: UInt32 = (1 << UInt32(places &- k / 2)) &- (1 << UInt32(k / 2))
    guard a.live & inner == inner else { return runEach(k, t, a) }
    switch k {
    case 1: runPixels(t, a, InlineArray<1, Vector>.self)
    case 3: runPixels(t, a, InlineArray<3, Vector>.self)
    case 4: runPixels(t, a, InlineArray<4, Vector>.self)
    case 5: runPixels(t, a, InlineArray<5, Vector>.self)
    case 7: runPixels(t, a, InlineArray<7, Vector>.self)
    case 9: runPixels(t, a, InlineArray<9, Vector>.self)
    case 11: runPixels(t, a, InlineArray<11, Vector>.self)
    default: preconditionFailure("no such tile")
    }
}

/// The same pixel by pixel, on maps so small that the padding reaches further in than half a row of taps.
@inline(never)
private func runEach(_ k: Int, _ t: Int, _ a: borrowing PhaseTileArguments) {
    var one = copy a
    for _ in 0..<t {
        runPhaseTile(k, 1, 1, one)
        one.live >>= 2
        one.src += 2 &* a.step
        one.dst += a.dstStep
    }
}
