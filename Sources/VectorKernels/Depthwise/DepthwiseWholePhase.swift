import ConvCore

/// The shape of a whole dilation phase: M rows × N pixels under all taps up to P rows and Q pixels away; only the type is
/// used.
enum WholePhaseShape<let M: Int, let N: Int, let P: Int, let Q: Int> {}

/// A phase so small that its inputs and its sums all stay in registers, as when the dilation is a third of the map or more:
/// every input is loaded and every output stored once, each live tap's weight is loaded once, and which taps meet which
/// inputs is settled at compile time. Takes the place of the tile of `phaseTile`, whose tests and window rows cost
/// more than the few multiply-adds: M · N = 4 outputs have 16. Where there are too few registers for the inputs, they come row by row.
@inline(__always)
private func wholePhase<let M: Int, let N: Int, let P: Int, let Q: Int>(
    _ a: borrowing PhaseTileArguments, _ shape: WholePhaseShape<M, N, P, Q>.Type
) {
    var firstSrc = a.src + P &* a.rowStep + Q &* a.step
    var firstDst = a.dst
    let weightRowStep = a.weightRowStep
    let activation = a.activation
    for _ in 0..<a.repeats {
        var src = firstSrc
        var weights = a.weights
        var dst = firstDst
        var bias = a.bias
        for _ in 0..<a.groups {
            let start = bias.map { load($0) } ?? Vector(repeating: 0)
            var sum = TileShape<M, N>(repeating: InlineArray(repeating: start))
            // Inputs, sums and a weight.
            if 2 &* M &* N < vectorRegisters {
                var x = sum
                for m in 0..<M {
                    for n in 0..<N { x[m][n] = load(src + (m &* a.rowStep &+ n &* a.step)) }
                }
                tap(0, 0, x, weights, weightRowStep, &sum, shape)
                tap(0, 1, x, weights, weightRowStep, &sum, shape)
                tap(0, 2, x, weights, weightRowStep, &sum, shape)
                tap(0, 3, x, weights, weightRowStep, &sum, shape)
                tap(0, 4, x, weights, weightRowStep, &sum, shape)
                tap(1, 0, x, weights, weightRowStep, &sum, shape)
                tap(1, 1, x, weights, weightRowStep, &sum, shape)
                tap(1, 2, x, weights, weightRowStep, &sum, shape)
                tap(1, 3, x, weights, weightRowStep, &sum, shape)
                tap(1, 4, x, weights, weightRowStep, &sum, shape)
                tap(2, 0, x, weights, weightRowStep, &sum, shape)
                tap(2, 1, x, weights, weightRowStep, &sum, shape)
                tap(2, 2, x, weights, weightRowStep, &sum, shape)
                tap(2, 3, x, weights, weightRowStep, &sum, shape)
                tap(2, 4, x, weights, weightRowStep, &sum, shape)
                tap(3, 0, x, weights, weightRowStep, &sum, shape)
                tap(3, 1, x, weights, weightRowStep, &sum, shape)
                tap(3, 2, x, weights, weightRowStep, &sum, shape)
                tap(3, 3, x, weights, weightRowStep, &sum, shape)
                tap(3, 4, x, weights, weightRowStep, &sum, shape)
                tap(4, 0, x, weights, weightRowStep, &sum, shape)
                tap(4, 1, x, weights, weightRowStep, &sum, shape)
                tap(4, 2, x, weights, weightRowStep, &sum, shape)
                tap(4, 3, x, weights, weightRowStep, &sum, shape)
                tap(4, 4, x, weights, weightRowStep, &sum, shape)
            } else {
                inputRow(0, src, weights, weightRowStep, a, &sum, shape)
                if !multiplyAddIsFused, P &+ Q == 2, M &* N == 9 {
                    // Their first inputs come now: until then the compiler would keep the bias, and spill.
                    let again = bias.map { load(loadedAnew($0)) } ?? Vector(repeating: 0)
                    for n in 0..<N { sum[M &- 1][n] = again }
                }
                inputRow(1, src, weights, weightRowStep, a, &sum, shape)
                inputRow(2, src, weights, weightRowStep, a, &sum, shape)
            }
            if activation == .relu {
                for m in 0..<M {
                    for n in 0..<N { sum[m][n] = rectified(sum[m][n]) }
                }
            }
            for m in 0..<M {
                for n in 0..<N { store(dst + (m &* a.dstRowStep &+ n &* a.dstStep), sum[m][n]) }
            }
            src += a.srcGroupStep
            weights += a.weightGroupStep
            dst += a.dstGroupStep
            if let p = bias { bias = p + a.biasGroupStep }
        }
        activateStored(
            rows: M, pixels: N, firstDst, rowStep: a.dstRowStep, step: a.dstStep, groups: a.groups, groupStep: a.dstGroupStep, activation)
        firstSrc += a.srcRepeatStep
        firstDst += a.dstRepeatStep
    }
}

