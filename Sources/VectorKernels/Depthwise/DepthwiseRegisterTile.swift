import ConvCore

/// What a depthwise register tile computes: T pixels × V vectors of channels over `rows` × `columns` live taps.
/// Steps are in floats.
struct DepthwiseTileArguments {
    /// The first pixel's first live tap.
    var src: UnsafePointer<Float>
    /// Weights of the first live tap.
    var weights: UnsafePointer<Float>
    var bias: UnsafePointer<Float>?
    var dst: UnsafeMutablePointer<Float>
    /// From one output pixel's input to the next one's.
    var pixelStep: Int
    var rows, columns: Int
    var rowStep, columnStep: Int
    var weightRowStep, weightColumnStep: Int
    var dstStep: Int
    var activation: Activation
    /// Lanes of the last vector that are channels.
    var lastLanes: Int
    /// Neighbouring tiles of pixels to compute.
    var tiles: Int
    /// Neighbouring groups of V vectors of channels; 1 where the last vector is not whole.
    var groups: Int
}

/// `tiles` tiles of T pixels in a row, each over `groups` groups of V vectors of channels: T × V sums in registers; per tap
/// V weights are loaded, and T × V inputs as operands of the multiply-adds. The loops over tiles and groups are in here
/// because a call and its arguments cost as much as a dozen taps. Groups are the inner loop, so that a pixel's channels,
/// which lie together, are used together.
@inline(__always)
private func depthwiseTile<let T: Int, let V: Int>(
    _ a: borrowing DepthwiseTileArguments, masked: Bool, as shape: TileShape<T, V>.Type
) {
    let last = a.lastLanes
    let activation = a.activation
    let partial = masked ? V - 1 : V  // the vector that is read by lanes, if any
    let step = a.pixelStep
    let width = V &* lanes
    for tile in 0..<a.tiles {
        let tileSource = a.src + tile &* T &* step
        let tileTarget = a.dst + tile &* T &* a.dstStep
        for group in 0..<a.groups {
            var sum = TileShape<T, V> { _ in InlineArray { _ in Vector(repeating: 0) } }
            if let bias = a.bias {
                for v in 0..<V {
                    let value = read(bias + (group &* width &+ v &* lanes), v == partial, last)
                    for t in 0..<T { sum[t][v] = value }
                }
            }
            var row = tileSource + group &* width
            var weightRow = a.weights + group &* width
            for _ in 0..<a.rows {
                var x = row
                var w = weightRow
                for _ in 0..<a.columns {
                    var weight = InlineArray<V, Vector> { _ in Vector(repeating: 0) }
                    for v in 0..<V { weight[v] = load(w + v &* lanes) }
                    for t in 0..<T {
                        for v in 0..<V {
                            let value = read(x + (t &* step &+ v &* lanes), v == partial, last)
                            sum[t][v] = multiplyAdd(value, weight[v], sum[t][v])
                        }
                    }
                    x += a.columnStep
                    w += a.weightColumnStep
                }
                row += a.rowStep
                weightRow += a.weightRowStep
            }
            if activation == .relu {
                for t in 0..<T {
                    for v in 0..<V { sum[t][v] = rectified(sum[t][v]) }
                }
            }
            for t in 0..<T {
                for v in 0..<V {
                    let p = tileTarget + (t &* a.dstStep &+ group &* width &+ v &* lanes)
                    if v == partial { storeLanes(p, sum[t][v], last) } else { store(p, sum[t][v]) }
                }
            }
        }
        // Over the stored tile: see `matrixTile`.
        if activation == .silu || activation == .hardswish {
            activateTile(
                tileTarget, rows: T, columns: a.groups &* width &- lanes &+ last, stride: a.dstStep, activation)
        }
    }
}

@inline(__always)
private func read(_ p: UnsafePointer<Float>, _ partial: Bool, _ last: Int) -> Vector {
    partial ? loadLanes(p, 0, last) : load(p)
}

@inline(never)
private func whole<let T: Int, let V: Int>(_ a: borrowing DepthwiseTileArguments, _ shape: TileShape<T, V>.Type) {
    // No configuration admits the others: no code is made for them.
    guard isCompiledPixelTile(T, V) else { return }
    depthwiseTile(a, masked: false, as: shape)
}

