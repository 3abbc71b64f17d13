import ConvCore
import CVector

/// All M × N pixels of a phase under K × K taps, among which are all that meet the phase; only the type is used.
private enum PatchShape<let M: Int, let N: Int, let K: Int> {}
/// K × K taps.
private enum PatchTaps<let K: Int> {}

/// Neighbouring phases, `a.phases` of them, each whole: every input in a register for all outputs of its phase, the sums of all of them beside it.
///
/// The weights of an output's own tap and of its four neighbours are held, which most products take; the others are operands from L1.
@inline(never)
private func patch<let M: Int, let N: Int, let K: Int>(_ a: inout LineArguments, _ shape: PatchShape<M, N, K>.Type) {
    for inBlock in 0..<blockVectors {
        let weights = a.weights + inBlock &* K &* K &* lanes
        var held = zeros(TileShape<3, 3>.self)
        for i in 0..<3 {
            for j in 0..<3 { held[i][j] = load(weights + ((i &+ K / 2 &- 1) &* K &+ j &+ K / 2 &- 1) &* lanes) }
        }
        let ahead = a.ahead &+ inBlock &* asks(rows: M) &* a.rowStep
        var operands = LineOperands(starts: a.starts + inBlock &* lanes, weights: weights, leasts: a.least)
        var src = a.src + inBlock &* lanes
        var dst = a.dst + inBlock &* lanes
        let last = src + a.phases &* Layout.blockChannels
        repeat {
            var sum = zeros(TileShape<M, N>.self)
            for m in 0..<M {
                for n in 0..<N { sum[m][n] = operands.start() }
            }
            inputs(0, src, a, &operands, held, &sum, shape)
            inputs(1, src, a, &operands, held, &sum, shape)
            inputs(2, src, a, &operands, held, &sum, shape)
            let least = operands.least()
            outputs(0, src + ahead, dst, least, sum, a, shape)
            outputs(1, src + ahead, dst, least, sum, a, shape)
            outputs(2, src + ahead, dst, least, sum, a, shape)
            src = loadedAnew(src + Layout.blockChannels)
            dst += Layout.blockChannels
        } while src != last
    }
}

/// The inputs of row `i`.
@inline(__always)
private func inputs<let M: Int, let N: Int, let K: Int>(
    _ i: Int, _ src: UnsafePointer<Float>, _ a: borrowing LineArguments, _ operands: inout LineOperands,
    _ held: borrowing TileShape<3, 3>, _ sum: inout TileShape<M, N>, _ shape: PatchShape<M, N, K>.Type
) {
    guard i < M else { return }
    let row = loadedAnew(src + i &* a.rowStep)
    input(i, 0, row, a, &operands, held, &sum, shape)
    input(i, 1, row, a, &operands, held, &sum, shape)
    input(i, 2, row, a, &operands, held, &sum, shape)
}

/// The outputs of row `m`; `asked` is what is asked for meanwhile.
@inline(__always)
private func outputs<let M: Int, let N: Int, let K: Int>(
    _ m: Int, _ asked: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>, _ least: Vector, _ sum: borrowing TileShape<M, N>,
    _ a: borrowing LineArguments, _ shape: PatchShape<M, N, K>.Type
) {
    guard m < M else { return }
    let row = dst + m &* a.rowStep
    for n in 0..<N {
        if m < asks(rows: M) { atrous_prefetch(asked + (m &* a.rowStep &+ n &* a.step)) }
        store(row + n &* a.step, atLeast(sum[m][n], least))
    }
}

