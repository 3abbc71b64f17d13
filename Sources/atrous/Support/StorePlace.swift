import ConvCore
import Foundation
import Harness
import KernelRegistry
import OptionParsing
import Results
import Tuning

/// Where a tuning store lies, and the machine profile beside it.
struct StorePlace {
    /// `--store DIR|F.csv`: the file; nil for the default, `results/<machine>/tuning.csv`.
    private let file: String?

    init(_ values: Values) { file = values.string("store").map(Self.file) }

    func path(_ machine: MachineProfile) -> String { file ?? MachineFolder.path("tuning.csv", of: machine) }

    /// The same where the machine need not be known.
    func pathUnmeasured() throws -> String {
        if let file { return file }
        let registry = KernelRegistry(level: try InstructionSet.usable())
        return path(.unmeasured(registry))
    }

    /// The store's file where a folder or the file itself is named.
    static func file(_ text: String) -> String { text.hasSuffix(".csv") ? text : "\(text)/tuning.csv" }

    /// This machine's profile where one lies beside the store, or where results do by default; nil where none fits.
    func storedProfile(threads: [Int], _ kernels: KernelSelection) -> MachineProfile? {
        let bare = MachineProfile.unmeasured(kernels.registry)
        return [file, MachineFolder.path("tuning.csv", of: bare)].compactMap(\.self)
            .compactMap { MachineProfile.stored(Self.profile(beside: $0)) }.first { $0.fits(bare, threads: threads) }
    }

    private static func profile(beside file: String) -> String { FileWriting.beside(file, "machine.json") }

    /// The stored profile, so that a tuning that goes on orders its candidates as the one before it did; otherwise measured. With
    /// `write` it is kept beside the store.
    func profile(threads: [Int], _ kernels: KernelSelection, quiet: Bool, write: Bool) throws -> MachineProfile {
        func keep(_ profile: MachineProfile) throws -> MachineProfile {
            let path = Self.profile(beside: path(profile))
            if write, FileManager.default.contents(atPath: path) != (try profile.json) { try FileWriting.replace(path, with: profile.json) }
            return profile
        }
        if let stored = storedProfile(threads: threads, kernels) { return try keep(stored) }
        if !quiet { Console.note("measuring this machine's peaks") }
        let profile = MachineProfile.measure(probes: kernels.registry.probes, threads: threads)
        if !profile.scales {
            Console.warning(
                "the threads together stay below 80 % of their share of the FMA peak: something else uses this machine, and figures with several threads will mislead")
        }
        return try keep(profile)
    }

    /// Opens the store and says which of its rows are not used.
    func open(_ kernels: KernelSelection, quiet: Bool) throws -> TuningStore {
        let machine = MachineProfile.unmeasured(kernels.registry)
        let store = try TuningStore(path(machine), machine, kernels.registry)
        for warning in store.warnings { Console.warning(warning) }
        if !quiet { for line in store.unusedSummary { Console.warning(line) } }
        return store
    }
}

extension MachineProfile {
    /// nil where there is none that reads.
    static func stored(_ path: String) -> MachineProfile? {
        FileManager.default.contents(atPath: path).flatMap { try? JSONDecoder().decode(MachineProfile.self, from: $0) }
    }

    /// What can be told without measuring, for the levels of those kernels.
    static func unmeasured(_ registry: KernelRegistry) -> MachineProfile { .unmeasured(levels: registry.probes.map(\.name)) }

    /// Whether it is of the machine that `bare` tells of and holds what a roofline with so many threads needs.
    func fits(_ bare: MachineProfile, threads: [Int]) -> Bool {
        slug == bare.slug && cpuID == bare.cpuID && levels == bare.levels
            && ([1] + threads).allSatisfy { count in
                // A profile of another version may have been swept more coarsely.
                peaks.contains { $0.threads == count } && sweep?.filter { $0.threads == count }.map(\.level) == sweepSets(threads: count).map(\.level)
            }
    }
}

extension TuningStore {
    /// A store in whose rows the kernels of that registry on that machine may believe.
    convenience init(_ path: String, _ machine: MachineProfile, _ registry: KernelRegistry) throws {
        try self.init(path, identity: StoreIdentity(machine, kernels: registry.kernels, library: registry.openBLAS))
    }
}
