import ConvCore

/// Whether the weights of two rows fit the registers beside all sums and an input.
@inline(__always)
func goTogether(taps k: Int, pixels t: Int) -> Bool { 2 &* k &+ 2 &* t &+ 2 <= vectorRegisters }

/// Two rows of outputs under the same inputs: each is loaded once for both, and twice as many sums are under way. In one row by itself
/// there are at most K, of which each waits for the one before: 4 cycles, in which two units could do 8.
@inline(__always)
private func pairTile<let K: Int, let T: Int>(_ a: borrowing PhaseTileArguments, _ shape: PhaseShape<K, T, 2>.Type) {
    var firstSrc = a.src + a.rows.lowerBound &* a.rowStep
    var firstDst = a.dst
    let activation = a.activation
    for _ in 0..<a.repeats {
        var src = firstSrc
        var weights = a.weights
        var dst = firstDst
        var bias = a.bias
        for _ in 0..<a.groups {
            let start = bias.map { load($0) } ?? Vector(repeating: 0)
            var upper = InlineArray<T, Vector>(repeating: start)
            var lower = InlineArray<T, Vector>(repeating: start)
            if a.resumes {
                for t in 0..<T {
                    upper[t] = load(dst + t &* a.dstStep)
                    lower[t] = load(dst + (a.dstRowStep &+ t &* a.dstStep))
                }
            }
            var x = src
            var w = weights + a.rows.lowerBound &* a.weightRowStep
            for row in a.rows {
                if row == 0 {
                    feedRow(x, w, a, &upper, shape)
                } else if row < a.rowTaps {
                    double(x, w, a, &upper, &lower, shape)
                } else {
                    feedRow(x, w - a.weightRowStep, a, &lower, shape)
                }
                x += a.rowStep
                w += a.weightRowStep
            }
            finishSums(&upper, dst, a.dstStep, activation)
            finishSums(&lower, dst + a.dstRowStep, a.dstStep, activation)
            src += a.srcGroupStep
            weights += a.weightGroupStep
            dst += a.dstGroupStep
            if let p = bias { bias = p + a.biasGroupStep }
        }
        activateStored(
            rows: 2, pixels: T, firstDst, rowStep: a.dstRowStep, step: a.dstStep, groups: a.groups, groupStep: a.dstGroupStep, activation)
        firstSrc += a.srcRepeatStep
        firstDst += a.dstRepeatStep
    }
}

/// A row of inputs into two rows of sums: under the taps of `w` in the upper one, under those of the row before in the lower one.
@inline(__always)
private func double<let K: Int, let T: Int>(
    _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>, _ a: borrowing PhaseTileArguments, _ upper: inout InlineArray<T, Vector>,
    _ lower: inout InlineArray<T, Vector>, _ shape: PhaseShape<K, T, 2>.Type
) {
    var weight = InlineArray<K, Vector>(repeating: Vector(repeating: 0))
    var before = InlineArray<K, Vector>(repeating: Vector(repeating: 0))
    for k in 0..<K { weight[k] = load(w + k &* lanes) }
    let v = w - a.weightRowStep
    for k in 0..<K { before[k] = load(v + k &* lanes) }
    if a.live == wholeRow(taps: K, pixels: T) {
        let x = x + K / 2 &* a.step
        wholePlacePair(0, x, weight, before, a, &upper, &lower)
        wholePlacePair(1, x, weight, before, a, &upper, &lower)
        wholePlacePair(2, x, weight, before, a, &upper, &lower)
        wholePlacePair(3, x, weight, before, a, &upper, &lower)
        wholePlacePair(4, x, weight, before, a, &upper, &lower)
        wholePlacePair(5, x, weight, before, a, &upper, &lower)
        wholePlacePair(6, x, weight, before, a, &upper, &lower)
        wholePlacePair(7, x, weight, before, a, &upper, &lower)
        wholePlacePair(8, x, weight, before, a, &upper, &lower)
        wholePlacePair(9, x, weight, before, a, &upper, &lower)
        return
    }
    var x = x
    doublePlace(0, &x, weight, before, a, &upper, &lower)
    doublePlace(1, &x, weight, before, a, &upper, &lower)
    doublePlace(2, &x, weight, before, a, &upper, &lower)
    doublePlace(3, &x, weight, before, a, &upper, &lower)
    doublePlace(4, &x, weight, before, a, &upper, &lower)
    doublePlace(5, &x, weight, before, a, &upper, &lower)
    doublePlace(6, &x, weight, before, a, &upper, &lower)
    doublePlace(7, &x, weight, before, a, &upper, &lower)
    doublePlace(8, &x, weight, before, a, &upper, &lower)
    doublePlace(9, &x, weight, before, a, &upper, &lower)
    doublePlace(10, &x, weight, before, a, &upper, &lower)
    doublePlace(11, &x, weight, before, a, &upper, &lower)
    doublePlace(12, &x, weight, before, a, &upper, &lower)
    doublePlace(13, &x, weight, before, a, &upper, &lower)
}

@inline(__always)
private func wholePlacePair<let K: Int, let T: Int>(
    _ i: Int, _ x: UnsafePointer<Float>, _ weight: borrowing InlineArray<K, Vector>, _ before: borrowing InlineArray<K, Vector>,
    _ a: borrowing PhaseTileArguments, _ upper: inout InlineArray<T, Vector>, _ lower: inout InlineArray<T, Vector>
) {
    guard i < T else { return }
    let value = load(x + i &* a.step)
    feed(i + K / 2, value, weight, &upper)
    feed(i + K / 2, value, before, &lower)
}

@inline(__always)
private func doublePlace<let K: Int, let T: Int>(
    _ j: Int, _ x: inout UnsafePointer<Float>, _ weight: borrowing InlineArray<K, Vector>, _ before: borrowing InlineArray<K, Vector>,
    _ a: borrowing PhaseTileArguments, _ upper: inout InlineArray<T, Vector>, _ lower: inout InlineArray<T, Vector>
) {
    guard j < T + K - 1 else { return }
    if a.live & (1 << UInt32(j)) != 0 {
        let value = load(x)
        feed(j, value, weight, &upper)
        feed(j, value, before, &lower)
    }
    x += a.step
}

@inline(never)
private func pair<let K: Int, let T: Int>(_ a: borrowing PhaseTileArguments, _ shape: PhaseShape<K, T, 2>.Type) {
    guard goTogether(taps: K, pixels: T) else { return }
    pairTile(a, shape)
}

/// Runs the tile of `t` pixels × two rows.
@inline(__always)
func runPair<let K: Int>(_ t: Int, _ a: borrowing PhaseTileArguments, _ taps: InlineArray<K, Vector>.Type) {
    switch t {
    case 1: pair(a, PhaseShape<K, 1, 2>.self)
    case 2: pair(a, PhaseShape<K, 2, 2>.self)
    case 3: pair(a, PhaseShape<K, 3, 2>.self)
    case 4: pair(a, PhaseShape<K, 4, 2>.self)
    case 5: pair(a, PhaseShape<K, 5, 2>.self)
    case 6: pair(a, PhaseShape<K, 6, 2>.self)
    case 7: pair(a, PhaseShape<K, 7, 2>.self)
    case 8: pair(a, PhaseShape<K, 8, 2>.self)
    case 9: pair(a, PhaseShape<K, 9, 2>.self)
    case 10: pair(a, PhaseShape<K, 10, 2>.self)
    default: preconditionFailure("no such tile")
    }
}
