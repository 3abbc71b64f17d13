import ConvCore

/// Lays the maps of a block into one piece of memory so that two share a place only when they are not alive together.
package struct MapMemory {
    /// A map that is alive from the step that first writes it to the step that last reads it.
    package struct Life {
        package var bytes: Int
        package var first: Int
        package var last: Int
        /// Of lives with different lanes all are alive together, whatever their steps; nil is in step with all.
        package var lane: Int?

        package init(bytes: Int, first: Int, last: Int, lane: Int? = nil) {
            (self.bytes, self.first, self.last, self.lane) = (bytes, first, last, lane)
        }

        package func meets(_ other: Life) -> Bool {
            if let lane, let other = other.lane, lane != other { return true }
            return first <= other.last && other.first <= last
        }
    }

    /// In bytes, one per life.
    package let offsets: [Int]
    package let bytes: Int

    /// Greedy: the largest first, each at the lowest place that is free during its life. While that takes more than what is alive at once,
    /// what lies highest goes before all others in the next attempt: up to a sixth less for blocks of separables.
    package init(_ lives: [Life]) {
        var order = lives.indices.sorted { (lives[$0].bytes, $1) > (lives[$1].bytes, $0) }
        let least = lives.map { Self.bytesAlive(lives, at: $0.first, lane: $0.lane) }.max() ?? 0
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

    /// Of what is alive at a step of a lane, as it is laid, whatever step the others are at.
    static func bytesAlive(_ lives: [Life], at step: Int, lane: Int? = nil) -> Int {
        let others = lane == nil ? [] : Set(lives.compactMap(\.lane)).subtracting([lane!])
        let own = lives.reduce(0) { sum, life in
            !others.contains(life.lane ?? -1) && life.first <= step && step <= life.last ? sum + rounded(life.bytes) : sum
        }
        return others.reduce(own) { sum, other in
            let lives = lives.filter { $0.lane == other }
            return sum + lives.map { bytesAlive(lives, at: $0.first) }.max()!
        }
    }

    private static func place(_ lives: [Life], in order: [Int]) -> (offsets: [Int], bytes: Int) {
        var offsets = [Int](repeating: 0, count: lives.count)
        var placed: [Int] = []
        var end = 0
        for index in order {
            let life = lives[index]
            var at = 0
            for other in placed.sorted(by: { offsets[$0] < offsets[$1] })
            where lives[other].meets(life) {
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
