import ConvCore

/// Lays the maps of a block into one piece of memory so that two share a place only when they are not alive together.
struct MapMemory {
    /// A map that is alive from the step that first writes it to the step that last reads it.
    struct Life {
        var bytes: Int
        var first: Int
        var last: Int
    }

    /// In bytes, one per life.
    let offsets: [Int]
    let bytes: Int

    /// Greedy: the largest first, each at the lowest place that is free during its life.
    init(_ lives: [Life]) {
        var offsets = [Int](repeating: 0, count: lives.count)
        var placed: [Int] = []
        var end = 0
        for index in lives.indices.sorted(by: { (lives[$0].bytes, $1) > (lives[$1].bytes, $0) }) {
            let life = lives[index]
            var at = 0
            for other in placed.sorted(by: { offsets[$0] < offsets[$1] })
            where lives[other].first <= life.last && life.first <= lives[other].last {
                if offsets[other] >= at + life.bytes { break }
                at = max(at, offsets[other] + Self.rounded(lives[other].bytes))
            }
            offsets[index] = at
            placed.append(index)
            end = max(end, at + Self.rounded(life.bytes))
        }
        self.offsets = offsets
        bytes = end
    }

    private static func rounded(_ bytes: Int) -> Int { AlignedMemory.rounded(bytes) + AlignedMemory.mapSpacing }
}
