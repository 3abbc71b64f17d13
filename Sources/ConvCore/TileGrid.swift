import ThreadPool

/// The grid of row tiles × column panels of a matrix product, cut into as many near-equal parts as there are threads: over
/// the rows as long as that leaves no thread with more to do than the other way, over the panels otherwise.
public struct TileGrid: Sendable {
    private let rows, tileRows, panelCount: Int
    private let rowCuts, panelCuts: Int

    /// `panelCost`: what every thread has to do for a panel before its first tile, in tiles.
    public init(rows: Int, tileRows: Int, panels: Int, threads: Int, panelCost: Int = 0) {
        self.rows = rows
        self.tileRows = tileRows
        panelCount = panels
        let tiles = (rows + tileRows - 1) / tileRows
        // The cut that leaves the least work to the busiest thread; on a tie the one with more row cuts.
        var best = (cost: Int.max, cuts: 1)
        for cuts in 1...threads where threads % cuts == 0 {
            let across = threads / cuts
            let cost = ((tiles + cuts - 1) / cuts + panelCost) * ((panels + across - 1) / across)
            if cost <= best.cost { best = (cost, cuts) }
        }
        rowCuts = best.cuts
        panelCuts = threads / best.cuts
    }

    /// The rows of thread `index`; a whole number of tiles, but for the last.
    public func rows(of index: Int) -> Range<Int> {
        let tiles = (rows + tileRows - 1) / tileRows
        let share = ThreadPool.share(of: tiles, index: index / panelCuts, parts: rowCuts)
        return (share.lowerBound * tileRows)..<min(share.upperBound * tileRows, rows)
    }

    /// The most rows and panels of a thread.
    public var mostRows: Int { min(rows, ((rows + tileRows - 1) / tileRows + rowCuts - 1) / rowCuts * tileRows) }
    public var mostPanels: Int { (panelCount + panelCuts - 1) / panelCuts }

    public func panels(of index: Int) -> Range<Int> {
        ThreadPool.share(of: panelCount, index: index % panelCuts, parts: panelCuts)
    }
}
