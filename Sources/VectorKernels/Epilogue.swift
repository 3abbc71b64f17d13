import ConvCore

/// e^x in single precision: x = n·ln 2 + r, a degree-6 polynomial for e^r, times 2ⁿ; the whole range of floats comes out,
/// 0 and ∞ at its ends.
/// Source of the split constants and coefficients: S. Moshier, Cephes, `expf.c`. About 2 ulp.
@inline(__always)
private func exponential(_ x: Vector) -> Vector {
    // Beyond ±104 the result is 0 or ∞ anyway.
    let clamped = smaller(larger(x, Vector(repeating: -104)), Vector(repeating: 104))
    // Adding 1.5·2²³ rounds to an integer.
    let magic = Vector(repeating: 0x1.8p23)
    let shifted = multiplyAdd(clamped, Vector(repeating: 1.442_695_04), magic)
    let n = shifted - magic
    let r = multiplyAdd(n, Vector(repeating: 2.121_944_4e-4), multiplyAdd(n, Vector(repeating: -0.693_359_375), clamped))
    var p = Vector(repeating: 1.987_569_15e-4)
    p = multiplyAdd(p, r, Vector(repeating: 1.398_199_95e-3))
    p = multiplyAdd(p, r, Vector(repeating: 8.333_451_9e-3))
    p = multiplyAdd(p, r, Vector(repeating: 4.166_579_6e-2))
    p = multiplyAdd(p, r, Vector(repeating: 1.666_666_55e-1))
    p = multiplyAdd(p, r, Vector(repeating: 0.5))
    p = multiplyAdd(p, r * r, r + 1)
    return scale(p, byPowerOfTwo: n)
}

/// The activation of a vector of sums.
@inline(__always)
func activate(_ x: Vector, _ activation: Activation) -> Vector {
    switch activation {
    case .none: x
    case .relu: larger(x, Vector(repeating: 0))
    case .silu: x / (exponential(-x) + 1)
    case .hardswish: x * smaller(larger(x + 3, Vector(repeating: 0)), Vector(repeating: 6)) * Vector(repeating: 1 / 6)
    }
}

/// Applies the activation to `rows` rows of `columns` values that lie `stride` floats apart, in place.
@inline(never)
func activateTile(
    _ c: UnsafeMutablePointer<Float>, rows: Int, columns: Int, stride: Int, _ activation: Activation
) {
    guard stride != columns else { return finishRow(c, count: rows * columns, bias: 0, activation: activation) }
    for row in 0..<rows { finishRow(c + row * stride, count: columns, bias: 0, activation: activation) }
}

/// dst[i] = activation(dst[i] + bias) over a row of `count` values, in place: the epilogue of kernels that leave their
/// sums in memory.
public func finishRow(_ dst: UnsafeMutablePointer<Float>, count: Int, bias: Float, activation: Activation) {
    switch activation {
    case .none: finishRowPlain(dst, count, bias)
    case .relu: finishRowReLU(dst, count, bias)
    case .silu: finishRowSiLU(dst, count, bias)
    case .hardswish: finishRowHardswish(dst, count, bias)
    }
}

// One function per activation, not inlined: merged into one loop, they would choose anew for every vector.

@inline(never)
private func finishRowPlain(_ dst: UnsafeMutablePointer<Float>, _ count: Int, _ bias: Float) {
    finish(dst, count, bias, .none)
}

@inline(never)
private func finishRowReLU(_ dst: UnsafeMutablePointer<Float>, _ count: Int, _ bias: Float) {
    finish(dst, count, bias, .relu)
}

@inline(never)
private func finishRowSiLU(_ dst: UnsafeMutablePointer<Float>, _ count: Int, _ bias: Float) {
    finish(dst, count, bias, .silu)
}

@inline(never)
private func finishRowHardswish(_ dst: UnsafeMutablePointer<Float>, _ count: Int, _ bias: Float) {
    finish(dst, count, bias, .hardswish)
}

@inline(__always)
private func finish(_ dst: UnsafeMutablePointer<Float>, _ count: Int, _ bias: Float, _ activation: Activation) {
    let offset = Vector(repeating: bias)
    var i = 0
    while i <= count &- lanes {
        store(dst + i, activate(load(dst + i) + offset, activation))
        i &+= lanes
    }
    guard i < count else { return }
    storeLanes(dst + i, activate(loadLanes(dst + i, 0, count &- i) + offset, activation), count &- i)
}
