import ConvCore

/// What stored times of a kernel depend on besides the machine: its code, that of all it calls, the compiler, the flags, the
/// library. The hashes of sources are made while the package is built (`Sources/FingerprintTool`).
public struct KernelFingerprint: Hashable, Sendable, CustomStringConvertible {
    public let description: String

    /// `library`: the release of OpenBLAS and its kernel set in use.
    public init(_ kernel: Kernel, library: String?) {
        var hash = FNV()
        // One that is made of two has the files of both.
        for source in kernel.source.split(separator: "+") {
            let file = String(source.split(separator: "/").last ?? "")
            // A kernel whose file is none of ours (a test's) has at least its name.
            hash.add(sourceHashes[file].map { String($0, radix: 16) } ?? String(source))
        }
        hash.add(kernel.isa == "openblas" ? library ?? "" : kernel.isa)
        #if DEBUG
        hash.add("debug")
        #endif
        description = hash.text
    }

    /// Of a kernel's space: changes with any configuration that it admits and with the standard, not with the code or the words of
    /// the constraint.
    static func space(_ space: ConfigurationSpace) -> String {
        var hash = FNV()
        for configuration in [space.standard] + space.all { hash.add("\(configuration);") }
        return String(hash.text.suffix(8))
    }

    /// What a pick says of a kernel that took part: `name:hash`, of code and space.
    static func cover(_ kernel: Kernel, library: String?) -> String {
        "\(kernel.name):\(KernelFingerprint(kernel, library: library).description.suffix(8))\(space(kernel.space))"
    }
}

/// FNV-1a, 64 bits.
struct FNV {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325
    mutating func add(_ text: String) { for byte in text.utf8 { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 } }
    /// 16 hexadecimal digits.
    var text: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
