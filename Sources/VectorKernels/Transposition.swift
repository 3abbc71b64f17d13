import CVector

/// target[c][r] = source[r][c] over `rows` × `columns`, rows of source `step` floats apart, of target `targetStep`: the way
/// between NCHW and the layouts whose channels lie side by side.
///
/// In squares that are turned over in registers. Where the rows of source are long (planes), each is read as a stream that the
/// prefetcher needs help with, since there are many; where they are short (pixels), it is the lines of target that lie far apart
/// and are asked for one square ahead. `past`: target may go past the caches, which it does where whole aligned lines of it are
/// written at once.
public func transpose(
    _ source: UnsafePointer<Float>, step: Int, rows: Int, columns: Int, to target: UnsafeMutablePointer<Float>,
    targetStep: Int, past: Bool
) {
    let past = past && goesPast(target, step: targetStep)
    turnOver(source, step, rows, columns, target, targetStep, past: past)
    if past { atrous_finish_stores() }
}

/// Whether whole aligned lines of rows that lie `step` floats apart are written at once, in whole vectors.
func goesPast(_ target: UnsafeMutablePointer<Float>, step: Int) -> Bool {
    lanes == 16 && UInt(bitPattern: target) % 64 == 0 && step % 16 == 0
}

/// The same, with the stores past the caches still under way. `past` only where ``goesPast(_:step:)``.
@inline(never)
func turnOver(
    _ source: UnsafePointer<Float>, _ step: Int, _ rows: Int, _ columns: Int, _ target: UnsafeMutablePointer<Float>, _ targetStep: Int,
    past: Bool
) {
    if past {
        transposeSquares(source, step, rows, columns, target, targetStep, past: true)
    } else {
        transposeSquares(source, step, rows, columns, target, targetStep, past: false)
    }
}

@inline(__always)
private func transposeSquares(
    _ source: UnsafePointer<Float>, _ step: Int, _ rows: Int, _ columns: Int, _ target: UnsafeMutablePointer<Float>, _ targetStep: Int,
    past: Bool
) {
    let wholeRows = rows &- rows % lanes
    let wholeColumns = columns &- columns % lanes
    let lineFloats = 16
    // So far ahead that a line is there in time: 4 lines of each plane.
    let distance = 4 &* lineFloats
    // A line of each of many planes, in turn.
    let isNarrow = columns <= lineFloats && step > 2 &* lineFloats && rows > distance
    var c = 0
    while c < wholeColumns {
        if c % lineFloats == 0 {
            if columns > step / 2, step > distance {
                for r in 0..<rows { atrous_prefetch(source + (r &* step &+ c &+ distance)) }
            }
            if !past {
                for k in c &+ lineFloats..<max(c &+ lineFloats, min(columns, c &+ 2 &* lineFloats)) {
                    for r in stride(from: 0, to: rows, by: lineFloats) { atrous_prefetch_for_writing(target + (k &* targetStep &+ r)) }
                }
            }
        }
        var r = 0
        while r < wholeRows {
            if isNarrow, c % lineFloats == 0 {
                // As far ahead in lines; behind the last row what the next columns begin with.
                let (row, column) = r &+ distance < rows ? (r &+ distance, c) : (r &+ distance &- rows, c &+ lineFloats)
                for i in 0..<lanes { atrous_prefetch(source + ((row &+ i) &* step &+ column)) }
            }
            transposeSquare(source + (r &* step &+ c), step, target + (c &* targetStep &+ r), targetStep, past: past)
            r &+= lanes
        }
        while r < rows {
            for k in 0..<lanes { target[(c &+ k) &* targetStep &+ r] = source[r &* step &+ c &+ k] }
            r &+= 1
        }
        c &+= lanes
    }
    while c < columns {
        for r in 0..<rows { target[c &* targetStep &+ r] = source[r &* step &+ c] }
        c &+= 1
    }
}
