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
    /// Neighbouring tiles to compute.
    var tiles: Int
}

typealias DepthwiseTileFunction = @Sendable (_ arguments: borrowing DepthwiseTileArguments) -> Void

/// `tiles` tiles of T pixels in a row, one after another: T × V sums in registers; per tap V weights are loaded, and
/// T × V inputs as operands of the multiply-adds. The loop over the tiles is in here because a call and its arguments cost
/// as much as a dozen taps.
@inline(__always)
private func depthwiseTile<let T: Int, let V: Int>(
    _ a: borrowing DepthwiseTileArguments, masked: Bool, as shape: TileShape<T, V>.Type
) {
    let last = a.lastLanes
    let activation = a.activation
    let partial = masked ? V - 1 : V  // the vector that is read by lanes, if any
    let step = a.pixelStep
    var src = a.src
    var dst = a.dst
    for _ in 0..<a.tiles {
        var sum = TileShape<T, V>(repeating: InlineArray<V, Vector>(repeating: Vector(repeating: 0)))
        if let bias = a.bias {
            for v in 0..<V {
                let value = read(bias + v &* lanes, v == partial, last)
                for t in 0..<T { sum[t][v] = value }
            }
        }
        var row = src
        var weightRow = a.weights
        for _ in 0..<a.rows {
            var x = row
            var w = weightRow
            for _ in 0..<a.columns {
                var weight = InlineArray<V, Vector>(repeating: Vector(repeating: 0))
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
                for v in 0..<V { sum[t][v] = larger(sum[t][v], Vector(repeating: 0)) }
            }
        }
        for t in 0..<T {
            for v in 0..<V {
                let p = dst + (t &* a.dstStep &+ v &* lanes)
                if v == partial { storeLanes(p, sum[t][v], last) } else { store(p, sum[t][v]) }
            }
        }
        src += T &* step
        dst += T &* a.dstStep
    }
    // Over the stored tiles: see `matrixTile`.
    if activation == .silu || activation == .hardswish {
        activateTile(a.dst, rows: T * a.tiles, columns: (V - 1) * lanes + last, stride: a.dstStep, activation)
    }
}

@inline(__always)
private func read(_ p: UnsafePointer<Float>, _ partial: Bool, _ last: Int) -> Vector {
    partial ? loadLanes(p, 0, last) : load(p)
}

@inline(never)
private func whole<let T: Int, let V: Int>(_ a: borrowing DepthwiseTileArguments, _ shape: TileShape<T, V>.Type) {
    depthwiseTile(a, masked: false, as: shape)
}

@inline(never)
private func masked<let T: Int, let V: Int>(_ a: borrowing DepthwiseTileArguments, _ shape: TileShape<T, V>.Type) {
    depthwiseTile(a, masked: true, as: shape)
}

/// Every tile that is compiled, as `depthwiseTiles[V − 1][T − 1]`. Larger ones are left out: the optimiser gives up
/// unrolling there, and the sums go through memory.
let depthwiseTiles: [[DepthwiseTileFunction]] = [
    [
        { whole($0, TileShape<1, 1>.self) },
        { whole($0, TileShape<2, 1>.self) },
        { whole($0, TileShape<3, 1>.self) },
        { whole($0, TileShape<4, 1>.self) },
        { whole($0, TileShape<5, 1>.self) },
        { whole($0, TileShape<6, 1>.self) },
        { whole($0, TileShape<7, 1>.self) },
        { whole($0, TileShape<8, 1>.self) },
        { whole($0, TileShape<9, 1>.self) },
        { whole($0, TileShape<10, 1>.self) },
    ],
    [
        { whole($0, TileShape<1, 2>.self) },
        { whole($0, TileShape<2, 2>.self) },
        { whole($0, TileShape<3, 2>.self) },
        { whole($0, TileShape<4, 2>.self) },
        { whole($0, TileShape<5, 2>.self) },
        { whole($0, TileShape<6, 2>.self) },
        { whole($0, TileShape<7, 2>.self) },
        { whole($0, TileShape<8, 2>.self) },
    ],
    [
        { whole($0, TileShape<1, 3>.self) },
        { whole($0, TileShape<2, 3>.self) },
        { whole($0, TileShape<3, 3>.self) },
        { whole($0, TileShape<4, 3>.self) },
        { whole($0, TileShape<5, 3>.self) },
        { whole($0, TileShape<6, 3>.self) },
        { whole($0, TileShape<7, 3>.self) },
        { whole($0, TileShape<8, 3>.self) },
    ],
    [
        { whole($0, TileShape<1, 4>.self) },
        { whole($0, TileShape<2, 4>.self) },
        { whole($0, TileShape<3, 4>.self) },
        { whole($0, TileShape<4, 4>.self) },
        { whole($0, TileShape<5, 4>.self) },
        { whole($0, TileShape<6, 4>.self) },
    ],
]

/// The same for a last vector with fewer channels than lanes: it ends the map's channels, so it is rare, and one vector
/// at a time does.
let maskedDepthwiseTiles: [DepthwiseTileFunction] = [
    { masked($0, TileShape<1, 1>.self) },
    { masked($0, TileShape<2, 1>.self) },
    { masked($0, TileShape<3, 1>.self) },
    { masked($0, TileShape<4, 1>.self) },
    { masked($0, TileShape<5, 1>.self) },
    { masked($0, TileShape<6, 1>.self) },
]
