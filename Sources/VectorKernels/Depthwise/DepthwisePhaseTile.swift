import ConvCore

/// What a tile of one dilation phase computes: R × T outputs, a phase step apart in both directions. Steps are in floats.
struct PhaseTileArguments {
    /// The input at place 0 of window row 0; may lie in the padding, which is never read.
    var src: UnsafePointer<Float>
    /// The window's first tap, first vector of channels.
    var weights: UnsafePointer<Float>
    var bias: UnsafePointer<Float>?
    var dst: UnsafeMutablePointer<Float>
    /// Rows of the window that lie in the image, and its taps along a column.
    var rows: Range<Int>
    var rowTaps: Int
    /// Bit j: place j of a window row lies in the image.
    var live: UInt32
    /// From one place of the window to the next one in its row, and from row to row.
    var step, rowStep: Int
    var dstStep, dstRowStep: Int
    /// From one row of taps to the next.
    var weightRowStep: Int
    /// How many times to compute as much: for neighbouring vectors of channels, or at other places of the map.
    var groups: Int
    /// From one of them to the next: in src, in dst, in the weights and in the bias.
    var srcGroupStep, dstGroupStep, weightGroupStep, biasGroupStep: Int
    /// How many times all groups, at other places of the map, and from one to the next.
    var repeats: Int
    var srcRepeatStep, dstRepeatStep: Int
    /// Whether dst holds the sums of other columns of taps, which these are added to.
    var resumes = false
    var activation: Activation
}

/// K columns of taps × T pixels × R rows; only the type is used.
enum PhaseShape<let K: Int, let T: Int, let R: Int> {}

/// T × R sums stay in registers. Every window row is walked once per row of outputs that it meets: the K weights between the
/// two are loaded, then each live input goes into all sums that it belongs to, up to K, T + 2K − 1 loads per K·T
/// multiply-adds. Dead places cost a test of a bit, and nothing where a whole row or column of them is left out of
/// the window, or where the row is a whole phase (1.05 to 1.08 times as fast under 5 × 5 and 7 × 7 taps on a Zen 5, at 8 lanes up to 1.25
/// times). Vectors of channels are the inner loop, or in blocks of channels tiles alike: neighbouring lines, which the hardware
/// prefetches.
///
/// Tried and lost: prefetching the next tile's inputs, outputs or both (2 to 9 % slower over the matrix of YOLOv5s at 16 lanes, 3 to
/// 11 % at 8), and at 8 lanes a path without tests where all places are live, those beyond the outputs too (no change).
@inline(__always)
private func phaseTile<let K: Int, let T: Int, let R: Int>(
    _ a: borrowing PhaseTileArguments, several: Bool, _ shape: PhaseShape<K, T, R>.Type
) {
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
            var sum = TileShape<R, T>(repeating: InlineArray(repeating: start))
            if a.resumes {
                for r in 0..<R {
                    for t in 0..<T { sum[r][t] = load(dst + (r &* a.dstRowStep &+ t &* a.dstStep)) }
                }
            }
            var x = src
            for row in a.rows {
                windowRow(0, row, x, weights, a, &sum, shape)
                if several {
                    windowRow(1, row, x, weights, a, &sum, shape)
                    windowRow(2, row, x, weights, a, &sum, shape)
                    windowRow(3, row, x, weights, a, &sum, shape)
                }
                x += a.rowStep
            }
            if activation == .relu {
                for r in 0..<R {
                    for t in 0..<T { sum[r][t] = rectified(sum[r][t]) }
                }
            }
            for r in 0..<R {
                for t in 0..<T { store(dst + (r &* a.dstRowStep &+ t &* a.dstStep), sum[r][t]) }
            }
            src += a.srcGroupStep
            weights += a.weightGroupStep
            dst += a.dstGroupStep
            if let p = bias { bias = p + a.biasGroupStep }
        }
        activateStored(
            rows: R, pixels: T, firstDst, rowStep: a.dstRowStep, step: a.dstStep, groups: a.groups, groupStep: a.dstGroupStep, activation)
        firstSrc += a.srcRepeatStep
        firstDst += a.dstRepeatStep
    }
}

/// What window row `row` gives to output row `r`.
@inline(__always)
private func windowRow<let K: Int, let T: Int, let R: Int>(
    _ r: Int, _ row: Int, _ x: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, _ a: borrowing PhaseTileArguments,
    _ sum: inout TileShape<R, T>, _ shape: PhaseShape<K, T, R>.Type
) {
    guard r < R else { return }
    let tap = row &- r
    guard UInt(bitPattern: tap) < UInt(bitPattern: a.rowTaps) else { return }
    feedRow(x, weights + tap &* a.weightRowStep, a, &sum[r], shape)
}

