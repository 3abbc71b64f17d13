import CPUFeatures
import Foundation

/// The instruction-set levels that the vector kernels are compiled for, lowest first.
public enum InstructionSet: String, CaseIterable, Sendable, Comparable {
    /// What every CPU of the architecture has: SSE2 on x86-64, NEON on arm64.
    case baseline
    /// AVX2 and FMA.
    case v3
    /// AVX-512 F, BW, CD, DQ, VL.
    case v4

    public static func < (a: InstructionSet, b: InstructionSet) -> Bool {
        allCases.firstIndex(of: a)! < allCases.firstIndex(of: b)!
    }

    /// The highest level whose instructions this CPU runs, whatever the environment says.
    public static let detected: InstructionSet = {
        switch atrous_x86_level() {
        case 4: .v4
        case 3: .v3
        default: .baseline
        }
    }()

    /// The environment variable that caps the level.
    public static let capVariable = "ATROUS_ISA"

    /// The highest level that may be used: ``detected``, or `ATROUS_ISA` where that is lower.
    public static func usable(environment: [String: String] = ProcessInfo.processInfo.environment) throws -> InstructionSet {
        guard let text = environment[capVariable], !text.isEmpty else { return detected }
        guard let cap = InstructionSet(rawValue: text) else { throw InstructionSetError.unknown(text) }
        guard cap <= detected else { throw InstructionSetError.lacking(cap, detected: detected) }
        return cap
    }
}

public enum InstructionSetError: Error, Equatable, CustomStringConvertible {
    case unknown(String)
    case lacking(InstructionSet, detected: InstructionSet)

    public var description: String {
        switch self {
        case .unknown(let text):
            "ATROUS_ISA='\(text)' is no level; write \(InstructionSet.allCases.map(\.rawValue).joined(separator: ", ")) or unset it"
        case .lacking(let level, let detected):
            "ATROUS_ISA=\(level.rawValue) asks for more than this CPU has; write \(detected.rawValue) or lower"
        }
    }
}
