import ConvCore
import CVector

/// MR rows of NR vectors.
typealias TileShape<let MR: Int, let NR: Int> = InlineArray<MR, InlineArray<NR, Vector>>

/// The register tile: MR × NR accumulators live in registers over the whole sum; per step NR vectors of B are loaded and
/// each of MR values of A is broadcast once and used NR times, so MR·NR multiply-adds meet MR + NR loads.
/// Accumulators must outnumber FMA latency × units (4 × 2) and fit the register file with B and one broadcast.
/// `maskedB`: B's last vector is only partly there, and is read so. `inRounds`: four terms at a time, see ``sumsInRounds``; with `packedA`
/// the values of a term lie side by side, and the next term's behind them.
@inline(__always)
private func matrixTile<let MR: Int, let NR: Int>(
    _ t: borrowing TileArguments, a tileA: UnsafePointer<Float>, b tileB: UnsafePointer<Float>, c: UnsafeMutablePointer<Float>, ahead: UnsafePointer<Float>,
    later: UnsafePointer<Float>, maskedB: Bool, inRounds: Bool, packedA: Bool, as shape: TileShape<MR, NR>.Type
) {
    var sum = TileShape<MR, NR> { _ in InlineArray { _ in Vector(repeating: 0) } }
    let last = t.lastLanes
    switch t.start {
    case .zero: break
    case .partial:
        for m in 0..<MR {
            for n in 0..<NR - 1 { sum[m][n] = load(c + (m &* t.cRow &+ n &* t.cVector)) }
            sum[m][NR - 1] = loadLanes(c + (m &* t.cRow &+ (NR - 1) &* t.cVector), 0, last)
        }
    case .columns(let bias):
        for n in 0..<NR {
            let v = n == NR - 1 ? loadLanes(bias + n &* lanes, 0, last) : load(bias + n &* lanes)
            for m in 0..<MR { sum[m][n] = v }
        }
    case .rows(let bias):
        for m in 0..<MR {
            let v = broadcast(bias + m)
            for n in 0..<NR { sum[m][n] = v }
        }
    }
    for i in 0..<t.addendCount {
        let (sums, row) = (t.addends![i].sums, t.addends![i].row)
        for m in 0..<MR {
            for n in 0..<NR - 1 { sum[m][n] += load(sums + (m &* row &+ n &* lanes)) }
            sum[m][NR - 1] += loadLanes(sums + (m &* row &+ (NR - 1) &* lanes), 0, last)
        }
    }
    if t.prefetchesC {
        for m in 0..<MR {
            for n in 0..<NR { atrous_prefetch_for_writing(c + (m &* t.cRow &+ n &* t.cVector)) }
        }
    }
    var asked = ahead
    var askedLater = later
    for tap in 0..<t.tapCount {
        var first = tileA + t.taps[tap].a
        if t.aheadFollowsTaps { asked = ahead + t.taps[tap].a }
        var b = tileB + t.taps[tap].b
        var terms = t.depth
        if inRounds, packedA {
            while terms >= termsOfRound {
                allRows(0, first, vectorsOfB(b), &sum)
                allRows(1, first, vectorsOfB(b + NR &* lanes), &sum)
                allRows(2, first, vectorsOfB(b + 2 &* NR &* lanes), &sum)
                allRows(3, first, vectorsOfB(b + 3 &* NR &* lanes), &sum)
                first += termsOfRound &* MR
                b += termsOfRound &* NR &* lanes
                terms &-= termsOfRound
            }
        }
        var a = InlineArray<4, UnsafePointer<Float>>(repeating: first)
        for i in 1..<4 { a[i] = first + 3 &* i &* t.aRow }
        if inRounds, !packedA {
            while terms >= termsOfRound {
                // Written out: a loop over them the compiler does not unroll for ten rows of one vector.
                allRows(0, &a, t.aRow, 0, vectorsOfB(b), &sum)
                allRows(1, &a, t.aRow, 0, vectorsOfB(b + NR &* lanes), &sum)
                allRows(2, &a, t.aRow, 0, vectorsOfB(b + 2 &* NR &* lanes), &sum)
                allRows(3, &a, t.aRow, termsOfRound, vectorsOfB(b + 3 &* NR &* lanes), &sum)
                atrous_prefetch(asked)
                asked += termsOfRound &* t.aheadStep
                atrous_prefetch_far(askedLater)
                askedLater += termsOfRound &* t.laterStep
                b += termsOfRound &* NR &* lanes
                terms &-= termsOfRound
            }
        }
        for _ in 0..<terms {
            allRows(0, &a, t.aRow, t.aStep, vectorsOfB(b, masked: maskedB, lastLanes: last), &sum)
            if multiplyAddIsFused {
                atrous_prefetch(asked)
                asked += t.aheadStep
                atrous_prefetch_far(askedLater)
                askedLater += t.laterStep
            }
            b += t.bStep
        }
    }
    let activation = t.finish ? t.activation : .none
    if activation == .relu {
        for m in 0..<MR {
            for n in 0..<NR { sum[m][n] = rectified(sum[m][n]) }
        }
    }
    let following = t.finish ? t.following : nil
    // Without fused instructions the sums would go through memory for it.
    let followsInRegisters = multiplyAddIsFused && !activatesStored(activation)
    if let following, followsInRegisters {
        for n in 0..<NR {
            let (factor, bias) = (load(following.factors + n &* lanes), load(following.bias + n &* lanes))
            for m in 0..<MR { sum[m][n] = multiplyAdd(sum[m][n], factor, bias) }
        }
        if following.activation == .relu {
            for m in 0..<MR {
                for n in 0..<NR { sum[m][n] = rectified(sum[m][n]) }
            }
        }
    }
    for m in 0..<MR {
        for n in 0..<NR - 1 { store(c + (m &* t.cRow &+ n &* t.cVector), sum[m][n]) }
    }
    if last == lanes {
        for m in 0..<MR { store(c + (m &* t.cRow &+ (NR - 1) &* t.cVector), sum[m][NR - 1]) }
    } else {
        for m in 0..<MR { storeLanes(c + (m &* t.cRow &+ (NR - 1) &* t.cVector), sum[m][NR - 1], last) }
    }
    // The long activations run over the stored tile, which is still in L1: a loop over accumulators that the optimiser
    // does not unroll would force all of them into memory for the whole sum.
    if activatesStored(activation) {
        if t.cVector == lanes {
            activateTile(c, rows: MR, columns: (NR - 1) * lanes + last, stride: t.cRow, activation)
        } else {
            for n in 0..<NR { activateTile(c + n * t.cVector, rows: MR, columns: lanes, stride: t.cRow, activation) }
        }
    }
    guard let following else { return }
    if !followsInRegisters {
        scaleStoredTile(c, rows: MR, vectors: NR, stride: t.cRow, following)
    } else if activatesStored(following.activation) {
        activateTile(c, rows: MR, columns: NR * lanes, stride: t.cRow, following.activation)
    }
}

