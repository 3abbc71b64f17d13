import ConvCore

/// What a tile computes from the ring of a phase's rows: R × T outputs, a dilation apart in both directions. Steps are in
/// floats.
struct StageTileArguments {
    var ring: UnsafePointer<Float>
    /// Where in the ring the rows of the window lie.
    var slots: UnsafePointer<Int>
    /// From a row's slot to place 0 of the window, first vector; may lie before the slot, where nothing is read.
    var offset: Int
    /// Rows of the window that lie in the image, and its taps along a column.
    var rows: Range<Int>
    var rowTaps: Int
    /// Bit j: place j of a window row lies in the image.
    var live: UInt32
    /// From one vector of channels to the next in the ring.
    var groupStep: Int
    var weights: UnsafePointer<Float>
    /// From one row of taps to the next, and from one vector of channels to the next.
    var weightRowStep, weightGroupStep: Int
    var bias: UnsafePointer<Float>?
    var dst: UnsafeMutablePointer<Float>
    var dstStep, dstRowStep: Int
    /// Vectors of channels to compute.
    var groups: Int
    var activation: Activation
    /// Pixels that are copied into the ring for a later tile, those of one row, then of another: from one to the next in src,
    /// and how many of the first row after each row of the window.
    var copyStep, copyShare: Int
    var first, second: StagePixels
}

/// Pixels to copy, a vector of channels at a time; `groupStep` leads from one vector to the next in the ring. A tuple: the copying
/// of a small struct becomes a shared function with instructions of this level.
typealias StagePixels = (source: UnsafePointer<Float>, target: UnsafeMutablePointer<Float>, count: Int, groupStep: Int)

/// The pixels as they are for one of the vectors.
@inline(__always)
private func vector(_ group: Int, _ pixels: StagePixels) -> StagePixels {
    (pixels.source + group &* lanes, pixels.target + group &* pixels.groupStep, pixels.count, pixels.groupStep)
}

/// Copies as many of the pixels as there are, at most `share`.
@inline(__always)
private func move(_ pixels: inout StagePixels, _ share: Int, step: Int) {
    var left = min(share, pixels.count)
    pixels.count &-= left
    while left > 0 {
        store(pixels.target, load(pixels.source))
        pixels.source += step
        pixels.target += lanes
        left &-= 1
    }
}

/// All pixels of the first row, all vectors.
func copyWhole(_ a: borrowing StageTileArguments) {
    for group in 0..<a.groups {
        var pixels = vector(group, a.first)
        move(&pixels, pixels.count, step: a.copyStep)
    }
}

/// A + B columns of taps × T pixels × R rows; only the type is used.
enum StageShape<let A: Int, let B: Int, let T: Int, let R: Int> {}

/// T × R sums stay in registers; every row of the window is walked once per row of outputs that it meets, first under A
/// columns of taps, then under B more, so that the registers hold the weights, each input going into up to A sums. Dead
/// places cost a test of a bit.
@inline(__always)
private func stageTile<let A: Int, let B: Int, let T: Int, let R: Int>(
    _ a: borrowing StageTileArguments, _ shape: StageShape<A, B, T, R>.Type
) {
    var offset = a.offset
    var weights = a.weights
    var dst = a.dst
    var bias = a.bias
    for group in 0..<a.groups {
        let start = bias.map { load($0) } ?? Vector(repeating: 0)
        var sum = zeros(TileShape<R, T>.self)
        for r in 0..<R {
            for t in 0..<T { sum[r][t] = start }
        }
        var first = vector(group, a.first)
        for row in a.rows {
            let x = a.ring + (a.slots[row] &+ offset)
            // Written out: a loop is not unrolled, and its sums would lie in memory.
            windowRow(0, row, x, weights, a, &sum, shape)
            windowRow(1, row, x, weights, a, &sum, shape)
            move(&first, a.copyShare, step: a.copyStep)
        }
        move(&first, first.count, step: a.copyStep)
        // A tile of one row may come before one of two.
        var second = vector(group, a.second)
        move(&second, second.count, step: a.copyStep)
        finishTile(&sum, dst, rowStep: a.dstRowStep, step: a.dstStep, a.activation)
        offset &+= a.groupStep
        weights += a.weightGroupStep
        dst += lanes
        if let p = bias { bias = p + lanes }
    }
    activateStored(rows: R, pixels: T, a.dst, rowStep: a.dstRowStep, step: a.dstStep, groups: a.groups, groupStep: lanes, a.activation)
}

