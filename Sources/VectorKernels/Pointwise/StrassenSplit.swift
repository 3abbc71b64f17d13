import CVector

/// The seven combinations of A's blocks (`StrassenCombinations`): A is cut in the middle both ways, into blocks of `rows` × `depth`;
/// its lower rows begin `below` floats after the upper ones. Writes them one after another, `block` floats apart, each row in whole
/// vectors, `outStride` floats apart.
///
/// Only `rowsThere` of all rows exist, and `columnsThere` of the columns; the rest reads as zero. Per
/// four vectors read seven are written, which meets the store port: A takes 14 cycles per 4 vectors on Zen 4.
/// The lines of the next row are asked for.
@inline(never)
func splitStrassen(
    _ a: UnsafePointer<Float>, stride: Int, below: Int, rowsThere: Int, columnsThere: Int, rows: Int, depth: Int,
    into out: UnsafeMutablePointer<Float>, outStride: Int, block: Int
) {
    for row in 0..<rows {
        let top = a + row &* stride
        let bottom = top + below
        let target = out + row &* outStride
        let whole = row &+ rows < rowsThere ? columnsThere &- depth : 0
        var k = 0
        while k < depth, k &+ lanes <= whole {
            atrous_prefetch(top + (k &+ stride))
            atrous_prefetch(top + (depth &+ k &+ stride))
            atrous_prefetch(bottom + (k &+ stride))
            atrous_prefetch(bottom + (depth &+ k &+ stride))
            combine(
                load(top + k), load(top + (depth &+ k)), load(bottom + k), load(bottom + (depth &+ k)), target + k, block)
            k &+= lanes
        }
        while k < depth {
            let upper = row < rowsThere
            let lower = row &+ rows < rowsThere
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
    store(out, combination(0, a11, a12, a21, a22))
    store(out + 1 &* block, combination(1, a11, a12, a21, a22))
    store(out + 2 &* block, combination(2, a11, a12, a21, a22))
    store(out + 3 &* block, combination(3, a11, a12, a21, a22))
    store(out + 4 &* block, combination(4, a11, a12, a21, a22))
    store(out + 5 &* block, combination(5, a11, a12, a21, a22))
    store(out + 6 &* block, combination(6, a11, a12, a21, a22))
}

/// Both levels at once for one of the outer seven combinations, `group`: A is cut into 4 × 4 blocks of `rows` × `depth`, those below each
/// other `below` floats apart, and the seven combinations of that combination are written as by ``splitStrassen``. What lies between the
/// levels stays in registers. The lines of the next row are asked for, `stride` floats further.
@inline(never)
func splitStrassenTwice(
    _ group: Int, _ a: UnsafePointer<Float>, stride: Int, below: Int, rowsThere: Int, columnsThere: Int, rows: Int, depth: Int,
    into out: UnsafeMutablePointer<Float>, outStride: Int, block: Int
) {
    switch group {
    case 0: splitTwice(0, a, stride, below, rowsThere, columnsThere, rows, depth, out, outStride, block)
    case 1: splitTwice(1, a, stride, below, rowsThere, columnsThere, rows, depth, out, outStride, block)
    case 2: splitTwice(2, a, stride, below, rowsThere, columnsThere, rows, depth, out, outStride, block)
    case 3: splitTwice(3, a, stride, below, rowsThere, columnsThere, rows, depth, out, outStride, block)
    case 4: splitTwice(4, a, stride, below, rowsThere, columnsThere, rows, depth, out, outStride, block)
    case 5: splitTwice(5, a, stride, below, rowsThere, columnsThere, rows, depth, out, outStride, block)
    default: splitTwice(6, a, stride, below, rowsThere, columnsThere, rows, depth, out, outStride, block)
    }
}

@inline(__always)
private func splitTwice(
    _ group: Int, _ a: UnsafePointer<Float>, _ stride: Int, _ below: Int, _ rowsThere: Int, _ columnsThere: Int, _ rows: Int,
    _ depth: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int, _ block: Int
) {
    for row in 0..<rows {
        let upper = a + row &* stride
        let lower = upper + below
        let target = out + row &* outStride
        let whole = row &+ 3 &* rows < rowsThere ? columnsThere &- 3 &* depth : 0
        var k = 0
        while k < depth, k &+ lanes <= whole {
            combine(
                outer(group, upper + k, below, depth, stride), outer(group, upper + (depth &+ k), below, depth, stride),
                outer(group, lower + k, below, depth, stride), outer(group, lower + (depth &+ k), below, depth, stride), target + k, block)
            k &+= lanes
        }
        while k < depth {
            let there = columnsThere &- k
            combine(
                outerThere(group, upper + k, below, depth, rowsThere &- row, rows, there),
                outerThere(group, upper + (depth &+ k), below, depth, rowsThere &- row, rows, there &- depth),
                outerThere(group, lower + k, below, depth, rowsThere &- row &- rows, rows, there),
                outerThere(group, lower + (depth &+ k), below, depth, rowsThere &- row &- rows, rows, there &- depth), target + k, block)
            k &+= lanes
        }
    }
}

/// A vector of the outer combination: of those at `a`, two blocks further right, two blocks below, and both.
@inline(__always)
private func outer(_ group: Int, _ a: UnsafePointer<Float>, _ below: Int, _ depth: Int, _ ahead: Int) -> Vector {
    let (a12, a21) = (a + 2 &* depth, a + 2 &* below)
    let a22 = a21 + 2 &* depth
    // What the combination does not hold is not read.
    if group != 1, group != 3, group != 6 { atrous_prefetch(a + ahead) }
    if group == 1 || group == 4 { atrous_prefetch(a12 + ahead) }
    if group >= 2, group <= 5 { atrous_prefetch(a21 + ahead) }
    if group == 2 || group == 3 || group == 4 || group == 6 { atrous_prefetch(a22 + ahead) }
    return combination(group, load(a), load(a12), load(a21), load(a22))
}

/// The same where rows or columns may be missing: `rowsThere` and `columnsThere` from `a` on.
@inline(__always)
private func outerThere(
    _ group: Int, _ a: UnsafePointer<Float>, _ below: Int, _ depth: Int, _ rowsThere: Int, _ rows: Int, _ columnsThere: Int
) -> Vector {
    let (upper, lower) = (rowsThere > 0, rowsThere > 2 &* rows)
    let (a12, a21) = (a + 2 &* depth, a + 2 &* below)
    return combination(
        group, loadThere(a, upper, columnsThere), loadThere(a12, upper, columnsThere &- 2 &* depth),
        loadThere(a21, lower, columnsThere), loadThere(a21 + 2 &* depth, lower, columnsThere &- 2 &* depth))
}

/// Combination `number` of the four blocks of A.
@inline(__always)
private func combination(_ number: Int, _ a11: Vector, _ a12: Vector, _ a21: Vector, _ a22: Vector) -> Vector {
    switch number {
    case 0: a11
    case 1: a12
    case 2: a21 + a22 - a11
    case 3: a21 + a22
    case 4: a12 - (a21 + a22 - a11)
    case 5: a11 - a21
    default: a22
    }
}
