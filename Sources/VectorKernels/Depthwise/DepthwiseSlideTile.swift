import ConvCore
import CVector

/// G rows of outputs from R rows of inputs, the first of which lies under row T of the first one's taps; only the type is used.
private enum SlideShape<let G: Int, let T: Int, let R: Int> {}
/// One sum for each of them.
private typealias Sums<let G: Int> = InlineArray<G, Vector>
/// Which outputs the inputs of a place go into: to its left, of its own, to its right.
private typealias Into = (left: Bool, own: Bool, right: Bool)

/// `a` is `inout` because Swift would copy it as a whole to lend it.
@inline(never)
private func slide<let G: Int, let T: Int, let R: Int>(_ a: inout LineArguments, _ shape: SlideShape<G, T, R>.Type) {
    // Else no kernel comes here, and there is nothing to compile.
    guard G <= mostSlideRows else { return }
    for inBlock in 0..<blockVectors {
        var weight = zeros(TileShape<3, 3>.self)
        for r in 0..<3 {
            for k in 0..<3 { weight[r][k] = load(a.weights + (inBlock &* 9 &+ r &* 3 &+ k) &* lanes) }
        }
        let ahead = a.ahead &+ inBlock &* asks(rows: G) &* a.rowStep
        var operands = LineOperands(
            starts: a.starts + inBlock &* lanes, weights: a.weights + inBlock &* 9 &* lanes, leasts: a.least)
        var src = a.src + inBlock &* lanes
        var dst = a.dst + inBlock &* lanes
        var reach = (a.places &- 1) &* a.step
        for phase in 0..<a.phases {
            if phase == a.longest { reach = reach &- a.step }
            slidePhase(reach, ahead, weight, a, &operands, src, dst, shape)
            src += Layout.blockChannels
            dst += Layout.blockChannels
        }
    }
}

/// An input goes into the sums of the output to its left, of its own and of the one to its right. Nothing is computed in the padding. `reach`: from the
/// first pixel to the last.
///
/// The sums take turns from place to place, three places a round, so that none is moved: at 8 lanes a CPU whose core is shared has no
/// instructions to spare.
@inline(__always)
private func slidePhase<let G: Int, let T: Int, let R: Int>(
    _ reach: Int, _ ahead: Int, _ weight: borrowing TileShape<3, 3>, _ a: borrowing LineArguments, _ operands: inout LineOperands,
    _ src: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>, _ shape: SlideShape<G, T, R>.Type
) {
    var x = src
    var out = dst
    let step = a.step
    // What the next output to be stored is, the one after it, and the one that begins.
    var first = zeros(Sums<G>.self)
    var second = zeros(Sums<G>.self)
    var third = zeros(Sums<G>.self)
    ask(x + ahead, a, shape)
    begin(&first, &operands)
    if a.hasLeft { column(x - step, weight, a, &operands, &third, &second, &first, into: (left: false, own: false, right: true), shape) }
    begin(&second, &operands)
    column(x, weight, a, &operands, &third, &first, &second, into: (left: false, own: true, right: true), shape)
    if reach == 0 { return finishLast(x, out, weight, a, &operands, &first, shape) }
    let last = x + reach
    // Else the compiler makes other rounds of it.
    x = loadedAnew(x + step)
    let lastRound = last - 2 &* step
    while x < lastRound {
        place(x, out, ahead, weight, a, &operands, &first, &second, &third, shape)
        x = loadedAnew(x + step)
        out += step
        place(x, out, ahead, weight, a, &operands, &second, &third, &first, shape)
        x = loadedAnew(x + step)
        out += step
        place(x, out, ahead, weight, a, &operands, &third, &first, &second, shape)
        x = loadedAnew(x + step)
        out += step
    }
    if x == last { return end(x, out, ahead, weight, a, &operands, &first, &second, shape) }
    place(x, out, ahead, weight, a, &operands, &first, &second, &third, shape)
    x = loadedAnew(x + step)
    out += step
    if x == last { return end(x, out, ahead, weight, a, &operands, &second, &third, shape) }
    place(x, out, ahead, weight, a, &operands, &second, &third, &first, shape)
    x = loadedAnew(x + step)
    out += step
    end(x, out, ahead, weight, a, &operands, &third, &first, shape)
}

/// The last place of a phase: two outputs are complete.
@inline(__always)
private func end<let G: Int, let T: Int, let R: Int>(
    _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ ahead: Int, _ weight: borrowing TileShape<3, 3>, _ a: borrowing LineArguments,
    _ operands: inout LineOperands, _ left: inout Sums<G>, _ on: inout Sums<G>, _ shape: SlideShape<G, T, R>.Type
) {
    var none = zeros(Sums<G>.self)
    ask(x + ahead, a, shape)
    column(x, weight, a, &operands, &left, &on, &none, into: (left: true, own: true, right: false), shape)
    finish(left, out, a, &operands)
    finishLast(x, out + a.step, weight, a, &operands, &on, shape)
}

/// The outputs of the last place, which the inputs to the right of it, if there are any, go into.
@inline(__always)
private func finishLast<let G: Int, let T: Int, let R: Int>(
    _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ weight: borrowing TileShape<3, 3>, _ a: borrowing LineArguments,
    _ operands: inout LineOperands, _ sum: inout Sums<G>, _ shape: SlideShape<G, T, R>.Type
) {
    if a.hasRight {
        var (none, other) = (zeros(Sums<G>.self), zeros(Sums<G>.self))
        column(x + a.step, weight, a, &operands, &sum, &none, &other, into: (left: true, own: false, right: false), shape)
    }
    finish(sum, out, a, &operands)
}

