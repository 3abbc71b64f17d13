/// Neighbouring rows of outputs under the same rows of taps.
public struct RowRun: Sendable, Equatable {
    /// The first row of outputs, the first live row of taps, and the row of inputs that they meet each other in.
    public let output, tap, input: Int
    /// How many rows of outputs and of live taps.
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
}
