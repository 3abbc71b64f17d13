import ConvCore
import Harness
import Results

/// What this process is: a stored row is held against it before it may decide anything.
public struct StoreIdentity: Sendable {
    /// The folder name of the machine's results.
    public var machine: String
    /// Vendor, family, model, stepping; the CPU's name where it does not tell.
    public var cpu: String
    public var harness: String
    /// Instruction sets and libraries whose kernels can run here.
    public var isas: Set<String>
    /// By kernel.
    public var fingerprints: [String: String]
    /// By kernel: code and space, as a pick's `covers` lists them.
    public var covers: [String: String]

    /// `library`: the release of OpenBLAS and its kernel set in use.
    public init(_ profile: MachineProfile, kernels: [Kernel], library: String?) {
        machine = profile.slug
        cpu = profile.cpuID ?? profile.cpu
        harness = "\(harnessVersion)"
        isas = Set(kernels.map(\.isa))
        fingerprints = Dictionary(
            kernels.map { ($0.name, KernelFingerprint($0, library: library).description) }, uniquingKeysWith: { first, _ in first })
        covers = Dictionary(
            kernels.map { ($0.name, KernelFingerprint.cover($0, library: library)) }, uniquingKeysWith: { first, _ in first })
    }
}

/// Whether a stored row may decide here. Three levels: a row that was measured on or with something else is refused; one whose
/// kernel has other code is measured again before it counts; what only looks odd is said.
public enum RowValidity: Sendable, Equatable {
    case valid
    /// Used, with a warning.
    case warned(String)
    /// Proposes its candidate for measuring; its time is not used.
    case stale(String)
    /// Listed, not used.
    case refused(String)

    public var decides: Bool {
        switch self {
        case .valid, .warned: true
        case .stale, .refused: false
        }
    }

    /// What is wrong: expected against found; empty for a valid row.
    public var reason: String {
        switch self {
        case .valid: ""
        case .warned(let text), .stale(let text), .refused(let text): text
        }
    }
}

extension StoreIdentity {
    public func validity(of row: ResultRow) -> RowValidity {
        let t = row.tuning
        let refusals: [(what: String, expected: String, found: String)] = [
            ("CPU", cpu, t.cpuID), ("harness version", harness, t.harness), ("data type", "f32", row.dtype),
        ]
        for (what, expected, found) in refusals where expected != found {
            return .refused("\(what): expected \(expected), found \(found.isEmpty ? "none" : found)")
        }
        guard isas.contains(row.isa) else {
            return .refused("instruction set: expected one of \(isas.sorted().joined(separator: ", ")), found \(row.isa)")
        }
        guard let expected = fingerprints[row.kernel] else { return .refused("kernel: expected one of this build's, found \(row.kernel)") }
        guard expected == t.fingerprint else { return .stale("kernel code: expected \(expected), found \(t.fingerprint)") }
        guard row.machine == machine else { return .warned("machine: expected \(machine), found \(row.machine)") }
        return .valid
    }
}