/// The inputs of a place into all sums; those to the left are complete then.
@inline(__always)
private func place<let G: Int, let T: Int, let R: Int>(
    _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ ahead: Int, _ weight: borrowing TileShape<3, 3>, _ a: borrowing LineArguments,
    _ operands: inout LineOperands, _ left: inout Sums<G>, _ on: inout Sums<G>, _ right: inout Sums<G>, _ shape: SlideShape<G, T, R>.Type
) {
    ask(x + ahead, a, shape)
    begin(&right, &operands)
    column(x, weight, a, &operands, &left, &on, &right, into: (left: true, own: true, right: true), shape)
    finish(left, out, a, &operands)
}

@inline(__always)
private func column<let G: Int, let T: Int, let R: Int>(
    _ x: UnsafePointer<Float>, _ weight: borrowing TileShape<3, 3>, _ a: borrowing LineArguments, _ operands: inout LineOperands,
    _ left: inout Sums<G>, _ on: inout Sums<G>, _ right: inout Sums<G>, into: Into, _ shape: SlideShape<G, T, R>.Type
) {
    // Written out: the compiler does not unroll a loop over them at every level.
    input(0, x, weight, a, &operands, &left, &on, &right, into: into, shape)
    input(1, x, weight, a, &operands, &left, &on, &right, into: into, shape)
    input(2, x, weight, a, &operands, &left, &on, &right, into: into, shape)
    input(3, x, weight, a, &operands, &left, &on, &right, into: into, shape)
    input(4, x, weight, a, &operands, &left, &on, &right, into: into, shape)
}

@inline(__always)
private func input<let G: Int, let T: Int, let R: Int>(
    _ r: Int, _ x: UnsafePointer<Float>, _ weight: borrowing TileShape<3, 3>, _ a: borrowing LineArguments,
    _ operands: inout LineOperands, _ left: inout Sums<G>, _ on: inout Sums<G>, _ right: inout Sums<G>, into: Into, _ shape: SlideShape<G, T, R>.Type
) {
    guard r < R else { return }
    if !holdsAllWeights(rows: G) { operands.weights = loadedAnew(operands.weights) }
    let value = load(x + r &* a.rowStep)
    for g in 0..<G {
        let tap = r &+ T &- g
        if tap >= 0, tap < 3 {
            if into.left { left[g] = multiplyAdd(value, weight[tap][2], left[g]) }
            if into.own { on[g] = multiplyAdd(value, weight[tap][1], on[g]) }
            if into.right {
                let first = holdsAllWeights(rows: G) ? weight[tap][0] : load(operands.weights + (tap &* 3) &* lanes)
                right[g] = multiplyAdd(value, first, right[g])
            }
        }
    }
    // In this order: the compiler would load all inputs first, and spill.
    if vectorRegisters < 32 {
        for g in 0..<G {
            if into.left { left[g] = settled(left[g]) }
            if into.own { on[g] = settled(on[g]) }
            if into.right { right[g] = settled(right[g]) }
        }
    }
}

@inline(__always)
private func ask<let G: Int, let T: Int, let R: Int>(_ x: UnsafePointer<Float>, _ a: borrowing LineArguments, _ shape: SlideShape<G, T, R>.Type) {
    for row in 0..<asks(rows: G) { atrous_prefetch(x + row &* a.rowStep) }
}

@inline(__always)
private func begin<let G: Int>(_ sum: inout Sums<G>, _ operands: inout LineOperands) {
    for g in 0..<G { sum[g] = operands.start() }
}

@inline(__always)
private func finish<let G: Int>(
    _ sum: borrowing Sums<G>, _ out: UnsafeMutablePointer<Float>, _ a: borrowing LineArguments, _ operands: inout LineOperands
) {
    let least = operands.least()
    for g in 0..<G { store(out + g &* a.rowStep, atLeast(sum[g], least)) }
}

/// Whether all weights have registers beside three sums of each row and an input; else those of the first column are operands from L1.
@inline(__always)
private func holdsAllWeights(rows: Int) -> Bool { 9 &+ 3 &* rows &+ 1 <= vectorRegisters }

/// The most rows of outputs together.
let mostSlideRows = vectorRegisters >= 16 ? 3 : 1

/// Computes rows of outputs.
@inline(__always)
func runSlide(_ a: inout LineArguments) {
    switch a.rows {
    case 1: runSlide(&a, SlideShape<1, 0, 3>.self, SlideShape<1, 1, 2>.self, SlideShape<1, 0, 2>.self, SlideShape<1, 1, 1>.self)
    case 2: runSlide(&a, SlideShape<2, 0, 4>.self, SlideShape<2, 1, 3>.self, SlideShape<2, 0, 3>.self, SlideShape<2, 1, 2>.self)
    case 3: runSlide(&a, SlideShape<3, 0, 5>.self, SlideShape<3, 1, 4>.self, SlideShape<3, 0, 4>.self, SlideShape<3, 1, 3>.self)
    default: preconditionFailure("no such rows")
    }
}

/// In the midst of a map, at its top, at its bottom, and all of its phase.
@inline(__always)
private func runSlide<let G: Int, let M: Int, let N: Int, let L: Int>(
    _ a: inout LineArguments, _ midst: SlideShape<G, 0, M>.Type, _ top: SlideShape<G, 1, N>.Type, _ bottom: SlideShape<G, 0, N>.Type,
    _ all: SlideShape<G, 1, L>.Type
) {
    if a.tap == 0 {
        if a.inputRows == M { slide(&a, midst) } else { slide(&a, bottom) }
    } else {
        if a.inputRows == N { slide(&a, top) } else { slide(&a, all) }
    }
}
