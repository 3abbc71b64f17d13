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
    public var innermostLoops: [Loop] { loops { $0 } }
    /// Loops of all depths, each without those inside it.
    public var loops: [Loop] { loops { _ in true } }

    private func loops(_ isWanted: (_ isInnermost: Bool) -> Bool) -> [Loop] {
        guard !instructions.isEmpty else { return [] }
        return ControlFlow(instructions).loops.filter { isWanted($0.isInnermost) && !$0.own.isEmpty }
            .map { Loop(instructions: $0.own.map { instructions[$0] }) }
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
    /// Vectors on their way to memory or back that should have stayed in registers: through the stack, or through an address that the loop
    /// both writes and reads and that stays the same.
    public var spills: Int {
        let vectors = instructions.filter { $0.holdsVector && $0.addressText != nil }
        let written = Set(vectors.lazy.filter(\.stores).map { $0.addressText! })
        let read = Set(vectors.lazy.filter(\.loads).map { $0.addressText! })
        let changed = Set(instructions.compactMap(\.writtenRegister))
        let kept = written.intersection(read).filter { address in
            address.split { "(,)".contains($0) }.filter { $0.hasPrefix("%") }.allSatisfy { !changed.contains(Instruction.wholeRegister($0.dropFirst())) }
        }
        return vectors.count { $0.spills || ($0.loads || $0.stores) && kept.contains($0.addressText!) }
    }
    public var divisions: Int { count(\.isDivision) }
    public var calls: Int { count(\.isCall) }

    private func count(_ property: KeyPath<Instruction, Bool>) -> Int { instructions.count { $0[keyPath: property] } }
}
