/// The basic blocks of a function, what follows each, and the loops they make.
///
/// A loop is a natural one: a jump whose target dominates it closes it, and every block that reaches the jump past the target belongs to
/// it, wherever the compiler put it. A jump back from a block that was moved behind the function closes none by itself: what it
/// returns to can be reached without it.
struct ControlFlow {
    /// Indices into the instructions, by block.
    private let blocks: [Range<Int>]
    private let successors: [[Int]]
    private let predecessors: [[Int]]
    /// The entry is block 0 and its own; nil for what nothing leads to.
    private let dominators: [Int?]

    init(_ instructions: [Instruction]) {
        let indices = Dictionary(instructions.indices.map { (instructions[$0].address, $0) }, uniquingKeysWith: { first, _ in first })
        let targets = instructions.map { $0.jumpTarget.flatMap { indices[$0] } }
        var leaders: Set<Int> = [0]
        for (i, instruction) in instructions.enumerated() where instruction.endsBlock {
            leaders.insert(i + 1)
            if let target = targets[i] { leaders.insert(target) }
        }
        leaders.remove(instructions.count)
        let starts = leaders.sorted()
        let blocks = starts.indices.map { starts[$0]..<($0 + 1 < starts.count ? starts[$0 + 1] : instructions.count) }
        let block = Dictionary(uniqueKeysWithValues: starts.indices.map { (starts[$0], $0) })
        var successors = blocks.indices.map { b -> [Int] in
            let last = blocks[b].upperBound - 1
            let jump = targets[last].map { block[$0]! }
            return [jump, instructions[last].fallsThrough && b + 1 < blocks.count ? b + 1 : nil].compactMap(\.self)
        }
        // An indirect jump's table is not read: it may lead to every block that nothing else leads to.
        let known = Set(successors.joined())
        let orphans = blocks.indices.dropFirst().filter { !known.contains($0) && !instructions[blocks[$0]].allSatisfy(\.isPadding) }
        for b in blocks.indices where instructions[blocks[b].upperBound - 1].isIndirectJump { successors[b] += orphans }
        self.blocks = blocks
        self.successors = successors
        predecessors = Self.reversed(successors)
        dominators = Self.dominators(successors, predecessors)
    }

    /// Every loop in the order of their heads, by indices into the instructions: without the loops inside it, and with them.
    var loops: [(own: [Int], whole: [Int])] {
        var bodies: [Int: Set<Int>] = [:]
        for b in blocks.indices {
            for head in successors[b] where dominates(head, b) { bodies[head, default: [head]].formUnion(body(from: b, to: head)) }
        }
        return bodies.sorted { $0.key < $1.key }.map { head, body in
            let inner = bodies.filter { $0.key != head && body.contains($0.key) }
            let own = inner.values.reduce(body) { $0.subtracting($1) }
            return (own.sorted().flatMap { blocks[$0] }, body.sorted().flatMap { blocks[$0] })
        }
    }

    /// The blocks that reach `end` without passing the head.
    private func body(from end: Int, to head: Int) -> Set<Int> {
        var (found, open) = (Set([head, end]), end == head ? [] : [end])
        while let b = open.popLast() {
            for before in predecessors[b] where dominators[before] != nil && found.insert(before).inserted { open.append(before) }
        }
        return found
    }

    private func dominates(_ a: Int, _ b: Int) -> Bool {
        guard dominators[b] != nil else { return false }
        var b = b
        // A dominator comes earlier on the way, and the entry is its own.
        while b != a, let next = dominators[b], next != b { b = next }
        return b == a
    }

    private static func reversed(_ successors: [[Int]]) -> [[Int]] {
        var predecessors = [[Int]](repeating: [], count: successors.count)
        for (b, next) in successors.enumerated() { for s in next { predecessors[s].append(b) } }
        return predecessors
    }

    /// The immediate dominator of each block.
    /// Source: Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm", 2001.
    private static func dominators(_ successors: [[Int]], _ predecessors: [[Int]]) -> [Int?] {
        guard !successors.isEmpty else { return [] }
        let order = postorder(successors)
        var number = [Int](repeating: -1, count: successors.count)
        for (n, b) in order.enumerated() { number[b] = n }
        var dominators = [Int?](repeating: nil, count: successors.count)
        dominators[0] = 0
        var changed = true
        while changed {
            changed = false
            for b in order.reversed() where b != 0 {
                var new: Int?
                for before in predecessors[b] where dominators[before] != nil {
                    guard var one = new else {
                        new = before
                        continue
                    }
                    var other = before
                    while one != other {
                        while number[one] < number[other] { one = dominators[one]! }
                        while number[other] < number[one] { other = dominators[other]! }
                    }
                    new = one
                }
                if dominators[b] != new { (dominators[b], changed) = (new, true) }
            }
        }
        return dominators
    }

    /// Without recursion: a function of kernels may have thousands of blocks.
    private static func postorder(_ successors: [[Int]]) -> [Int] {
        var order: [Int] = []
        var seen: Set<Int> = [0]
        var path: [(block: Int, next: Int)] = [(0, 0)]
        while let (block, next) = path.last {
            guard next < successors[block].count else {
                order.append(block)
                path.removeLast()
                continue
            }
            path[path.count - 1].next += 1
            let successor = successors[block][next]
            if seen.insert(successor).inserted { path.append((successor, 0)) }
        }
        return order
    }
}

extension Instruction {
    private var isReturn: Bool { mnemonic.hasPrefix("ret") || mnemonic == "ud2" || mnemonic == "hlt" }
    private var isJump: Bool { mnemonic.hasPrefix("j") }
    fileprivate var endsBlock: Bool { isJump || isReturn }
    fileprivate var isIndirectJump: Bool { mnemonic == "jmp" && operands.hasPrefix("*") }
    /// Whether the next instruction may follow.
    fileprivate var fallsThrough: Bool { mnemonic != "jmp" && !isReturn }
}
