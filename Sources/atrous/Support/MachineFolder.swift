import Harness
import KernelRegistry

/// Files beside this machine's results.
enum MachineFolder {
    /// `machine`: nil for the one that runs, which need not be measured for its name.
    static func path(_ file: String, of machine: MachineProfile? = nil, in results: String = "results") -> String {
        "\(results)/\((machine ?? own).slug)/\(file)"
    }

    private static var own: MachineProfile {
        let registry = (try? InstructionSet.usable()).map { KernelRegistry(level: $0) }
        return .unmeasured(levels: registry?.probes.map(\.name) ?? [])
    }
}
