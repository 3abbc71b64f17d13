import ConvCore

/// x / (1 + e^−x) in single precision, about 3 ulp: −x = n·ln 2 + r, e^−x = 2ⁿ·e^r with a polynomial for e^r.
///
/// Below −88.72 e^−x overflows: the result is −0 there, or stays at −88.72·e^−88.72 = −2.6·10⁻³⁷. Beyond 87 e^−x no longer
/// counts. Between the two 2ⁿ·e^r is a normal number, so that n can go into its exponent by one addition.
///
/// A short chain counts more than few instructions: vectors are independent of each other, but the scheduler holds only some
/// five of them at once. So ln 2 is one factor where the product is not rounded (off by 2·10⁻⁹·n), and the polynomial
/// 1 + r + r²·(c₂ + …) is of degree 5, with the least largest relative error on |r| ≤ ln 2 / 2: 0.9 ulp.
/// Cycles of Zen 4 for 16 values: 12 on 16 lanes, of which the division takes 6; 14 on two times 8 lanes.
/// Lost: 2ⁿ in two factors, so as to reach subnormal numbers (21 on 8 lanes); degree 6 and ln 2 in two parts (a third slower);
/// an estimated reciprocal with a Newton step instead of the division (13 against 12; on Zen 5 e^−|x| with it nearly twice as
/// slow); a table of 32 powers of two in registers and degree 2 (10 in a loop by itself, nothing behind a convolution).
@inline(__always)
private func silu(_ x: Vector) -> Vector {
    let (x, limited) = exponentRange(x)
    // Adding 1.5·2²³ rounds to an integer.
    let magic = Vector(repeating: 0x1.8p23)
    let rounded = multiplyAdd(limited, Vector(repeating: -1.442_695_04), magic)
    let n = rounded - magic
    let r: Vector
    if multiplyAddIsFused {
        r = multiplyAdd(n, Vector(repeating: -0.693_147_18), -limited)
    } else {
        // In two parts, of which the first times n is exact (S. Moshier, Cephes, `expf.c`).
        r = multiplyAdd(n, Vector(repeating: 2.121_944_4e-4), multiplyAdd(n, Vector(repeating: -0.693_359_375), -limited))
    }
    var p = Vector(repeating: 8.312_502e-3)
    p = multiplyAdd(p, r, Vector(repeating: 4.189_033_4e-2))
    p = multiplyAdd(p, r, Vector(repeating: 1.666_711_6e-1))
    p = multiplyAdd(p, r, Vector(repeating: 4.999_923_1e-1))
    p = multiplyAdd(p, r, Vector(repeating: 1))
    p = multiplyAdd(p, r, Vector(repeating: 1))
    return x / (scale(p, byPowerOfTwo: rounded) + 1)
}

/// The activation of a vector of sums.
@inline(__always)
func activate(_ x: Vector, _ activation: Activation) -> Vector {
    switch activation {
    case .none: x
    case .relu: rectified(x)
    case .silu: silu(x)
    case .hardswish: x * smaller(rectified(x + 3), Vector(repeating: 6)) * Vector(repeating: 1 / 6)
    }
}

/// Applies the activation to `rows` rows of `columns` values that lie `stride` floats apart, in place.
func activateTile(
    _ c: UnsafeMutablePointer<Float>, rows: Int, columns: Int, stride: Int, _ activation: Activation
) {
    // Rows without a gap are one long row.
    let joined = stride == columns
    finishRows(
        c, rows: joined ? 1 : rows, columns: joined ? rows * columns : columns, stride: stride, bias: 0, activation)
}

/// dst[i] = activation(dst[i] + bias) over a row of `count` values, in place: the epilogue of kernels that leave their
/// sums in memory.
public func finishRow(_ dst: UnsafeMutablePointer<Float>, count: Int, bias: Float, activation: Activation) {
    finishRows(dst, rows: 1, columns: count, stride: count, bias: bias, activation)
}

private func finishRows(
    _ c: UnsafeMutablePointer<Float>, rows: Int, columns: Int, stride: Int, bias: Float, _ activation: Activation
) {
    switch activation {
    case .none: finishPlain(c, rows, columns, stride, bias)
    case .relu: finishReLU(c, rows, columns, stride, bias)
    case .silu: finishSiLU(c, rows, columns, stride, bias)
    case .hardswish: finishHardswish(c, rows, columns, stride, bias)
    }
}

// One function per activation, not inlined: merged into one loop, they would choose anew for every vector.

@inline(never)
private func finishPlain(_ c: UnsafeMutablePointer<Float>, _ rows: Int, _ columns: Int, _ stride: Int, _ bias: Float) {
    finish(c, rows, columns, stride, bias, .none)
}

@inline(never)
private func finishReLU(_ c: UnsafeMutablePointer<Float>, _ rows: Int, _ columns: Int, _ stride: Int, _ bias: Float) {
    finish(c, rows, columns, stride, bias, .relu)
}

@inline(never)
private func finishSiLU(_ c: UnsafeMutablePointer<Float>, _ rows: Int, _ columns: Int, _ stride: Int, _ bias: Float) {
    finish(c, rows, columns, stride, bias, .silu)
}

@inline(never)
private func finishHardswish(
    _ c: UnsafeMutablePointer<Float>, _ rows: Int, _ columns: Int, _ stride: Int, _ bias: Float
) {
    finish(c, rows, columns, stride, bias, .hardswish)
}

@inline(__always)
private func finish(
    _ c: UnsafeMutablePointer<Float>, _ rows: Int, _ columns: Int, _ stride: Int, _ bias: Float,
    _ activation: Activation
) {
    let offset = Vector(repeating: bias)
    var row = c
    for _ in 0..<rows {
        var i = 0
        while i <= columns &- lanes {
            store(row + i, activate(load(row + i) + offset, activation))
            i &+= lanes
        }
        if i < columns {
            storeLanes(row + i, activate(loadLanes(row + i, 0, columns &- i) + offset, activation), columns &- i)
        }
        row += stride
    }
}