/// A row of inputs under a row of taps, into a row of sums.
@inline(__always)
func feedRow<let K: Int, let T: Int, let R: Int>(
    _ x: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, _ a: borrowing PhaseTileArguments, _ sum: inout InlineArray<T, Vector>,
    _ shape: PhaseShape<K, T, R>.Type
) {
    var weight = InlineArray<K, Vector>(repeating: Vector(repeating: 0))
    for k in 0..<K { weight[k] = load(weights + k &* lanes) }
    if a.live == wholeRow(taps: K, pixels: T) {
        let x = x + K / 2 &* a.step
        wholePlace(0, x, weight, a, &sum)
        wholePlace(1, x, weight, a, &sum)
        wholePlace(2, x, weight, a, &sum)
        wholePlace(3, x, weight, a, &sum)
        wholePlace(4, x, weight, a, &sum)
        wholePlace(5, x, weight, a, &sum)
        wholePlace(6, x, weight, a, &sum)
        wholePlace(7, x, weight, a, &sum)
        wholePlace(8, x, weight, a, &sum)
        wholePlace(9, x, weight, a, &sum)
        return
    }
    var x = x
    // Written out: the optimiser would give up unrolling a loop over places around one over taps, and with it the
    // registers.
    place(0, &x, weight, a, &sum)
    place(1, &x, weight, a, &sum)
    place(2, &x, weight, a, &sum)
    place(3, &x, weight, a, &sum)
    place(4, &x, weight, a, &sum)
    place(5, &x, weight, a, &sum)
    place(6, &x, weight, a, &sum)
    place(7, &x, weight, a, &sum)
    place(8, &x, weight, a, &sum)
    place(9, &x, weight, a, &sum)
    place(10, &x, weight, a, &sum)
    place(11, &x, weight, a, &sum)
    place(12, &x, weight, a, &sum)
    place(13, &x, weight, a, &sum)
    if K > 5 {
        place(14, &x, weight, a, &sum)
        place(15, &x, weight, a, &sum)
        place(16, &x, weight, a, &sum)
        place(17, &x, weight, a, &sum)
        place(18, &x, weight, a, &sum)
        place(19, &x, weight, a, &sum)
    }
}

/// The places that lie in the image where the tile's row is a whole phase: those under its outputs. Which they are is then settled at
/// compile time, with half the instructions.
@inline(__always)
func wholeRow(taps k: Int, pixels t: Int) -> UInt32 { ((1 << UInt32(t)) &- 1) << UInt32(k / 2) }

@inline(__always)
private func wholePlace<let K: Int, let T: Int>(
    _ i: Int, _ x: UnsafePointer<Float>, _ weight: borrowing InlineArray<K, Vector>, _ a: borrowing PhaseTileArguments,
    _ sum: inout InlineArray<T, Vector>
) {
    guard i < T else { return }
    feed(i + K / 2, load(x + i &* a.step), weight, &sum)
}

/// One input, if it lies in the image.
@inline(__always)
private func place<let K: Int, let T: Int>(
    _ j: Int, _ x: inout UnsafePointer<Float>, _ weight: borrowing InlineArray<K, Vector>, _ a: borrowing PhaseTileArguments,
    _ sum: inout InlineArray<T, Vector>
) {
    guard j < T + K - 1 else { return }
    if a.live & (1 << UInt32(j)) != 0 { feed(j, load(x), weight, &sum) }
    x += a.step
}

/// The input at place `j`: into the sum of every output that it lies under.
@inline(__always)
func feed<let K: Int, let T: Int>(_ j: Int, _ value: Vector, _ weight: borrowing InlineArray<K, Vector>, _ sum: inout InlineArray<T, Vector>) {
    for k in 0..<K {
        let t = j - k
        if t >= 0, t < T { sum[t] = multiplyAddInPlace(value, weight[k], sum[t]) }
    }
}

/// The most columns of taps of a compiled tile.
let largestPhaseTaps = 11
/// The most pixels of a compiled tile.
let largestPhasePixels = 10

/// The most that are worth it: beside eleven columns of taps two rows of four, with 32 registers (0.9 times the time of a row of seven or eight;
/// nine and ten the compiler does not unroll).
@inline(__always)
func mostPixels(taps k: Int) -> Int { k > 10 && vectorRegisters == 32 ? 4 : largestPhasePixels }

/// The widths of a compiled tile: the odd ones and, to cut nine in two, 4.
func isPhaseWidth(_ taps: Int) -> Bool { taps % 2 == 1 && taps <= largestPhaseTaps || taps == 4 }

/// Sums and weights that fit the registers beside an input and, without a fused instruction, what the compiler copies where paths join.
let mostHeld = vectorRegisters - (multiplyAddIsFused ? 1 : 2)

/// Columns of taps whose weights fit the registers beside the sums of `t` pixels.
func phaseRoom(pixels t: Int) -> Int { max(1, mostHeld - t) }

/// The rows of the compiled tile of `t` pixels over `k` columns of taps that has at most `sums` sums. Several rows share
/// the inputs that lie between them.
func phaseRows(taps k: Int, pixels t: Int, sums: Int) -> Int {
    if k == 3 || k == 5 { return max(1, min(4, min(sums, largestSeveralRows(taps: k)) / t)) }
    return k >= 7 && goTogether(taps: k, pixels: t) && 2 * t <= sums ? 2 : 1
}

