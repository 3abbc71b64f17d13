import CVector

/// The seven combinations of A's blocks (`StrassenCombinations`): A is cut in the middle both ways, into blocks of `rows` × `depth`;
/// its lower rows begin `below` floats after the upper ones. Writes them one after another, `block` floats apart, each row in whole
/// vectors, `outStride` floats apart.
///
/// Only `rowsThere` of the upper rows exist, `lowerThere` of the lower, and `columnsThere` of the columns; the rest reads as zero. Per
/// four vectors read seven are written, which meets the store port: A takes 14 cycles per 4 vectors on Zen 4.
///
/// `ahead`: what lies so many floats further is asked for, unless it is 0.
@inline(never)
func splitStrassen(
    _ a: UnsafePointer<Float>, stride: Int, below: Int, rowsThere: Int, lowerThere: Int, columnsThere: Int, rows: Int, depth: Int, ahead: Int,
    into out: UnsafeMutablePointer<Float>, outStride: Int, block: Int
) {
    for row in 0..<rows {
        let top = a + row &* stride
        let bottom = top + below
        let target = out + row &* outStride
        let whole = row < lowerThere ? columnsThere &- depth : 0
        var k = 0
        while k < depth, k &+ lanes <= whole {
            if ahead != 0 {
                atrous_prefetch(top + (k &+ ahead))
                atrous_prefetch(top + (depth &+ k &+ ahead))
                atrous_prefetch(bottom + (k &+ ahead))
                atrous_prefetch(bottom + (depth &+ k &+ ahead))
            }
            combine(
                load(top + k), load(top + (depth &+ k)), load(bottom + k), load(bottom + (depth &+ k)), target + k, block)
            k &+= lanes
        }
        while k < depth {
            let upper = row < rowsThere
            let lower = row < lowerThere
            combine(
                loadThere(top + k, upper, columnsThere &- k), loadThere(top + (depth &+ k), upper, columnsThere &- depth &- k),
                loadThere(bottom + k, lower, columnsThere &- k),
                loadThere(bottom + (depth &+ k), lower, columnsThere &- depth &- k), target + k, block)
            k &+= lanes
        }
    }
}

/// The first `count` lanes, of a row that may be missing.
@inline(__always)
private func loadThere(_ p: UnsafePointer<Float>, _ exists: Bool, _ count: Int) -> Vector {
    exists ? loadLanes(p, 0, min(max(count, 0), lanes)) : Vector(repeating: 0)
}

@inline(__always)
private func combine(
    _ a11: Vector, _ a12: Vector, _ a21: Vector, _ a22: Vector, _ out: UnsafeMutablePointer<Float>, _ block: Int
) {
    let s1 = a21 + a22
    let s2 = s1 - a11
    store(out, a11)
    store(out + block, a12)
    store(out + 2 &* block, s2)
    store(out + 3 &* block, s1)
    store(out + 4 &* block, a12 - s2)
    store(out + 5 &* block, a11 - a21)
    store(out + 6 &* block, a22)
}