/// One input under all taps that join it with an output of its phase.
@inline(__always)
private func input<let M: Int, let N: Int, let K: Int>(
    _ i: Int, _ j: Int, _ x: UnsafePointer<Float>, _ a: borrowing LineArguments, _ operands: inout LineOperands,
    _ held: borrowing TileShape<3, 3>, _ sum: inout TileShape<M, N>, _ shape: PatchShape<M, N, K>.Type
) {
    guard j < N else { return }
    // Else the compiler keeps in registers what it should not, and spills.
    operands.weights = loadedAnew(operands.weights)
    let value = load(x + j &* a.step)
    for m in 0..<M {
        let row = i &- m
        for n in 0..<N {
            let column = j &- n
            if row >= -(K / 2), row <= K / 2, column >= -(K / 2), column <= K / 2 {
                let isHeld = row &* row &+ column &* column <= 1
                let weight = isHeld ? held[row &+ 1][column &+ 1] : load(operands.weights + ((row &+ K / 2) &* K &+ column &+ K / 2) &* lanes)
                sum[m][n] = multiplyAdd(value, weight, sum[m][n])
            }
        }
    }
    if M &* N > 8 {
        for m in 0..<M {
            for n in 0..<N { sum[m][n] = settled(sum[m][n]) }
        }
    }
}

/// With 32 registers `dw-row-blocked` has larger phases compiled, of the maps that these are met in; on x86 below AVX2 there are no multiply-adds.
private let compilesPatches = vectorRegisters == 16

/// The most pixels of a phase either way: nine sums fit 16 registers.
let mostPatchPixels = 3

/// Whether all phases of a map that keeps its size are so small, and the taps that can meet them are compiled.
func computesPatches(_ p: Problem) -> Bool {
    guard compilesPatches, p.rows.longestPhase <= mostPatchPixels, p.columns.longestPhase <= mostPatchPixels else { return false }
    return patchTaps(p) == 3 ? p.kh >= 3 && p.kw >= 3 : p.kh >= 5 && p.kw >= 5
}

/// Rows, and columns, of the taps that are kept: all that can meet a phase are among them.
func patchTaps(_ p: Problem) -> Int { p.kh == 3 && p.kw == 3 || max(p.rows.longestPhase, p.columns.longestPhase) <= 2 ? 3 : 5 }

/// Closes up their weights, of each vector of `[vector][kh][kw][lane]`.
func keepPatchTaps(_ p: Problem, _ weights: UnsafePointer<Float>) {
    let weights = UnsafeMutablePointer(mutating: weights)
    let taps = patchTaps(p)
    let (top, left) = (p.kh / 2 - taps / 2, p.kw / 2 - taps / 2)
    for vector in 0..<p.ic / lanes {
        for r in 0..<taps {
            for c in 0..<taps {
                let from = ((vector * p.kh + top + r) * p.kw + left + c) * lanes
                let to = ((vector * taps + r) * taps + c) * lanes
                for lane in 0..<lanes { weights[to + lane] = weights[from + lane] }
            }
        }
    }
}

/// The parts of a row: its longer phases and the others.
func patchParts(_ p: Problem) -> [LinePart] {
    let (places, longest) = (p.columns.longestPhase, p.columns.longestPhases)
    let longer: [LinePart] = [(pixel: 0, phases: longest, shape: places)]
    return places > 1 && longest < p.dilationW ? longer + [(pixel: longest, phases: p.dilationW - longest, shape: places - 1)] : longer
}

/// Computes `a.rows` rows of neighbouring phases of so many pixels, whole phases both.
@inline(__always)
func runPatch(pixels: Int, taps: Int, _ a: inout LineArguments) {
    guard compilesPatches else { preconditionFailure("no such phases") }
    if taps == 3 { runPatch(pixels, &a, PatchTaps<3>.self) } else { runPatch(pixels, &a, PatchTaps<5>.self) }
}

@inline(__always)
private func runPatch<let K: Int>(_ pixels: Int, _ a: inout LineArguments, _ taps: PatchTaps<K>.Type) {
    switch a.rows * 4 + pixels {
    case 5: patch(&a, PatchShape<1, 1, K>.self)
    case 6: patch(&a, PatchShape<1, 2, K>.self)
    case 7: patch(&a, PatchShape<1, 3, K>.self)
    case 9: patch(&a, PatchShape<2, 1, K>.self)
    case 10: patch(&a, PatchShape<2, 2, K>.self)
    case 11: patch(&a, PatchShape<2, 3, K>.self)
    case 13: patch(&a, PatchShape<3, 1, K>.self)
    case 14: patch(&a, PatchShape<3, 2, K>.self)
    case 15: patch(&a, PatchShape<3, 3, K>.self)
    default: preconditionFailure("no such phases")
    }
}