/// Whether four terms, whose vectors of B lie side by side and of A those of a row or of a term, share what moves the pointers and asks ahead: of 6 × 2
/// with 16 registers these were 9 of the 29 instructions of a term, and 2.75 of 22.75 are left, or 1 of 21 of a packed A (in tiles of all the rows that it
/// was packed for). On a Zen 3 whose core another program shares, `pw-tile` is 5 to 9 % faster and `conv-panel` 7 to 39 %, and 1 % where it has the core
/// for itself. With 32 registers not measured yet.
private let sumsInRounds = vectorRegisters == 16

private let termsOfRound = 4

/// What a term may ask ahead for, in floats: that of a round is a line of 16, which one request serves.
private let mostAheadInRounds = 16 / termsOfRound

/// The vectors of B of one term; of the last, where it is masked, only so many lanes.
@inline(__always)
private func vectorsOfB<let NR: Int>(_ b: UnsafePointer<Float>, masked: Bool = false, lastLanes: Int = lanes) -> InlineArray<NR, Vector> {
    var row = InlineArray<NR, Vector>(repeating: Vector(repeating: 0))
    for n in 0..<NR {
        row[n] = masked && n == NR - 1 ? loadLanes(b + n &* lanes, 0, lastLanes) : load(b + n &* lanes)
    }
    return row
}

/// A term of all sums: see ``threeRows``.
@inline(__always)
private func allRows<let MR: Int, let NR: Int>(
    _ number: Int, _ a: inout InlineArray<4, UnsafePointer<Float>>, _ row: Int, _ step: Int, _ column: InlineArray<NR, Vector>,
    _ sum: inout TileShape<MR, NR>
) {
    threeRows(0, number, &a, row, step, column, &sum)
    threeRows(1, number, &a, row, step, column, &sum)
    threeRows(2, number, &a, row, step, column, &sum)
    threeRows(3, number, &a, row, step, column, &sum)
}