/// One tap: its weight times every input that it joins with an output.
@inline(__always)
private func tap<let M: Int, let N: Int, let P: Int, let Q: Int>(
    _ row: Int, _ column: Int, _ x: borrowing TileShape<M, N>, _ weights: UnsafePointer<Float>, _ weightRowStep: Int,
    _ sum: inout TileShape<M, N>, _ shape: WholePhaseShape<M, N, P, Q>.Type
) {
    guard row <= 2 * P, column <= 2 * Q else { return }
    let weight = load(weights + (row &* weightRowStep &+ column &* lanes))
    for m in 0..<M {
        for n in 0..<N {
            let (i, j) = (m + row - P, n + column - Q)
            if i >= 0, i < M, j >= 0, j < N { sum[m][n] = multiplyAdd(x[i][j], weight, sum[m][n]) }
        }
    }
}

/// One row of inputs into the rows of sums that it lies under: of the inputs only N are in registers, and a weight is loaded for every
/// row of sums that it serves.
@inline(__always)
private func inputRow<let M: Int, let N: Int, let P: Int, let Q: Int>(
    _ i: Int, _ src: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, _ weightRowStep: Int, _ a: borrowing PhaseTileArguments,
    _ sum: inout TileShape<M, N>, _ shape: WholePhaseShape<M, N, P, Q>.Type
) {
    guard i < M else { return }
    var x = zeros(InlineArray<N, Vector>.self)
    for n in 0..<N { x[n] = load(src + (i &* a.rowStep &+ n &* a.step)) }
    let anew = loadedAnew(weights)
    if Q < 2, multiplyAddIsFused || M * N < 9 {
        // All rows of sums in turn: so few instructions wait for one another.
        for m in 0..<M { rowTap(i, m, 0, x, anew, weightRowStep, &sum, shape) }
        for m in 0..<M { rowTap(i, m, 1, x, anew, weightRowStep, &sum, shape) }
        for m in 0..<M { rowTap(i, m, 2, x, anew, weightRowStep, &sum, shape) }
    } else {
        // The weights of several rows at once would be too many registers.
        for m in 0..<M {
            rowTap(i, m, 0, x, anew, weightRowStep, &sum, shape)
            rowTap(i, m, 1, x, anew, weightRowStep, &sum, shape)
            rowTap(i, m, 2, x, anew, weightRowStep, &sum, shape)
            rowTap(i, m, 3, x, anew, weightRowStep, &sum, shape)
            rowTap(i, m, 4, x, anew, weightRowStep, &sum, shape)
        }
    }
}

/// One tap between the inputs of row `i` and the sums of row `m`.
@inline(__always)
private func rowTap<let M: Int, let N: Int, let P: Int, let Q: Int>(
    _ i: Int, _ m: Int, _ column: Int, _ x: borrowing InlineArray<N, Vector>, _ weights: UnsafePointer<Float>, _ weightRowStep: Int,
    _ sum: inout TileShape<M, N>, _ shape: WholePhaseShape<M, N, P, Q>.Type
) {
    let row = i - m + P
    guard row >= 0, row <= 2 * P, column <= 2 * Q else { return }
    let weight = load(weights + (row &* weightRowStep &+ column &* lanes))
    for n in 0..<N {
        let j = n + column - Q
        if j >= 0, j < N { sum[m][n] = multiplyAdd(x[j], weight, sum[m][n]) }
    }
}

@inline(never)
private func run<let M: Int, let N: Int, let P: Int, let Q: Int>(
    _ a: borrowing PhaseTileArguments, _ shape: WholePhaseShape<M, N, P, Q>.Type
) {
    wholePhase(a, shape)
}

/// Whether A × B weights fit the registers beside all inputs, all sums and what these begin with.
@inline(__always)
private func holdsWeights(_ m: Int, _ n: Int, _ a: Int, _ b: Int) -> Bool { 2 &* m &* n &+ a &* b &+ 2 <= vectorRegisters }

/// The same under A × B taps for phases that share their weights, those of a block of channels: the weights stay in registers, too, and
/// of what M · N = 4 outputs load, 13 inputs and weights, 4 are left. Asking for the outputs of later phases before the sums: no gain.
@inline(__always)
private func alikePhases<let M: Int, let N: Int, let A: Int, let B: Int>(
    _ a: borrowing PhaseTileArguments, _ taps: TileShape<A, B>.Type, _ phase: TileShape<M, N>.Type
) {
    var firstSrc = a.src + (A / 2) &* a.rowStep + (B / 2) &* a.step
    var firstDst = a.dst
    let activation = a.activation
    let start = a.bias.map { load($0) } ?? Vector(repeating: 0)
    var weight = TileShape<A, B>(repeating: InlineArray(repeating: start))
    for i in 0..<A {
        for j in 0..<B { weight[i][j] = load(a.weights + (i &* a.weightRowStep &+ j &* lanes)) }
    }
    for _ in 0..<a.repeats {
        var src = firstSrc
        var dst = firstDst
        for _ in 0..<a.groups {
            var sum = TileShape<M, N>(repeating: InlineArray(repeating: start))
            var x = sum
            for m in 0..<M {
                for n in 0..<N { x[m][n] = load(src + (m &* a.rowStep &+ n &* a.step)) }
            }
            heldTapRow(0, x, weight, &sum)
            heldTapRow(1, x, weight, &sum)
            heldTapRow(2, x, weight, &sum)
            heldTapRow(3, x, weight, &sum)
            heldTapRow(4, x, weight, &sum)
            finishTile(&sum, dst, rowStep: a.dstRowStep, step: a.dstStep, activation)
            src += a.srcGroupStep
            dst += a.dstGroupStep
        }
        activateStored(
            rows: M, pixels: N, firstDst, rowStep: a.dstRowStep, step: a.dstStep, groups: a.groups, groupStep: a.dstGroupStep, activation)
        firstSrc += a.srcRepeatStep
        firstDst += a.dstRepeatStep
    }
}

