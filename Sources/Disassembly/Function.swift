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
    public var innermostLoops: [Loop] {
        instructions.isEmpty ? [] : ControlFlow(instructions).innermostLoops.map { Loop(instructions: $0.map { instructions[$0] }) }
    }
}

/// The instructions of one loop, and what they are.
public struct Loop: Sendable {
    /// By address; the compiler may have put other code between them.
    public let instructions: [Instruction]

    public init(instructions: [Instruction]) { self.instructions = instructions }

    /// From the first to the last.
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
