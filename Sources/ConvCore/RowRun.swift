/// Neighbouring rows of outputs under the same rows of taps, or neighbouring first rows of phases that have as many rows.
public struct RowRun: Sendable, Equatable {
    /// The first row of outputs, the first live row of taps, and the row of inputs that they meet each other in.
    public let output, tap, input: Int
    /// How many rows of outputs and of live taps; of ``phases(_:radius:most:)``, first rows of phases and rows of each; of ``together(_:most:)``, rows
    /// of outputs and of inputs.
    public let rows, tapRows: Int

    /// All rows, from the top down, at most so many in each.
    public static func all(_ p: Problem, most: Int) -> [RowRun] {
        p.rows.segments(most: most).map { segment in
            let (output, tap) = (segment.outputs.lowerBound, segment.taps.lowerBound)
            return RowRun(
                output: output, tap: tap, input: output * p.strideH - p.padTop + tap * p.dilationH, rows: segment.outputs.count,
                tapRows: segment.taps.count)
        }
    }

    /// Rows of outputs a dilation apart, phase by phase from the top down, at most so many in each and as even as can be, where stride is 1 and the map keeps its rows. `tap`
    /// and `input` are those of the first row of outputs.
    public static func together(_ p: Problem, most: Int) -> [RowRun] {
        p.rows.phaseTiles(most: most).map { tile in
            RowRun(
                output: tile.first, tap: tile.taps.lowerBound + tile.places.lowerBound, input: tile.origin + tile.places.lowerBound * p.dilationH,
                rows: tile.count, tapRows: tile.places.count)
        }
    }

    /// Rows a dilation apart together, where at most `radius` rows of taps to each side meet the map and stride is 1: the first rows of
    /// phases that have as many rows, at most so many in each. `tap` and `input` are those of the uppermost of these rows of taps and of the first
    /// row of outputs.
    public static func phases(_ p: Problem, radius: Int, most: Int) -> [RowRun] {
        let longest = p.rows.longestPhases
        return [0..<longest, longest..<min(p.dilationH, p.oh)].flatMap { range in
            stride(from: range.lowerBound, to: range.upperBound, by: most).map { first in
                RowRun(
                    output: first, tap: p.kh / 2 - radius, input: first, rows: min(most, range.upperBound - first),
                    tapRows: (p.oh - first + p.dilationH - 1) / p.dilationH)
            }
        }
    }
}