/// A term of all sums, of values that lie MR by MR.
@inline(__always)
private func allRows<let MR: Int, let NR: Int>(
    _ number: Int, _ a: UnsafePointer<Float>, _ column: InlineArray<NR, Vector>, _ sum: inout TileShape<MR, NR>
) {
    for m in 0..<MR {
        let value = broadcast(a + (number &* MR &+ m))
        for n in 0..<NR { sum[m][n] = multiplyAdd(value, column[n], sum[m][n]) }
    }
}

/// A term of the sums of three rows. They share a pointer, from which the others lie one and two steps away, as an address can say:
/// with a pointer each, those of ten rows and more lie in memory, at 70 % of the FMA peak of a Zen 5. The values lie `number` behind the pointers, which
/// go on by `step`.
@inline(__always)
private func threeRows<let MR: Int, let NR: Int>(
    _ three: Int, _ number: Int, _ a: inout InlineArray<4, UnsafePointer<Float>>, _ row: Int, _ step: Int, _ column: borrowing InlineArray<NR, Vector>,
    _ sum: inout TileShape<MR, NR>
) {
    guard 3 * three < MR else { return }
    // Else the compiler makes a pointer of each row all the same.
    let x = loadedAnew(a[three])
    for i in 0..<3 {
        let m = 3 * three + i
        guard m < MR else { continue }
        let value = broadcast(x + (i &* row &+ number))
        for n in 0..<NR { sum[m][n] = multiplyAdd(value, column[n], sum[m][n]) }
    }
    a[three] = x + step
}

/// B packed: its vectors are whole (zero-filled), only C may end inside the last one.
@inline(never)
private func packed<let MR: Int, let NR: Int>(_ t: borrowing TileArguments, _ shape: TileShape<MR, NR>.Type) {
    // No configuration admits the others: no code is made for them.
    guard isCompiledTile(MR, NR) else { return }
    var a = t.a
    var b = t.b
    var c = t.c
    var ahead = t.a
    if let elsewhere = t.ahead { ahead = elsewhere }
    var later = t.a
    if let elsewhere = t.later { later = elsewhere }
    var inRounds = false
    var packedA = false
    if sumsInRounds, t.bStep == NR &* lanes {
        // Of more rows the compiler would spill.
        if MR < 11, t.aStep == 1, max(t.aheadStep, t.laterStep) <= mostAheadInRounds { inRounds = true }
        if MR < 10, t.aRow == 1, t.aStep == MR, t.ahead == nil, t.later == nil { (inRounds, packedA) = (true, true) }
    }
    // Without fused instructions the optimiser gives up on the sums inside a further loop, and on a prefetch beside them: the
    // caller repeats the tile.
    for _ in 0..<(multiplyAddIsFused ? t.tiles : 1) {
        matrixTile(
            t, a: a, b: b, c: c, ahead: ahead, later: later, maskedB: false, inRounds: inRounds, packedA: packedA, as: shape)
        a += t.aTileStep
        b += t.bTileStep
        c += t.cTileStep
        ahead += t.aheadTileStep
        later += t.laterTileStep
    }
}

/// B read in place: its last vector may end with the matrix.
@inline(never)
private func inPlace<let MR: Int>(_ t: borrowing TileArguments, _ shape: TileShape<MR, 1>.Type) {
    matrixTile(t, a: t.a, b: t.b, c: t.c, ahead: t.a, later: t.a, maskedB: true, inRounds: false, packedA: false, as: shape)
}

/// The most rows of a compiled tile, by its vectors, at most `mostTileRows`: with larger ones the optimiser gives up unrolling, and the sums go
/// through memory at half the speed. A multiply-add of two instructions reaches that point sooner, or spills.
private func largestRows(vectors: Int) -> Int {
    switch vectors {
    case 1: multiplyAddIsFused ? 12 : 9
    case 2: multiplyAddIsFused ? 12 : 4
    case 3: multiplyAddIsFused ? 8 : 2
    default: multiplyAddIsFused ? 6 : 1
    }
}

/// The rows of `matrixTile`'s four `threeRows`.
private let mostTileRows = 12

/// Whether a tile of m rows and n vectors is there: it fits the registers and stays in them.
func isCompiledTile(_ m: Int, _ n: Int) -> Bool { fitsRegisters(m, n) && m <= min(largestRows(vectors: n), mostTileRows) }

/// The same in words.
let matrixTileConstraint =
    "m·n + n + 1 ≤ \(vectorRegisters) registers; m ≤ \(largestRows(vectors: 1)), \(largestRows(vectors: 2)), \(largestRows(vectors: 3)), \(largestRows(vectors: 4)) with n = 1, 2, 3, 4"

