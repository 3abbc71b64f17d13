/// Tiles along an axis that differ in nothing but their place, at equal distances: one call of a kernel computes them all.
public struct TileRun: Sendable, Equatable {
    /// The number of the first tile.
    public let first: Int
    /// How many tiles, and outputs from each to the next.
    public let count, step: Int

    public init(first: Int, count: Int, step: Int) {
        self.first = first
        self.count = count
        self.step = step
    }

    /// So many tiles, each by itself.
    public static func singles(_ count: Int) -> [TileRun] { (0..<count).map { TileRun(first: $0, count: 1, step: 0) } }

    /// The same in runs of at most so many. `tile` finds the number of the tile so many outputs behind the first.
    public func parts(most: Int, tile: (_ outputs: Int) -> Int) -> [TileRun] {
        stride(from: 0, to: count, by: most).map { TileRun(first: tile($0 * step), count: min(most, count - $0), step: step) }
    }

    /// Tiles whose first outputs lie at `places`, each in one run, the longest runs first cut from the left. `alike` says of the numbers of
    /// two tiles whether they differ in their place alone.
    public static func runs(places: [Int], alike: (Int, Int) -> Bool) -> [TileRun] {
        var left = places.indices.sorted { places[$0] < places[$1] }
        var result: [TileRun] = []
        while let first = left.first {
            let own = left.filter { alike(first, $0) }
            let there = Set(own.map { places[$0] })
            var best = (count: 1, step: 0)
            for next in own.dropFirst() {
                let step = places[next] - places[first]
                var count = 2
                while there.contains(places[first] + count * step) { count += 1 }
                if count > best.count { best = (count, step) }
            }
            let taken = Set((0..<best.count).map { places[first] + $0 * best.step })
            let run = Set(own.filter { taken.contains(places[$0]) })
            left.removeAll(where: run.contains)
            result.append(TileRun(first: first, count: best.count, step: best.step))
        }
        return result
    }
}
