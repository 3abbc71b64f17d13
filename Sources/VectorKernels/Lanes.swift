import CVector

// The one file that knows which instruction set this copy of the folder is compiled for. Everything else takes the
// width of a vector from `lanes`.

#if ATROUS_X86_V4
typealias Vector = SIMD16<Float>
/// The suffix of every kernel name of this copy.
let isaName = "v4"
/// Vector registers: of a tile's sums and its operands together.
let vectorRegisters = 32
#elseif ATROUS_X86_V3
typealias Vector = SIMD8<Float>
let isaName = "v3"
let vectorRegisters = 16
#else
typealias Vector = SIMD4<Float>
let isaName = "baseline"
#if arch(arm64)
let vectorRegisters = 32
#else
/// 16, of which one holds the product that is then added: there is no fused instruction.
let vectorRegisters = 15
#endif
#endif

/// Whether ``multiplyAdd(_:_:_:)`` rounds once.
#if ATROUS_X86_V4 || ATROUS_X86_V3 || arch(arm64)
let multiplyAddIsFused = true
#else
let multiplyAddIsFused = false
#endif

/// Floats in a vector.
let lanes = Vector.scalarCount

/// A register tile of zeros, without a call: where a function grows long, the compiler calls `InlineArray(repeating:)`, which
/// every level then shares.
@inline(__always)
func zeros<Tile>(_ type: Tile.Type) -> Tile { atrous_zeros().load(as: type) }

/// The same address, of which the compiler no longer knows what was loaded from there: it loads again where it would spill.
@inline(__always)
func loadedAnew(_ p: UnsafePointer<Float>) -> UnsafePointer<Float> { atrous_loaded_anew(p) }

/// `v`, which is computed before anything that is loaded anew later on.
@inline(__always)
func settled(_ v: Vector) -> Vector {
    #if ATROUS_X86_V4
    atrous_settled16(v)
    #elseif ATROUS_X86_V3
    atrous_settled8(v)
    #else
    atrous_settled4(v)
    #endif
}

/// a·b + c in c's register: as ``multiplyAdd(_:_:_:)``, for tiles that fill the registers. Without a fused instruction the compiler may not order them,
/// 1 to 6 % slower where it would not have spilled.
@inline(__always)
func multiplyAddInPlace(_ a: Vector, _ b: Vector, _ c: Vector) -> Vector {
    #if ATROUS_X86_V4 || ATROUS_X86_V3
    multiplyAdd(a, b, c)
    #else
    atrous_multiply_add_in_place4(a, b, c)
    #endif
}

/// a·b + c, fused where the instruction set can.
@inline(__always)
func multiplyAdd(_ a: Vector, _ b: Vector, _ c: Vector) -> Vector {
    #if ATROUS_X86_V4
    atrous_multiply_add16(a, b, c)
    #elseif ATROUS_X86_V3
    atrous_multiply_add8(a, b, c)
    #else
    atrous_multiply_add4(a, b, c)
    #endif
}

/// x, or zero where x is less. What is not a number stays so, as in PyTorch: a sum that overflowed is not to pass for a zero.
@inline(__always)
func rectified(_ x: Vector) -> Vector { atLeast(x, Vector(repeating: 0)) }

/// x, or `least` where x is less. What is not a number stays so.
@inline(__always)
func atLeast(_ x: Vector, _ least: Vector) -> Vector {
    #if ATROUS_X86_V4
    atrous_at_least16(x, least)
    #elseif ATROUS_X86_V3
    atrous_at_least8(x, least)
    #else
    atrous_at_least4(x, least)
    #endif
}

@inline(__always)
func smaller(_ a: Vector, _ b: Vector) -> Vector {
    #if ATROUS_X86_V4
    atrous_min16(a, b)
    #elseif ATROUS_X86_V3
    atrous_min8(a, b)
    #else
    atrous_min4(a, b)
    #endif
}

