import ConvCore
import CVector

/// What a row of outputs is computed from: rows of inputs, a dilation apart. Steps are in floats.
struct SlideArguments {
    /// The first pixel of the first live row.
    var src: UnsafePointer<Float>
    /// The first live row's taps; the other rows' lie behind.
    var weights: UnsafePointer<Float>
    /// What the sums begin with: bias or zero.
    var starts: UnsafePointer<Float>
    var dst: UnsafeMutablePointer<Float>
    /// From one row of inputs to the next, and from one pixel of a phase to the next.
    var rowStep, step: Int
    /// The pixels of the longest phases of the row, and how many phases have as many; the others have one pixel less.
    var places, longest, phases: Int
    /// From the first row's inputs to those that are asked for meanwhile; may be zero.
    var ahead: Int
    var activation: Activation
}

/// R rows of three taps; only the type is used.
typealias SlideTaps<let R: Int> = TileShape<R, 3>

@inline(never)
private func slide<let R: Int>(_ a: borrowing SlideArguments, _ shape: SlideTaps<R>.Type) {
    var weight = zeros(shape)
    for r in 0..<R {
        for k in 0..<3 { weight[r][k] = load(a.weights + (r &* 3 &+ k) &* lanes) }
    }
    let least = Vector(repeating: a.activation == .relu ? 0 : -.infinity)
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
    _ places: Int, _ weight: borrowing SlideTaps<R>, _ a: borrowing SlideArguments, _ src: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>,
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
            // Else the compiler makes several pixels of it.
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

/// Computes a row of outputs under so many rows of taps.
@inline(__always)
func runSlide(_ tapRows: Int, _ a: borrowing SlideArguments) {
    switch tapRows {
    case 1: slide(a, SlideTaps<1>.self)
    case 2: slide(a, SlideTaps<2>.self)
    default: slide(a, SlideTaps<3>.self)
    }
}
