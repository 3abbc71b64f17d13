import ConvCore

/// Stores the sums of a depthwise tile: R rows of T pixels of one vector of channels, steps in floats. ReLU on the way; other
/// activations go over the stored tile, in `activateStored`. The phase tiles keep this loop in place: called from them, 10 pixels ×
/// 2 rows fell from 71 to 58 % of attainable at 16 lanes.
@inline(__always)
func finishTile<let R: Int, let T: Int>(
    _ sum: inout TileShape<R, T>, _ dst: UnsafeMutablePointer<Float>, rowStep: Int, step: Int,
    _ activation: Activation
) {
    if activation == .relu {
        for r in 0..<R {
            for t in 0..<T { sum[r][t] = rectified(sum[r][t]) }
        }
    }
    for r in 0..<R {
        for t in 0..<T { store(dst + (r &* rowStep &+ t &* step), sum[r][t]) }
    }
}

/// The same of one row.
@inline(__always)
func finishSums<let T: Int>(
    _ sum: inout InlineArray<T, Vector>, _ out: UnsafeMutablePointer<Float>, _ step: Int, _ activation: Activation
) {
    if activation == .relu {
        for t in 0..<T { sum[t] = rectified(sum[t]) }
    }
    for t in 0..<T { store(out + t &* step, sum[t]) }
}

/// Whether the activation runs over stored sums, needing registers of its own: see `matrixTile`.
@inline(__always)
func activatesStored(_ activation: Activation) -> Bool { activation == .silu || activation == .hardswish }

/// Of sums that are activated where they lie, at once: half of L1, which they should not have left.
let activatedBytes = 16 << 10

/// The activations that need registers of their own, over stored tiles: see `matrixTile`. Of every pixel `groups` times `vectors` vectors,
/// `groupStep` floats apart.
@inline(__always)
func activateStored(
    rows: Int, pixels: Int, _ dst: UnsafeMutablePointer<Float>, rowStep: Int, step: Int, groups: Int, vectors: Int = 1, groupStep: Int,
    _ activation: Activation
) {
    guard activatesStored(activation) else { return }
    let group = vectors &* lanes
    for row in 0..<rows {
        if groupStep == group {
            activateTile(dst + row &* rowStep, rows: pixels, columns: groups &* group, stride: step, activation)
        } else {
            for pixel in 0..<pixels {
                activateTile(dst + (row &* rowStep &+ pixel &* step), rows: groups, columns: group, stride: groupStep, activation)
            }
        }
    }
}