/// x within the range in which e^−x is a normal number, for the division and for the exponent: where ``scale`` reaches
/// subnormal numbers and infinity, the first is x as it is. What is not a number stays so.
@inline(__always)
func exponentRange(_ x: Vector) -> (numerator: Vector, exponent: Vector) {
    #if ATROUS_X86_V4
    // Beyond ±104 the result is 0 or ∞ anyway.
    return (x, atrous_limit16(x, Vector(repeating: 104)))
    #elseif ATROUS_X86_V3
    let x = atrous_at_least8(x, Vector(repeating: -88.72))
    return (x, atrous_at_most8(x, Vector(repeating: 87)))
    #else
    let x = atrous_at_least4(x, Vector(repeating: -88.72))
    return (x, atrous_at_most4(x, Vector(repeating: 87)))
    #endif
}

/// a · 2ⁿ, where `rounded` holds 1.5·2²³ + n; for n that ``exponentRange(_:)`` lets through.
@inline(__always)
func scale(_ a: Vector, byPowerOfTwo rounded: Vector) -> Vector {
    #if ATROUS_X86_V4
    atrous_scale16(a, rounded)
    #elseif ATROUS_X86_V3
    atrous_scale8(a, rounded)
    #else
    atrous_scale4(a, rounded)
    #endif
}

/// Lanes `first ..< last` of memory, zero in the others; nothing outside them is read.
@inline(__always)
func loadLanes(_ p: UnsafePointer<Float>, _ first: Int, _ last: Int) -> Vector {
    #if ATROUS_X86_V4
    atrous_load_lanes16(p, Int32(truncatingIfNeeded: first), Int32(truncatingIfNeeded: last))
    #elseif ATROUS_X86_V3
    atrous_load_lanes8(p, Int32(truncatingIfNeeded: first), Int32(truncatingIfNeeded: last))
    #else
    atrous_load_lanes4(p, Int32(truncatingIfNeeded: first), Int32(truncatingIfNeeded: last))
    #endif
}

/// Writes the first `count` lanes.
@inline(__always)
func storeLanes(_ p: UnsafeMutablePointer<Float>, _ v: Vector, _ count: Int) {
    #if ATROUS_X86_V4
    atrous_store_lanes16(p, v, 0, Int32(truncatingIfNeeded: count))
    #elseif ATROUS_X86_V3
    atrous_store_lanes8(p, v, 0, Int32(truncatingIfNeeded: count))
    #else
    atrous_store_lanes4(p, v, 0, Int32(truncatingIfNeeded: count))
    #endif
}

@inline(__always)
func load(_ p: UnsafePointer<Float>) -> Vector {
    UnsafeRawPointer(p).loadUnaligned(as: Vector.self)
}

@inline(__always)
func store(_ p: UnsafeMutablePointer<Float>, _ v: Vector) {
    UnsafeMutableRawPointer(p).storeBytes(of: v, as: Vector.self)
}

/// Past the caches; p is aligned to the vector. Before others read it: `atrous_finish_stores()`.
@inline(__always)
func storePast(_ p: UnsafeMutablePointer<Float>, _ v: Vector) {
    #if ATROUS_X86_V4
    atrous_store_past16(p, v)
    #elseif ATROUS_X86_V3
    atrous_store_past8(p, v)
    #else
    atrous_store_past4(p, v)
    #endif
}

/// The even lanes of a, then those of b.
@inline(__always)
func evenLanes(_ a: Vector, _ b: Vector) -> Vector {
    #if ATROUS_X86_V4
    atrous_even_lanes16(a, b)
    #elseif ATROUS_X86_V3
    atrous_even_lanes8(a, b)
    #else
    atrous_even_lanes4(a, b)
    #endif
}

@inline(__always)
func broadcast(_ p: UnsafePointer<Float>) -> Vector { Vector(repeating: p.pointee) }

/// target[c][r] = source[r][c] for a square of `lanes` × `lanes`, rows `step` and `targetStep` floats apart. `past`: past the caches,
/// at 16 lanes, where every row is a line; target and `targetStep` are aligned to lines.
@inline(__always)
func transposeSquare(
    _ source: UnsafePointer<Float>, _ step: Int, _ target: UnsafeMutablePointer<Float>, _ targetStep: Int, past: Bool
) {
    #if ATROUS_X86_V4
    atrous_transpose16(source, step, target, targetStep, past)
    #elseif ATROUS_X86_V3
    atrous_transpose8(source, step, target, targetStep)
    #else
    atrous_transpose4(source, step, target, targetStep)
    #endif
}
