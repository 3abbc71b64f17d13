/// One instruction of x86-64, in objdump's AT&T text: sources first, destination last.
public struct Instruction: Sendable, Equatable {
    public let address: UInt64
    public let mnemonic: String
    /// As printed, without the mnemonic.
    public let operands: String

    public init(address: UInt64, mnemonic: String, operands: String) {
        self.address = address
        self.mnemonic = mnemonic
        self.operands = operands
    }

    /// Reads `  1355b0:\tvmovaps 0x40(%rdx),%zmm6`; nil for lines that are no instruction.
    public init?(line: Substring) {
        guard let colon = line.firstIndex(of: ":"), let address = UInt64(line[..<colon].drop { $0 == " " }, radix: 16),
            line[colon...].dropFirst().first == "\t"
        else { return nil }
        var rest = line[colon...].dropFirst(2)
        var mnemonic: Substring
        repeat {
            rest = rest.drop { $0 == " " }
            mnemonic = rest.prefix { $0 != " " }
            rest = rest.dropFirst(mnemonic.count).drop { $0 == " " }
            // A prefix stands as a word of its own.
        } while Self.prefixes.contains(mnemonic) && !rest.isEmpty
        guard !mnemonic.isEmpty else { return nil }
        self.address = address
        self.mnemonic = String(mnemonic)
        // The comment names what an address is.
        operands = String((rest.firstIndex(of: "#").map { rest[..<$0] } ?? rest).trimmingSuffix { $0 == " " })
    }

    private static let prefixes: Set<Substring> = ["notrack", "lock", "rep", "repz", "repnz", "bnd", "data16", "cs"]

    /// Where a direct jump goes; nil for everything else, calls included.
    public var jumpTarget: UInt64? {
        guard mnemonic.hasPrefix("j") else { return nil }
        return UInt64(operands.prefix { $0 != " " }, radix: 16)
    }

    public var isCall: Bool { mnemonic.hasPrefix("call") }

    /// A fused multiply-add of whole vectors.
    public var isVectorFMA: Bool { isFMA && mnemonic.hasSuffix("ps") }
    /// A fused multiply-add of one value.
    public var isScalarFMA: Bool { isFMA && mnemonic.hasSuffix("ss") }
    private var isFMA: Bool { mnemonic.hasPrefix("vfmadd") || mnemonic.hasPrefix("vfnmadd") || mnemonic.hasPrefix("vfmsub") }
    /// A product of whole vectors: half of a multiply-add where there is no fused one.
    public var isVectorProduct: Bool { mnemonic == "mulps" || mnemonic == "vmulps" }

    public var isScalarProduct: Bool { mnemonic == "mulss" || mnemonic == "vmulss" }
    public var isScalarSum: Bool { mnemonic == "addss" || mnemonic == "vaddss" }

    public var isDivision: Bool { mnemonic == "divps" || mnemonic == "vdivps" }

    /// Whether it reads memory that its operands name.
    public var loads: Bool {
        guard let memory, !isAddressOnly else { return false }
        return !isMove || memory != .destination
    }
    /// Whether it writes memory that its operands name.
    public var stores: Bool {
        guard memory == .destination, !isAddressOnly else { return false }
        return !["cmp", "test", "vucomi", "ucomi", "vcomi", "comi"].contains { mnemonic.hasPrefix($0) }
    }
    /// Whether a vector goes to the stack or comes from it: a register that did not suffice.
    public var spills: Bool {
        (loads || stores) && holdsVector
            && (operands.contains("(%rsp") || operands.contains("(%rbp"))
    }
    /// The address in its operands, such as `0x40(%rdx,%rax,8)`.
    var addressText: Substring? {
        guard let open = operands.lastIndex(of: "("), let close = operands[open...].firstIndex(of: ")") else { return nil }
        let start = operands[..<open].lastIndex(of: ",").map { operands.index(after: $0) } ?? operands.startIndex
        return operands[start...close]
    }
    var holdsVector: Bool { ["%xmm", "%ymm", "%zmm"].contains { operands.contains($0) } }
    /// The general register that it writes, such as `rdx`, whatever part of it; nil for comparisons.
    var writtenRegister: String? {
        guard !["cmp", "test", "push"].contains(where: mnemonic.hasPrefix), memory != .destination,
            let last = operands.split(separator: ",").last?.trimmingPrefix(" "), last.hasPrefix("%")
        else { return nil }
        return Self.wholeRegister(last.dropFirst())
    }
    /// `edx`, `dx` and `dl` are parts of `rdx`, `r9d` of `r9`.
    static func wholeRegister(_ name: Substring) -> String {
        if name.hasPrefix("r"), name.dropFirst().first?.isNumber == true { return "r" + name.dropFirst().prefix { $0.isNumber } }
        var core = name
        if core.count == 3, let first = core.first, first == "r" || first == "e" { core = core.dropFirst() }
        if core.hasSuffix("l") && core.count <= 3 { core = core.dropLast() }
        if core.count == 1 { return "r\(core)x" }
        return "r\(core)"
    }
    public var broadcasts: Bool { loads && (mnemonic.contains("broadcast") || operands.contains("{1to")) }

    private enum Memory { case source, destination }

    private var memory: Memory? {
        guard let open = operands.lastIndex(of: "(") else { return nil }
        // Behind a destination only its closing parenthesis and a mask may follow.
        return operands[open...].drop { $0 != ")" }.contains(",") ? .source : .destination
    }

    /// What fills the room before an aligned target, and is never run.
    var isPadding: Bool { mnemonic.hasPrefix("nop") || mnemonic == "int3" || mnemonic == "xchg" && operands == "%ax,%ax" }

    private var isMove: Bool { mnemonic.hasPrefix("mov") || mnemonic.hasPrefix("vmov") || mnemonic.hasPrefix("vextract") }
    private var isAddressOnly: Bool {
        mnemonic.hasPrefix("lea") || mnemonic.hasPrefix("nop") || mnemonic.hasPrefix("prefetch")
    }
}

extension Substring {
    fileprivate func trimmingSuffix(_ drop: (Character) -> Bool) -> Substring {
        var text = self
        while let last = text.last, drop(last) { text.removeLast() }
        return text
    }
}
