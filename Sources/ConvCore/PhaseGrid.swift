/// The register tiles of a map that is taken phase by phase (see ``Axis/phaseTiles(most:)``), neighbours that differ in their place
/// alone put together. Worked out here, since what a kernel's own module makes of the standard library's generics are shared functions
/// with instructions of its level.
public struct PhaseGrid: Sendable {
    /// Tiles of rows, and tiles along a row part by part.
    public let rows: [Rows]
    public let columns: [Columns]
    /// Of one image.
    public let tiles: Int
    /// The most taps that a tile meets.
    public let taps: Int

    public struct Rows: Sendable {
        public let tile: Axis.PhaseTile
        public let run: TileRun
    }

    public struct Columns: Sendable {
        public let part: Axis.PartTile
        public let run: TileRun
    }

    /// Tiles of at most `most` pixels, and of as many rows as `rowsOfTile` allows under so many columns of taps and pixels, of one row where
    /// outputs lie several places apart; columns of taps in parts, see ``Axis/partTiles(most:room:isWidth:)``. `rowsPerRun`: 1 to keep every
    /// tile of rows by itself, else the most rows of outputs whose tiles one call should compute.
    public init(
        _ p: Problem, most: Int, room: Int, rowsPerRun: Int, isWidth: (Int) -> Bool, rowsOfTile: (_ taps: Int, _ pixels: Int) -> Int
    ) {
        let columnTiles = p.columns.partTiles(most: most, room: room, isWidth: isWidth)
        let rowsAtOnce = p.hasDensePhases
            ? columnTiles.joined().map { rowsOfTile($0.tile.taps.count, $0.tile.count) }.min()! : 1
        let rowTiles = p.rows.phaseTiles(most: rowsAtOnce)
        columns = TileRun.runs(places: columnTiles.map { $0[0].tile.first }) { Axis.areAlike(columnTiles[$0], columnTiles[$1]) }
            .flatMap { run in columnTiles[run.first].map { Columns(part: $0, run: run) } }
        let rowRuns = rowsPerRun == 1
            ? TileRun.singles(rowTiles.count)
            : TileRun.runs(places: rowTiles.map(\.first)) { rowTiles[$0].isAlike(rowTiles[$1]) }.flatMap { run in
                run.parts(most: max(1, rowsPerRun / rowsAtOnce)) { behind in
                    rowTiles.firstIndex { $0.first == rowTiles[run.first].first + behind }!
                }
            }
        rows = rowRuns.map { Rows(tile: rowTiles[$0.first], run: $0) }
        tiles = rowTiles.count * columnTiles.count
        taps = rowTiles.map(\.taps.count).max()! * columnTiles.joined().map(\.tile.taps.count).max()!
    }
}

/// Columns of outputs of one phase side by side under three columns of taps, from its first row to its last, of a map that keeps its
/// size; with all that differ from it in their place alone.
public struct PhaseWalk: Sendable {
    /// Number of the first output's pixel.
    public let first: Int
    public let pixels, rows: Int
    /// Whether the inputs beside them lie in the image.
    public let hasLeft, hasRight: Bool
    /// The same of neighbouring phases, or further along the row; with `rowRun` of the rows.
    public let columnRun, rowRun: TileRun

    /// Of at most `most` outputs side by side, phases innermost; rows outermost. `inRuns`: those alike put together.
    /// `mostRows`: the most rows of outputs of a run of several rows of phases.
    public static func all(_ p: Problem, most: Int, inRuns: Bool, mostRows: Int) -> [PhaseWalk] {
        let columns = columns(width: p.ow, dilation: p.dilationW, most: most)
        let tops = Array(0..<min(p.dilationH, p.oh))
        func rows(_ top: Int) -> Int { (p.oh - top + p.dilationH - 1) / p.dilationH }
        let columnRuns = runs(columns.map(\.first), inRuns) { columns[$0].isAlike(columns[$1]) }
        let rowRuns = runs(tops, inRuns) { rows($0) == rows($1) }.flatMap { run in
            run.parts(most: max(1, mostRows / rows(run.first))) { run.first + $0 }
        }
        return rowRuns.flatMap { rowRun in
            columnRuns.map { columnRun in
                let (top, column) = (rowRun.first, columns[columnRun.first])
                return PhaseWalk(
                    first: top * p.ow + column.first, pixels: column.count, rows: rows(top), hasLeft: column.hasLeft, hasRight: column.hasRight,
                    columnRun: columnRun, rowRun: rowRun)
            }
        }
    }

    private static func runs(_ places: [Int], _ inRuns: Bool, alike: (Int, Int) -> Bool) -> [TileRun] {
        inRuns ? TileRun.runs(places: places, alike: alike) : TileRun.singles(places.count)
    }

    private struct Column {
        var first, count: Int
        var hasLeft, hasRight: Bool

        func isAlike(_ other: Column) -> Bool { count == other.count && hasLeft == other.hasLeft && hasRight == other.hasRight }
    }

    private static func columns(width: Int, dilation: Int, most: Int) -> [Column] {
        let longest = (width + dilation - 1) / dilation
        let parts = (longest + most - 1) / most
        var columns: [Column] = []
        for part in 0..<parts {
            for left in 0..<min(dilation, width) {
                let outputs = (width - left + dilation - 1) / dilation
                let own = outputs * part / parts..<outputs * (part + 1) / parts
                guard !own.isEmpty else { continue }
                columns.append(
                    Column(
                        first: left + own.lowerBound * dilation, count: own.count, hasLeft: own.lowerBound > 0,
                        hasRight: own.upperBound < outputs))
            }
        }
        return columns
    }
}