/// Rows of a tile of two vectors that is good untuned.
let standardTileRows = vectorRegisters == 32 ? 8 : multiplyAddIsFused ? 6 : 4

/// Runs the tile of `m` rows × `n` vectors on packed B. A switch and not a table of functions: no reference to count on the
/// way, and no metadata, whose shared copies could leak this instruction set into other modules.
@inline(__always)
func runPackedTile(_ m: Int, _ n: Int, _ t: borrowing TileArguments) {
    if multiplyAddIsFused { return selectPackedTile(m, n, t) }
    var one = copy t
    one.tiles = 1
    for _ in 0..<t.tiles {
        selectPackedTile(m, n, one)
        one.a += t.aTileStep
        one.b += t.bTileStep
        one.c += t.cTileStep
    }
}

@inline(__always)
private func selectPackedTile(_ m: Int, _ n: Int, _ t: borrowing TileArguments) {
    switch n &* 16 &+ m {
    case 17: packed(t, TileShape<1, 1>.self)
    case 18: packed(t, TileShape<2, 1>.self)
    case 19: packed(t, TileShape<3, 1>.self)
    case 20: packed(t, TileShape<4, 1>.self)
    case 21: packed(t, TileShape<5, 1>.self)
    case 22: packed(t, TileShape<6, 1>.self)
    case 23: packed(t, TileShape<7, 1>.self)
    case 24: packed(t, TileShape<8, 1>.self)
    case 25: packed(t, TileShape<9, 1>.self)
    case 26: packed(t, TileShape<10, 1>.self)
    case 27: packed(t, TileShape<11, 1>.self)
    case 28: packed(t, TileShape<12, 1>.self)
    case 33: packed(t, TileShape<1, 2>.self)
    case 34: packed(t, TileShape<2, 2>.self)
    case 35: packed(t, TileShape<3, 2>.self)
    case 36: packed(t, TileShape<4, 2>.self)
    case 37: packed(t, TileShape<5, 2>.self)
    case 38: packed(t, TileShape<6, 2>.self)
    case 39: packed(t, TileShape<7, 2>.self)
    case 40: packed(t, TileShape<8, 2>.self)
    case 41: packed(t, TileShape<9, 2>.self)
    case 42: packed(t, TileShape<10, 2>.self)
    case 43: packed(t, TileShape<11, 2>.self)
    case 44: packed(t, TileShape<12, 2>.self)
    case 49: packed(t, TileShape<1, 3>.self)
    case 50: packed(t, TileShape<2, 3>.self)
    case 51: packed(t, TileShape<3, 3>.self)
    case 52: packed(t, TileShape<4, 3>.self)
    case 53: packed(t, TileShape<5, 3>.self)
    case 54: packed(t, TileShape<6, 3>.self)
    case 55: packed(t, TileShape<7, 3>.self)
    case 56: packed(t, TileShape<8, 3>.self)
    case 65: packed(t, TileShape<1, 4>.self)
    case 66: packed(t, TileShape<2, 4>.self)
    case 67: packed(t, TileShape<3, 4>.self)
    case 68: packed(t, TileShape<4, 4>.self)
    case 69: packed(t, TileShape<5, 4>.self)
    case 70: packed(t, TileShape<6, 4>.self)
    default: preconditionFailure("no such tile")
    }
}

/// The most rows of a tile that reads a partial vector of B.
let largestInPlaceRows = 8

/// Runs the tile of `m` rows × 1 vector on B in place, of which only the first lanes may be there.
@inline(__always)
func runInPlaceTile(_ m: Int, _ t: borrowing TileArguments) {
    switch m {
    case 1: inPlace(t, TileShape<1, 1>.self)
    case 2: inPlace(t, TileShape<2, 1>.self)
    case 3: inPlace(t, TileShape<3, 1>.self)
    case 4: inPlace(t, TileShape<4, 1>.self)
    case 5: inPlace(t, TileShape<5, 1>.self)
    case 6: inPlace(t, TileShape<6, 1>.self)
    case 7: inPlace(t, TileShape<7, 1>.self)
    case 8: inPlace(t, TileShape<8, 1>.self)
    default: preconditionFailure("no such tile")
    }
}

/// Whether a tile of m rows and n vectors leaves room in the register file for one row of B and a broadcast value.
func fitsRegisters(_ m: Int, _ n: Int) -> Bool { m * n + n + 1 <= vectorRegisters }
