/// The register tiles of a map that is taken phase by phase (see ``Axis/phaseTiles(most:step:)``), neighbours that differ in their place
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

    /// Tiles of at most `most` pixels, and of as many rows as `rowsOfTile` allows under so many columns of taps and pixels; columns of taps
    /// in parts, see ``Axis/partTiles(most:room:isWidth:)``. `rowsPerRun`: 1 to keep every tile of rows by itself, else the most rows of
    /// outputs whose tiles one call should compute.
    public init(
        _ p: Problem, most: Int, room: Int, rowsPerRun: Int, isWidth: (Int) -> Bool, rowsOfTile: (_ taps: Int, _ pixels: Int) -> Int
    ) {
        let columnTiles = p.columns.partTiles(most: most, room: room, isWidth: isWidth)
        let rowsAtOnce = columnTiles.joined().map { rowsOfTile($0.tile.taps.count, $0.tile.count) }.min()!
        let rowTiles = p.rows.phaseTiles(most: rowsAtOnce, step: p.rows.phaseStep!)
        columns = TileRun.runs(places: columnTiles.map { $0[0].tile.first }) { Axis.areAlike(columnTiles[$0], columnTiles[$1]) }
            .flatMap { run in columnTiles[run.first].map { Columns(part: $0, run: run) } }
        let rowRuns = rowsPerRun == 1
            ? rowTiles.indices.map { TileRun(first: $0, count: 1, step: 0) }
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

/// Outputs of one phase side by side under three columns of taps, and whether the inputs beside them lie in the image: of a map that keeps
/// its width.
public struct PhaseColumn: Sendable {
    public let first, count: Int
    public let hasLeft, hasRight: Bool
    /// Columns that differ in their place alone.
    public let run: TileRun

    /// Of at most `most` outputs each, phases innermost. `inRuns`: those alike put together.
    public static func all(width: Int, dilation: Int, most: Int, inRuns: Bool) -> [PhaseColumn] {
        let longest = (width + dilation - 1) / dilation
        let parts = (longest + most - 1) / most
        var columns: [PhaseColumn] = []
        for part in 0..<parts {
            for left in 0..<min(dilation, width) {
                let outputs = (width - left + dilation - 1) / dilation
                let own = outputs * part / parts..<outputs * (part + 1) / parts
                guard !own.isEmpty else { continue }
                columns.append(
                    PhaseColumn(
                        first: left + own.lowerBound * dilation, count: own.count, hasLeft: own.lowerBound > 0, hasRight: own.upperBound < outputs,
                        run: TileRun(first: columns.count, count: 1, step: 0)))
            }
        }
        guard inRuns else { return columns }
        return TileRun.runs(places: columns.map(\.first)) { a, b in
            let (a, b) = (columns[a], columns[b])
            return a.count == b.count && a.hasLeft == b.hasLeft && a.hasRight == b.hasRight
        }.map { run in
            let column = columns[run.first]
            return PhaseColumn(first: column.first, count: column.count, hasLeft: column.hasLeft, hasRight: column.hasRight, run: run)
        }
    }
}