/// What window row `row` gives to output row `r`.
@inline(__always)
private func windowRow<let A: Int, let B: Int, let T: Int, let R: Int>(
    _ r: Int, _ row: Int, _ x: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, _ a: borrowing StageTileArguments,
    _ sum: inout TileShape<R, T>, _ shape: StageShape<A, B, T, R>.Type
) {
    guard r < R else { return }
    let tap = row &- r
    guard UInt(bitPattern: tap) < UInt(bitPattern: a.rowTaps) else { return }
    let w = weights + tap &* a.weightRowStep
    columns(r, x, w, a.live, &sum, InlineArray<A, Vector>.self)
    columns(r, x + A &* lanes, w + A &* lanes, a.live >> UInt32(A), &sum, InlineArray<B, Vector>.self)
}

/// What a row of the window gives to output row `r` under K columns of taps. x is place 0 under the first of them.
@inline(__always)
private func columns<let K: Int, let T: Int, let R: Int>(
    _ r: Int, _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>, _ live: UInt32, _ sum: inout TileShape<R, T>,
    _ taps: InlineArray<K, Vector>.Type
) {
    guard K > 0 else { return }
    var weight = zeros(InlineArray<K, Vector>.self)
    for k in 0..<K { weight[k] = load(w + k &* lanes) }
    let all: UInt32 = (1 << UInt32(T + K - 1)) - 1
    if live & all == all {
        places(r, x, all, weight, &sum)
    } else {
        places(r, x, live, weight, &sum)
    }
}

@inline(__always)
private func places<let K: Int, let T: Int, let R: Int>(
    _ r: Int, _ x: UnsafePointer<Float>, _ live: UInt32, _ weight: borrowing InlineArray<K, Vector>, _ sum: inout TileShape<R, T>
) {
    // Written out: see `windowRow` of the phase tile.
    place(0, r, x, live, weight, &sum)
    place(1, r, x, live, weight, &sum)
    place(2, r, x, live, weight, &sum)
    place(3, r, x, live, weight, &sum)
    place(4, r, x, live, weight, &sum)
    place(5, r, x, live, weight, &sum)
    place(6, r, x, live, weight, &sum)
    place(7, r, x, live, weight, &sum)
    place(8, r, x, live, weight, &sum)
    place(9, r, x, live, weight, &sum)
    place(10, r, x, live, weight, &sum)
    place(11, r, x, live, weight, &sum)
    place(12, r, x, live, weight, &sum)
    place(13, r, x, live, weight, &sum)
    if K > 5 {
        place(14, r, x, live, weight, &sum)
        place(15, r, x, live, weight, &sum)
        place(16, r, x, live, weight, &sum)
        place(17, r, x, live, weight, &sum)
        place(18, r, x, live, weight, &sum)
        place(19, r, x, live, weight, &sum)
    }
}

/// One input: into the sum of every output that it lies under.
@inline(__always)
private func place<let K: Int, let T: Int, let R: Int>(
    _ j: Int, _ r: Int, _ x: UnsafePointer<Float>, _ live: UInt32, _ weight: borrowing InlineArray<K, Vector>,
    _ sum: inout TileShape<R, T>
) {
    guard j < T + K - 1 else { return }
    if live & (1 << UInt32(j)) != 0 {
        let value = load(x + j &* lanes)
        for k in 0..<K {
            let t = j - k
            if t >= 0, t < T { sum[r][t] = multiplyAdd(value, weight[k], sum[r][t]) }
        }
    }
}

