import Harness
import KernelRegistry

/// Files beside this machine's results.
enum MachineFolder {
    static func path(_ file: String, in results: String = "results") -> String {
        let registry = (try? InstructionSet.usable()).map { KernelRegistry(level: $0) }
        return "\(results)/\(MachineProfile.unmeasured(levels: registry?.probes.map(\.name) ?? []).slug)/\(file)"
    }
}