/// The most sums of a compiled tile of several rows.
@inline(__always)
private func largestSeveralRows(taps k: Int) -> Int { vectorRegisters == 32 ? 20 : vectorRegisters - 1 - k }

@inline(never)
private func one<let K: Int, let T: Int>(_ a: borrowing PhaseTileArguments, _ shape: PhaseShape<K, T, 1>.Type) {
    guard K + T <= mostHeld, T <= mostPixels(taps: K) else { return }
    phaseTile(a, several: false, shape)
}

@inline(never)
private func several<let K: Int, let T: Int, let R: Int>(
    _ a: borrowing PhaseTileArguments, _ shape: PhaseShape<K, T, R>.Type
) {
    guard K < 7, T * R <= largestSeveralRows(taps: K), R > 2 || !goTogether(taps: K, pixels: T) else { return }
    phaseTile(a, several: true, shape)
}

/// Runs the tile of `k` columns of taps × `t` pixels × `r` rows.
@inline(__always)
func runPhaseTile(_ k: Int, _ t: Int, _ r: Int, _ a: borrowing PhaseTileArguments) {
    switch k {
    case 1: runOneRow(t, a, InlineArray<1, Vector>.self)
    case 3: r == 1 ? runOneRow(t, a, InlineArray<3, Vector>.self) : runSeveralRows(t, r, a, InlineArray<3, Vector>.self)
    case 4: runOneRow(t, a, InlineArray<4, Vector>.self)
    case 5: r == 1 ? runOneRow(t, a, InlineArray<5, Vector>.self) : runSeveralRows(t, r, a, InlineArray<5, Vector>.self)
    case 7: r == 1 ? runOneRow(t, a, InlineArray<7, Vector>.self) : runSeveralRows(t, r, a, InlineArray<7, Vector>.self)
    case 9: r == 1 ? runOneRow(t, a, InlineArray<9, Vector>.self) : runSeveralRows(t, r, a, InlineArray<9, Vector>.self)
    case 11: r == 1 ? runOneRow(t, a, InlineArray<11, Vector>.self) : runSeveralRows(t, r, a, InlineArray<11, Vector>.self)
    default: preconditionFailure("no such tile")
    }
}

@inline(never)
private func runOneRow<let K: Int>(_ t: Int, _ a: borrowing PhaseTileArguments, _ taps: InlineArray<K, Vector>.Type) {
    switch t {
    case 1: one(a, PhaseShape<K, 1, 1>.self)
    case 2: one(a, PhaseShape<K, 2, 1>.self)
    case 3: one(a, PhaseShape<K, 3, 1>.self)
    case 4: one(a, PhaseShape<K, 4, 1>.self)
    case 5: one(a, PhaseShape<K, 5, 1>.self)
    case 6: one(a, PhaseShape<K, 6, 1>.self)
    case 7: one(a, PhaseShape<K, 7, 1>.self)
    case 8: one(a, PhaseShape<K, 8, 1>.self)
    case 9: one(a, PhaseShape<K, 9, 1>.self)
    case 10: one(a, PhaseShape<K, 10, 1>.self)
    default: preconditionFailure("no such tile")
    }
}

@inline(never)
private func runSeveralRows<let K: Int>(
    _ t: Int, _ r: Int, _ a: borrowing PhaseTileArguments, _ taps: InlineArray<K, Vector>.Type
) {
    if r == 2, goTogether(taps: K, pixels: t) { return runPair(t, a, taps) }
    switch r &* 16 &+ t {
    case 33: several(a, PhaseShape<K, 1, 2>.self)
    case 34: several(a, PhaseShape<K, 2, 2>.self)
    case 35: several(a, PhaseShape<K, 3, 2>.self)
    case 36: several(a, PhaseShape<K, 4, 2>.self)
    case 37: several(a, PhaseShape<K, 5, 2>.self)
    case 38: several(a, PhaseShape<K, 6, 2>.self)
    case 39: several(a, PhaseShape<K, 7, 2>.self)
    case 40: several(a, PhaseShape<K, 8, 2>.self)
    case 41: several(a, PhaseShape<K, 9, 2>.self)
    case 42: several(a, PhaseShape<K, 10, 2>.self)
    case 49: several(a, PhaseShape<K, 1, 3>.self)
    case 50: several(a, PhaseShape<K, 2, 3>.self)
    case 51: several(a, PhaseShape<K, 3, 3>.self)
    case 52: several(a, PhaseShape<K, 4, 3>.self)
    case 53: several(a, PhaseShape<K, 5, 3>.self)
    case 54: several(a, PhaseShape<K, 6, 3>.self)
    case 65: several(a, PhaseShape<K, 1, 4>.self)
    case 66: several(a, PhaseShape<K, 2, 4>.self)
    case 67: several(a, PhaseShape<K, 3, 4>.self)
    case 68: several(a, PhaseShape<K, 4, 4>.self)
    case 69: several(a, PhaseShape<K, 5, 4>.self)
    default: preconditionFailure("no such tile")
    }
}
