/// A function's code.
public struct Function: Sendable {
    /// As the linker knows it.
    public let symbol: String
    /// By address.
    public let instructions: [Instruction]

    public init(symbol: String, instructions: [Instruction]) {
        self.symbol = symbol
        self.instructions = instructions
    }

    /// Loops that hold no other, in the order of their heads.
    public var innermostLoops: [Loop] { loops { $0.own.count == $0.whole.count } }
    /// Loops of all depths, each without those inside it.
    public var loops: [Loop] { loops { !$0.own.isEmpty } }

    private func loops(_ isWanted: ((own: [Int], whole: [Int])) -> Bool) -> [Loop] {
        guard !instructions.isEmpty else { return [] }
        let all = ControlFlow(instructions).loops
        let bodies = all.map { Set($0.whole) }
        // Smaller loops come first: those that a loop holds are known by then.
        var heights = [Int](repeating: 1, count: all.count)
        for outer in all.indices.sorted(by: { bodies[$0].count < bodies[$1].count }) {
            for inner in all.indices where bodies[inner].count < bodies[outer].count && bodies[inner].isSubset(of: bodies[outer]) {
                heights[outer] = max(heights[outer], heights[inner] + 1)
            }
        }
        return zip(all, heights).filter { isWanted($0.0) }.map { loop, height in
            Loop(
                instructions: loop.own.map { instructions[$0] }, height: height,
                changed: Set(loop.whole.compactMap { instructions[$0].writtenRegister }))
        }
    }
}

/// The instructions of one loop, and what they are.
public struct Loop: Sendable {
    /// By address; the compiler may have put other code between them.
    public let instructions: [Instruction]
    /// Loops inside each other, itself and below: 1 where it holds no other.
    public let height: Int
    /// The registers that it or a loop inside it writes.
    private let changed: Set<String>

    init(instructions: [Instruction], height: Int, changed: Set<String>) {
        self.instructions = instructions
        self.height = height
        self.changed = changed
    }

    /// From the first to the last.
    public var addresses: ClosedRange<UInt64> { instructions.first!.address...instructions.last!.address }

    /// Multiply-adds of whole vectors: fused ones, or the products where there are none.
    public var multiplyAdds: Int {
        let fused = count(\.isVectorFMA)
        return fused > 0 ? fused : count(\.isVectorProduct)
    }
    /// Multiply-adds of one value: fused ones, and products that meet sums.
    public var scalarFMAs: Int { count(\.isScalarFMA) + min(count(\.isScalarProduct), count(\.isScalarSum)) }
    public var loads: Int { count(\.loads) }
    public var broadcasts: Int { count(\.broadcasts) }
    public var stores: Int { count(\.stores) }
    /// Vectors on their way to memory or back that should have stayed in registers: through the stack, or through an address that the loop
    /// both writes and reads and that stays the same.
    public var spills: Int {
        let vectors = instructions.filter { $0.holdsVector && $0.addressText != nil }
        let written = Set(vectors.lazy.filter(\.stores).map { $0.addressText! })
        let read = Set(vectors.lazy.filter(\.loads).map { $0.addressText! })
        let kept = written.intersection(read).filter { address in
            address.split { "(,)".contains($0) }.filter { $0.hasPrefix("%") }.allSatisfy { !changed.contains(Instruction.wholeRegister($0.dropFirst())) }
        }
        return vectors.count { $0.spills || ($0.loads || $0.stores) && kept.contains($0.addressText!) }
    }
    public var divisions: Int { count(\.isDivision) }
    public var calls: Int { count(\.isCall) }

    private func count(_ property: KeyPath<Instruction, Bool>) -> Int { instructions.count { $0[keyPath: property] } }
}
