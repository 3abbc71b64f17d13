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
}

typealias DepthwiseTileFunction = @Sendable (_ arguments: borrowing DepthwiseTileArguments) -> Void

/// T × V sums in registers; per tap V weights are loaded, and T × V inputs as operands of the multiply-adds.
@inline(__always)
private func depthwiseTile<let T: Int, let V: Int>(
    _ a: borrowing DepthwiseTileArguments, masked: Bool, as shape: TileShape<T, V>.Type
) {
    let last = a.lastLanes
    let activation = a.activation
    let partial = masked ? V - 1 : V  // the vector that is read by lanes, if any
    var sum = TileShape<T, V>(repeating: InlineArray<V, Vector>(repeating: Vector(repeating: 0)))
    if let bias = a.bias {
        for v in 0..<V {
            let value = read(bias + v &* lanes, v == partial, last)
            for t in 0..<T { sum[t][v] = value }
        }
    }
    var row = a.src
    var weightRow = a.weights
    for _ in 0..<a.rows {
        var x = row
        var w = weightRow
        for _ in 0..<a.columns {
            var weight = InlineArray<V, Vector>(repeating: Vector(repeating: 0))
            for v in 0..<V { weight[v] = load(w + v &* lanes) }
            for t in 0..<T {
                for v in 0..<V {
                    let value = read(x + (t &* a.pixelStep &+ v &* lanes), v == partial, last)
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
            let p = a.dst + (t &* a.dstStep &+ v &* lanes)
            if v == partial { storeLanes(p, sum[t][v], last) } else { store(p, sum[t][v]) }
        }
    }
    // Over the stored tile: see `matrixTile`.
    if activation == .silu || activation == .hardswish {
        activateTile(a.dst, rows: T, columns: (V - 1) * lanes + last, stride: a.dstStep, activation)
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

/// Every tile that is compiled, as `depthwiseTiles[V − 1][T − 1]`. 11×1 and 10×2 are left out: the optimiser gives up
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
]

/// The same for a last vector with fewer channels than lanes: it ends the map's channels, so it is rare, and smaller
/// tiles do.
let maskedDepthwiseTiles: [[DepthwiseTileFunction]] = [
    [
        { masked($0, TileShape<1, 1>.self) },
        { masked($0, TileShape<2, 1>.self) },
        { masked($0, TileShape<3, 1>.self) },
        { masked($0, TileShape<4, 1>.self) },
        { masked($0, TileShape<5, 1>.self) },
        { masked($0, TileShape<6, 1>.self) },
    ],
    [
        { masked($0, TileShape<1, 2>.self) },
        { masked($0, TileShape<2, 2>.self) },
        { masked($0, TileShape<3, 2>.self) },
        { masked($0, TileShape<4, 2>.self) },
        { masked($0, TileShape<5, 2>.self) },
        { masked($0, TileShape<6, 2>.self) },
    ],
]