@inline(never)
private func masked<let T: Int, let V: Int>(_ a: borrowing DepthwiseTileArguments, _ shape: TileShape<T, V>.Type) {
    depthwiseTile(a, masked: true, as: shape)
}

/// The most pixels of a compiled tile, by its vectors; with larger ones the optimiser gives up unrolling, and the sums go
/// through memory. With a multiply-add of two instructions it spills from five on beside two vectors.
func largestPixels(vectors: Int) -> Int {
    if vectors == 2, !multiplyAddIsFused { return 4 }
    return vectors == 1 ? 10 : vectors <= 3 ? 8 : 6
}

/// Whether a tile of t pixels and v vectors is there: it fits the registers and stays in them.
func isCompiledPixelTile(_ t: Int, _ v: Int) -> Bool { fitsRegisters(t, v) && t <= largestPixels(vectors: v) }

/// The same in words.
let pixelConstraint =
    "t·v + v + 1 ≤ \(vectorRegisters) registers; t ≤ \(largestPixels(vectors: 1)), \(largestPixels(vectors: 2)), \(largestPixels(vectors: 3)), \(largestPixels(vectors: 4)) with v = 1, 2, 3, 4"

/// Runs tiles of `t` pixels × `v` whole vectors of channels.
@inline(__always)
func runDepthwiseTile(_ t: Int, _ v: Int, _ a: borrowing DepthwiseTileArguments) {
    switch v &* 16 &+ t {
    case 17: whole(a, TileShape<1, 1>.self)
    case 18: whole(a, TileShape<2, 1>.self)
    case 19: whole(a, TileShape<3, 1>.self)
    case 20: whole(a, TileShape<4, 1>.self)
    case 21: whole(a, TileShape<5, 1>.self)
    case 22: whole(a, TileShape<6, 1>.self)
    case 23: whole(a, TileShape<7, 1>.self)
    case 24: whole(a, TileShape<8, 1>.self)
    case 25: whole(a, TileShape<9, 1>.self)
    case 26: whole(a, TileShape<10, 1>.self)
    case 33: whole(a, TileShape<1, 2>.self)
    case 34: whole(a, TileShape<2, 2>.self)
    case 35: whole(a, TileShape<3, 2>.self)
    case 36: whole(a, TileShape<4, 2>.self)
    case 37: whole(a, TileShape<5, 2>.self)
    case 38: whole(a, TileShape<6, 2>.self)
    case 39: whole(a, TileShape<7, 2>.self)
    case 40: whole(a, TileShape<8, 2>.self)
    case 49: whole(a, TileShape<1, 3>.self)
    case 50: whole(a, TileShape<2, 3>.self)
    case 51: whole(a, TileShape<3, 3>.self)
    case 52: whole(a, TileShape<4, 3>.self)
    case 53: whole(a, TileShape<5, 3>.self)
    case 54: whole(a, TileShape<6, 3>.self)
    case 55: whole(a, TileShape<7, 3>.self)
    case 56: whole(a, TileShape<8, 3>.self)
    case 65: whole(a, TileShape<1, 4>.self)
    case 66: whole(a, TileShape<2, 4>.self)
    case 67: whole(a, TileShape<3, 4>.self)
    case 68: whole(a, TileShape<4, 4>.self)
    case 69: whole(a, TileShape<5, 4>.self)
    case 70: whole(a, TileShape<6, 4>.self)
    default: preconditionFailure("no such tile")
    }
}

/// The most pixels of a tile whose one vector is only partly channels: it ends the map's channels, so it is rare.
let largestMaskedPixels = 6

/// Runs tiles of `t` pixels × one vector with fewer channels than lanes.
@inline(__always)
func runMaskedDepthwiseTile(_ t: Int, _ a: borrowing DepthwiseTileArguments) {
    switch t {
    case 1: masked(a, TileShape<1, 1>.self)
    case 2: masked(a, TileShape<2, 1>.self)
    case 3: masked(a, TileShape<3, 1>.self)
    case 4: masked(a, TileShape<4, 1>.self)
    case 5: masked(a, TileShape<5, 1>.self)
    case 6: masked(a, TileShape<6, 1>.self)
    default: preconditionFailure("no such tile")
    }
}