@inline(never)
private func run<let A: Int, let B: Int, let T: Int, let R: Int>(
    _ a: borrowing StageTileArguments, _ shape: StageShape<A, B, T, R>.Type
) {
    // With 32 registers the kernel takes no problem.
    guard vectorRegisters < 32, T <= mostStagePixels(besideTaps: A, rows: R) else { return }
    stageTile(a, shape)
}

/// The most pixels whose sums fit the registers beside so many weights and an input. Of more than four in two rows the compiler spills some;
/// with a multiply-add of two instructions of more than three, and in a single row of more than eight.
@inline(__always)
private func mostStagePixels(besideTaps taps: Int, rows: Int) -> Int {
    if multiplyAddIsFused { return rows == 1 ? vectorRegisters &- 1 &- taps : min(4, (vectorRegisters &- 1 &- taps) / rows) }
    return rows == 1 ? min(8, vectorRegisters &- 2 &- taps) : 3
}

/// The columns of taps that are taken first; the rest follow in the same registers.
@inline(__always)
private func firstColumns(_ k: Int) -> Int { k <= 3 ? k : (k + 1) / 2 }

/// The most pixels of a tile of `k` columns of taps and so many rows.
func largestStagePixels(taps k: Int, rows: Int) -> Int {
    mostStagePixels(besideTaps: firstColumns(k), rows: rows)
}

/// Runs the tile of `k` columns of taps × `t` pixels × `r` rows.
@inline(__always)
func runStageTile(_ k: Int, _ t: Int, _ r: Int, _ a: borrowing StageTileArguments) {
    switch k {
    case 3: r == 1 ? runOneRow(t, a, StageShape<3, 0, 1, 1>.self) : runTwoRows(t, a, StageShape<3, 0, 1, 1>.self)
    case 5: r == 1 ? runOneRow(t, a, StageShape<3, 2, 1, 1>.self) : runTwoRows(t, a, StageShape<3, 2, 1, 1>.self)
    case 7: runOneRow(t, a, StageShape<4, 3, 1, 1>.self)
    case 9: runOneRow(t, a, StageShape<5, 4, 1, 1>.self)
    case 11: runOneRow(t, a, StageShape<6, 5, 1, 1>.self)
    default: preconditionFailure("no such tile")
    }
}

@inline(never)
private func runOneRow<let A: Int, let B: Int>(
    _ t: Int, _ a: borrowing StageTileArguments, _ taps: StageShape<A, B, 1, 1>.Type
) {
    switch t {
    case 1: run(a, StageShape<A, B, 1, 1>.self)
    case 2: run(a, StageShape<A, B, 2, 1>.self)
    case 3: run(a, StageShape<A, B, 3, 1>.self)
    case 4: run(a, StageShape<A, B, 4, 1>.self)
    case 5: run(a, StageShape<A, B, 5, 1>.self)
    case 6: run(a, StageShape<A, B, 6, 1>.self)
    case 7: run(a, StageShape<A, B, 7, 1>.self)
    case 8: run(a, StageShape<A, B, 8, 1>.self)
    case 9: run(a, StageShape<A, B, 9, 1>.self)
    case 10: run(a, StageShape<A, B, 10, 1>.self)
    default: preconditionFailure("no such tile")
    }
}

@inline(never)
private func runTwoRows<let A: Int, let B: Int>(
    _ t: Int, _ a: borrowing StageTileArguments, _ taps: StageShape<A, B, 1, 1>.Type
) {
    switch t {
    case 1: run(a, StageShape<A, B, 1, 2>.self)
    case 2: run(a, StageShape<A, B, 2, 2>.self)
    case 3: run(a, StageShape<A, B, 3, 2>.self)
    case 4: run(a, StageShape<A, B, 4, 2>.self)
    case 5: run(a, StageShape<A, B, 5, 2>.self)
    case 6: run(a, StageShape<A, B, 6, 2>.self)
    case 7: run(a, StageShape<A, B, 7, 2>.self)
    case 8: run(a, StageShape<A, B, 8, 2>.self)
    case 9: run(a, StageShape<A, B, 9, 2>.self)
    case 10: run(a, StageShape<A, B, 10, 2>.self)
    default: preconditionFailure("no such tile")
    }
}
