import BlockRuntime
import ConvCore
import Testing

@Suite struct MapMemoryTests {
    typealias Life = MapMemory.Life

    /// Maps that are alive together never share a byte, and no more is taken than all of them one after the other; those of different
    /// lanes always are.
    @Test func noTwoThatAreAliveTogetherOverlap() {
        var random = RandomSource(seed: 7)
        for _ in 0..<300 {
            let lives = (0..<Int.random(in: 2...13, using: &random)).map { _ in
                let first = Int.random(in: 0..<8, using: &random)
                return Life(
                    bytes: Int.random(in: 1...5000, using: &random), first: first, last: first + Int.random(in: 0..<4, using: &random),
                    lane: [nil, nil, 0, 1].randomElement(using: &random)!)
            }
            let memory = MapMemory(lives)
            for (a, one) in lives.enumerated() {
                #expect(memory.offsets[a] >= 0 && memory.offsets[a] + one.bytes <= memory.bytes)
                for (b, other) in lives.enumerated() where b > a {
                    let apart = one.lane != nil && other.lane != nil && one.lane != other.lane
                    guard apart || one.first <= other.last && other.first <= one.last else { continue }
                    #expect(
                        memory.offsets[a] + one.bytes <= memory.offsets[b] || memory.offsets[b] + other.bytes <= memory.offsets[a])
                }
            }
            let each = lives.map { MapMemory([$0]).bytes }
            #expect(memory.bytes <= each.reduce(0, +) && memory.bytes >= each.max()!)
        }
    }

    /// Laid by size, the small one comes above two large ones, since each of them meets it in one step: 10 units where never more than 8
    /// are alive.
    @Test func whatLiesHighestIsLaidFirst() {
        let unit = 64 << 10
        let large = { (step: Int, last: Int) in Life(bytes: 4 * unit, first: step, last: last) }
        let lives = [Life(bytes: 2 * unit, first: 1, last: 2), large(0, 0), large(0, 1), large(2, 2)]
        #expect(MapMemory(lives).bytes == MapMemory([large(0, 0), large(0, 0)]).bytes)
    }
}
