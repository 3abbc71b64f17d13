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

    /// Loops that hold no other: from the target of a jump back to that jump. Code that the compiler moved elsewhere is missed.
    public var innermostLoops: [Loop] {
        guard let first = instructions.first?.address else { return [] }
        var ranges: [ClosedRange<UInt64>] = []
        for instruction in instructions {
            guard let target = instruction.jumpTarget, target <= instruction.address, target >= first else { continue }
            ranges.append(target...instruction.address)
        }
        // Jumps back to one place are one loop, up to the last of them.
        var longest: [UInt64: UInt64] = [:]
        for range in ranges { longest[range.lowerBound] = max(longest[range.lowerBound] ?? 0, range.upperBound) }
        let loops = longest.map { $0.key...$0.value }.sorted { $0.lowerBound < $1.lowerBound }
        return loops.filter { loop in
            !loops.contains { $0 != loop && loop.contains($0.lowerBound) && loop.contains($0.upperBound) }
        }.map { loop in Loop(instructions: instructions.filter { loop.contains($0.address) }) }
    }
}

/// The instructions of one loop, and what they are.
public struct Loop: Sendable {
    public let instructions: [Instruction]

    public init(instructions: [Instruction]) { self.instructions = instructions }

    public var addresses: ClosedRange<UInt64> { instructions.first!.address...instructions.last!.address }

    /// Multiply-adds of whole vectors: fused ones, or the products where there are none.
    public var multiplyAdds: Int {
        let fused = count(\.isVectorFMA)
        return fused > 0 ? fused : count(\.isVectorProduct)
    }
    public var scalarFMAs: Int { count(\.isScalarFMA) }
    public var loads: Int { count(\.loads) }
    public var broadcasts: Int { count(\.broadcasts) }
    public var stores: Int { count(\.stores) }
    public var spills: Int { count(\.spills) }
    public var divisions: Int { count(\.isDivision) }
    public var calls: Int { count(\.isCall) }

    private func count(_ property: KeyPath<Instruction, Bool>) -> Int { instructions.count { $0[keyPath: property] } }
}