@inline(__always)
private func heldTapRow<let M: Int, let N: Int, let A: Int, let B: Int>(
    _ row: Int, _ x: borrowing TileShape<M, N>, _ weight: borrowing TileShape<A, B>, _ sum: inout TileShape<M, N>
) {
    heldTap(row, 0, x, weight, &sum)
    heldTap(row, 1, x, weight, &sum)
    heldTap(row, 2, x, weight, &sum)
    heldTap(row, 3, x, weight, &sum)
    heldTap(row, 4, x, weight, &sum)
}

@inline(__always)
private func heldTap<let M: Int, let N: Int, let A: Int, let B: Int>(
    _ row: Int, _ column: Int, _ x: borrowing TileShape<M, N>, _ weight: borrowing TileShape<A, B>, _ sum: inout TileShape<M, N>
) {
    guard row < A, column < B else { return }
    for m in 0..<M {
        for n in 0..<N {
            let (i, j) = (m + row - A / 2, n + column - B / 2)
            if i >= 0, i < M, j >= 0, j < N { sum[m][n] = multiplyAdd(x[i][j], weight[row][column], sum[m][n]) }
        }
    }
}

@inline(never)
private func runAlike<let M: Int, let N: Int, let A: Int, let B: Int>(
    _ a: borrowing PhaseTileArguments, _ taps: TileShape<A, B>.Type, _ phase: TileShape<M, N>.Type
) {
    guard holdsWeights(M, N, A, B) else { return }
    alikePhases(a, taps, phase)
}

/// The number of a tile's extent along an axis; nil where it is no whole phase, or one that is not compiled.
func wholePhaseExtent(_ tile: Axis.PhaseTile) -> Int? {
    guard let radius = tile.wholePhaseRadius else { return nil }
    switch (tile.count, radius) {
    case (1, 0): return 0
    case (2, 1): return 1
    case (3, 1): return 2
    case (3, 2): return 3
    default: return nil
    }
}

/// Runs the tile of a phase whose extents along the rows and along a row have these numbers.
@inline(__always)
func runWholePhase(_ rows: Int, _ columns: Int, _ a: borrowing PhaseTileArguments) {
    if vectorRegisters == 32, a.weightGroupStep == 0 {
        switch rows &* 4 &+ columns {
        case 5: return runAlike(a, TileShape<3, 3>.self, TileShape<2, 2>.self)
        case 6: return runAlike(a, TileShape<3, 3>.self, TileShape<2, 3>.self)
        case 7: return runAlike(a, TileShape<3, 5>.self, TileShape<2, 3>.self)
        case 9: return runAlike(a, TileShape<3, 3>.self, TileShape<3, 2>.self)
        case 10: return runAlike(a, TileShape<3, 3>.self, TileShape<3, 3>.self)
        case 13: return runAlike(a, TileShape<5, 3>.self, TileShape<3, 2>.self)
        default: break
        }
    }
    switch rows &* 4 &+ columns {
    case 0: run(a, WholePhaseShape<1, 1, 0, 0>.self)
    case 1: run(a, WholePhaseShape<1, 2, 0, 1>.self)
    case 2: run(a, WholePhaseShape<1, 3, 0, 1>.self)
    case 3: run(a, WholePhaseShape<1, 3, 0, 2>.self)
    case 4: run(a, WholePhaseShape<2, 1, 1, 0>.self)
    case 5: run(a, WholePhaseShape<2, 2, 1, 1>.self)
    case 6: run(a, WholePhaseShape<2, 3, 1, 1>.self)
    case 7: run(a, WholePhaseShape<2, 3, 1, 2>.self)
    case 8: run(a, WholePhaseShape<3, 1, 1, 0>.self)
    case 9: run(a, WholePhaseShape<3, 2, 1, 1>.self)
    case 10: run(a, WholePhaseShape<3, 3, 1, 1>.self)
    case 11: run(a, WholePhaseShape<3, 3, 1, 2>.self)
    case 12: run(a, WholePhaseShape<3, 1, 2, 0>.self)
    case 13: run(a, WholePhaseShape<3, 2, 2, 1>.self)
    case 14: run(a, WholePhaseShape<3, 3, 2, 1>.self)
    case 15: run(a, WholePhaseShape<3, 3, 2, 2>.self)
    default: preconditionFailure("no such tile")
    }
}
