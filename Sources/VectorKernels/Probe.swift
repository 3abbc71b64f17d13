import ConvCore

/// The loops that find what this machine can do at this instruction-set level.
public let probe = ISAProbe(
    name: isaName, lanes: lanes, multiplyAddsPerRound: 12, multiplyAdds: multiplyAdds, read: readAll, write: writeAll,
    copy: copyAll)

// Each loop returns a value that depends on its work, so that nothing is removed.

/// `rounds` × 12 independent multiply-adds of a vector each: FMA latency (4) × units (2) needs 8, 12 leave slack and fit
/// 16 registers.
/// FLOPs done: rounds · 12 · lanes · 2.
@inline(never)
private func multiplyAdds(rounds: Int) -> Float {
    var sum = InlineArray<12, Vector> { _ in Vector(repeating: 1) }
    // Opaque factors that keep the sums finite.
    let a = Vector(repeating: 0.5)
    let b = Vector(repeating: Float(rounds & 1) + 0.25)
    for _ in 0..<rounds {
        for i in 0..<12 { sum[i] = multiplyAdd(sum[i], a, b) }
    }
    var total = Vector(repeating: 0)
    for i in 0..<12 { total += sum[i] }
    return total.sum()
}
/// Reads `count` floats `rounds` times, vector by vector. `count` must be a multiple of 8 vectors.
@inline(never)
private func readAll(_ p: UnsafePointer<Float>, count: Int, rounds: Int) -> Float {
    var sum = InlineArray<8, Vector>(repeating: Vector(repeating: 0))
    for _ in 0..<rounds {
        var i = 0
        while i < count {
            for v in 0..<8 { sum[v] += load(p + (i &+ v &* lanes)) }
            i &+= 8 &* lanes
        }
    }
    var total = Vector(repeating: 0)
    for v in 0..<8 { total += sum[v] }
    return total.sum()
}

/// Writes `count` floats `rounds` times. `count` must be a multiple of 8 vectors.
@inline(never)
private func writeAll(_ p: UnsafeMutablePointer<Float>, count: Int, rounds: Int) -> Float {
    for round in 0..<rounds {
        let value = Vector(repeating: Float(round))
        var i = 0
        while i < count {
            for v in 0..<8 { store(p + (i &+ v &* lanes), value) }
            i &+= 8 &* lanes
        }
    }
    return p.pointee
}

/// Copies `count` floats `rounds` times. `count` must be a multiple of 8 vectors.
@inline(never)
private func copyAll(
    _ source: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>, count: Int, rounds: Int
) -> Float {
    for _ in 0..<rounds {
        var i = 0
        while i < count {
            for v in 0..<8 { store(target + (i &+ v &* lanes), load(source + (i &+ v &* lanes))) }
            i &+= 8 &* lanes
        }
    }
    return target.pointee
}
