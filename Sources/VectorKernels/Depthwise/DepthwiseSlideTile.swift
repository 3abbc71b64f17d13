import ConvCore
import CVector

/// R rows of three taps.
private typealias SlideTaps<let R: Int> = TileShape<R, 3>

@inline(never)
private func slide<let R: Int>(_ a: borrowing LineArguments, _ shape: SlideTaps<R>.Type) {
    var weight = zeros(shape)
    for r in 0..<R {
        for k in 0..<3 { weight[r][k] = load(a.weights + (r &* 3 &+ k) &* lanes) }
    }
    let least = load(a.least)
    var src = a.src
    var dst = a.dst
    for phase in 0..<a.phases {
        slidePhase(phase < a.longest ? a.places : a.places &- 1, weight, a, src, dst, least)
        src += Layout.blockChannels
        dst += Layout.blockChannels
    }
}

/// An input goes into the sums of the output to its left, of its own and of the one to its right. Nothing is computed in the padding.
@inline(__always)
private func slidePhase<let R: Int>(
    _ places: Int, _ weight: borrowing SlideTaps<R>, _ a: borrowing LineArguments, _ src: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>,
    _ least: Vector
) {
    var x = src
    var out = dst
    let (step, rowStep, ahead) = (a.step, a.rowStep, a.ahead)
    atrous_prefetch(x + ahead)
    var on = load(a.starts)
    var right = on
    for r in 0..<R {
        let value = load(x + r &* rowStep)
        on = multiplyAdd(value, weight[r][1], on)
        right = multiplyAdd(value, weight[r][0], right)
    }
    if places > 1 {
        var left = on
        on = right
        let last = x + (places &- 1) &* step
        x = loadedAnew(x + step)
        while x != last {
            atrous_prefetch(x + ahead)
            right = load(a.starts)
            for r in 0..<R {
                let value = load(x + r &* rowStep)
                left = multiplyAdd(value, weight[r][2], left)
                on = multiplyAdd(value, weight[r][1], on)
                right = multiplyAdd(value, weight[r][0], right)
            }
            store(out, atLeast(left, least))
            left = on
            on = right
            // Else the compiler unrolls the loop.
            x = loadedAnew(x + step)
            out += step
        }
        atrous_prefetch(x + ahead)
        for r in 0..<R {
            let value = load(x + r &* rowStep)
            left = multiplyAdd(value, weight[r][2], left)
            on = multiplyAdd(value, weight[r][1], on)
        }
        store(out, atLeast(left, least))
        out += step
    }
    store(out, atLeast(on, least))
}

/// Computes a row of outputs.
@inline(__always)
func runSlide(_ a: borrowing LineArguments) {
    switch a.tapRows {
    case 1: slide(a, SlideTaps<1>.self)
    case 2: slide(a, SlideTaps<2>.self)
    default: slide(a, SlideTaps<3>.self)
    }
}
