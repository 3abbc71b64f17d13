/// A map that keeps its size (stride 1, an odd kernel, padding of half of it), taken phase by phase in strips of columns:
/// for kernels that walk down a strip and keep the rows under its tiles in a ring.
public struct PhaseStrips: Sendable {
    /// Every row of every strip of every phase, in the order of the work.
    public private(set) var lines: [Line] = []
    /// The lines cut into tiles of neighbours, in the same order.
    public private(set) var tiles: [Tile] = []

    /// A row of a strip: outputs `out` and inputs `input` of the phase that begins at `column`; `row` of the map is the
    /// `place`-th of `height` rows of the phase, which is `width` wide.
    public struct Line: Sendable {
        public let row, place, height, column, width: Int
        public let out, input: Range<Int>
    }

    /// Rows that are computed together, and the line before which all must be in the ring then.
    public struct Tile: Sendable {
        public let lines: Range<Int>
        public fileprivate(set) var staged = 0
    }

    /// Strips of at most `stripWidth` outputs, tiles of at most `tileRows` rows.
    public init(_ p: Problem, stripWidth: Int, tileRows: Int) {
        for top in 0..<min(p.dilationH, p.oh) {
            let height = (p.oh - top + p.dilationH - 1) / p.dilationH
            for left in 0..<min(p.dilationW, p.ow) {
                let width = (p.ow - left + p.dilationW - 1) / p.dilationW
                let strips = (width + stripWidth - 1) / stripWidth
                for strip in 0..<strips {
                    let out = width * strip / strips..<width * (strip + 1) / strips
                    let input = max(0, out.lowerBound - p.kw / 2)..<min(width, out.upperBound + p.kw / 2)
                    let first = lines.count
                    for place in 0..<height {
                        lines.append(
                            Line(
                                row: top + place * p.dilationH, place: place, height: height, column: left, width: width,
                                out: out, input: input))
                    }
                    let parts = (height + tileRows - 1) / tileRows
                    for part in 0..<parts {
                        tiles.append(Tile(lines: first + height * part / parts..<first + height * (part + 1) / parts))
                    }
                }
            }
        }
        // One row of outputs more needs one row of inputs more, also where the next strip begins.
        for index in tiles.indices { tiles[index].staged = min(lines.count, tiles[index].lines.upperBound + p.kh / 2) }
    }
}

/// The rows under a tile of a strip and the ones that are copied for the next, densely packed: `slots` rows of `slotFloats`.
public struct PhaseRing: Sendable {
    public let slots, vectors, slotFloats: Int
    /// Whole cache lines, and one more, so that no two threads share one.
    public var bytes: Int { (4 * slots * slotFloats + 127) / 64 * 64 }

    /// Of strips `stripWidth` wide and tiles of `tileRows` rows, with up to `vectors` vectors of channels.
    public init(_ p: Problem, stripWidth: Int, tileRows: Int, vectors: Int, lanes: Int) {
        slots = p.kh - 1 + 2 * tileRows
        self.vectors = min(vectors, p.ic / lanes)
        let phase = (p.ow + p.dilationW - 1) / p.dilationW
        slotFloats = min(phase, stripWidth + p.kw - 1) * self.vectors * lanes
    }
}
