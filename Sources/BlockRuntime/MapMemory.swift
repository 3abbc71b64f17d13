import ConvCore

/// Lays the maps of a block into one piece of memory so that two share a place only when they are not alive together.
package struct MapMemory {
    /// A map that is alive from the step that first writes it to the step that last reads it.
    package struct Life {
        package var bytes: Int
        package var first: Int
        package var last: Int

        package init(bytes: Int, first: Int, last: Int) { (self.bytes, self.first, self.last) = (bytes, first, last) }
    }

    /// In bytes, one per life.
    package let offsets: [Int]
    package let bytes: Int

    /// Greedy: the largest first, each at the lowest place that is free during its life. While that takes more than what is alive at once,
    /// what lies highest goes before all others in the next attempt: up to a sixth less for blocks of separables.
    package init(_ lives: [Life]) {
        var order = lives.indices.sorted { (lives[$0].bytes, $1) > (lives[$1].bytes, $0) }
        let least = lives.map { Self.bytesAlive(lives, at: $0.first) }.max() ?? 0
        var best = Self.place(lives, in: order)
        var last = best
        for _ in 0..<min(lives.count, Self.attempts) where best.bytes > least {
            let highest = order.firstIndex { last.offsets[$0] + Self.rounded(lives[$0].bytes) == last.bytes }!
            order.insert(order.remove(at: highest), at: 0)
            last = Self.place(lives, in: order)
            if last.bytes < best.bytes { best = last }
        }
        (offsets, bytes) = best
    }

    /// Blocks of dozens of branches would take seconds to lay.
    private static let attempts = 40

    /// Of what is alive at a step, as it is laid.
    static func bytesAlive(_ lives: [Life], at step: Int) -> Int {
        lives.reduce(0) { $1.first <= step && step <= $1.last ? $0 + rounded($1.bytes) : $0 }
    }

    private static func place(_ lives: [Life], in order: [Int]) -> (offsets: [Int], bytes: Int) {
        var offsets = [Int](repeating: 0, count: lives.count)
        var placed: [Int] = []
        var end = 0
        for index in order {
            let life = lives[index]
            var at = 0
            for other in placed.sorted(by: { offsets[$0] < offsets[$1] })
            where lives[other].first <= life.last && life.first <= lives[other].last {
                if offsets[other] >= at + rounded(life.bytes) { break }
                at = max(at, offsets[other] + rounded(lives[other].bytes))
            }
            offsets[index] = at
            placed.append(index)
            end = max(end, at + rounded(life.bytes))
        }
        return (offsets, end)
    }

    private static func rounded(_ bytes: Int) -> Int { AlignedMemory.rounded(bytes) + AlignedMemory.mapSpacing }
}
