import ConvCore
import FaultyKernels
import KernelRegistry
import OptionParsing

/// The kernels that the options ask for.
struct KernelSelection {
    let registry: KernelRegistry
    /// Those that take part.
    var all: [Kernel] { kernels }
    private let kernels: [Kernel]
    /// Configurations that were named outright, by kernel.
    private let named: [String: [Configuration]]
    private let allConfigurations: Bool
    private let isas: Set<String>

    /// `everyLevel`: without --isa the vector kernels of all usable levels take part, otherwise the highest's.
    /// `allConfigurations`: each with all its configurations, without an option that says so.
    init(_ values: Values, everyLevel: Bool, allConfigurations: Bool = false) throws {
        let registry = KernelRegistry(level: try InstructionSet.usable())
        self.registry = registry
        let levels = InstructionSet.allCases.filter { $0 <= registry.level }.map(\.rawValue)
        var chosen = try values.words("isa", among: InstructionSet.allCases.map(\.rawValue) + ["all"])
        if let missing = chosen?.first(where: { $0 != "all" && !levels.contains($0) }) {
            throw UsageError("--isa \(missing): this CPU or ATROUS_ISA stops at \(registry.level.rawValue)")
        }
        if chosen?.contains("all") ?? everyLevel { chosen = levels }
        let isas = Set(chosen ?? [registry.level.rawValue])
        self.isas = isas
        let families = try values.words("family", among: Kernel.Family.allCases.map(\.rawValue))
        let layout = values.string("layout")
        var named: [String: [Configuration]] = [:]
        var patterns: [Pattern] = []
        for text in values.strings("kernel") {
            let parts = text.split(separator: "@", maxSplits: 1).map(String.init)
            guard parts.count == 2 else {
                patterns.append(try Pattern(text, flag: "--kernel")!)
                continue
            }
            guard let kernel = registry.kernel(named: parts[0]) else { throw Self.unknown(parts[0], registry) }
            do {
                named[kernel.name, default: []].append(try kernel.space.parse(parts[1]))
            } catch {
                throw UsageError("--kernel '\(text)': \(error)")
            }
        }
        var kernels = registry.kernels.filter { kernel in
            if named[kernel.name] != nil { return true }
            let vector = InstructionSet(rawValue: kernel.isa) != nil
            return (!vector || isas.contains(kernel.isa) || !patterns.isEmpty && chosen == nil)
                && (families?.contains(kernel.family.rawValue) ?? true)
                && (patterns.isEmpty ? named.isEmpty : patterns.contains { $0.matches(kernel.name) })
        }
        if let layout { kernels.removeAll { $0.layout.rawValue != layout } }
        if kernels.isEmpty {
            guard let text = values.strings("kernel").first else {
                throw UsageError("no kernel is left; loosen --family, --isa or --layout")
            }
            throw Self.unknown(text, registry)
        }
        if values.flag("faults") {
            // Of a kernel that takes ordinary problems: broken ones that are left out show nothing.
            for ordinary in ["dw:c64h20k3", "pw:c64o64h20", "conv:c64o64h20k3"] {
                let problem = try Problem(parsing: ordinary)
                if let kernel = kernels.last(where: { $0.layer == problem.layer && $0.supports(problem) == .yes }) {
                    kernels += faultyKernels(breaking: kernel)
                }
            }
        }
        self.kernels = kernels
        self.named = named
        self.allConfigurations = allConfigurations || values.string("configurations") == "all"
    }

    /// Said where no kernel at all is for the problems' layers and threads.
    static func nothingLeft(_ command: String) -> UsageError {
        UsageError(
            "\(command): no kernel is left for these layers and threads; naive and simd kernels use one thread; loosen --kernel, --family or --isa, or write --threads 1")
    }

    static func unknown(_ text: String, _ registry: KernelRegistry) -> UsageError {
        let nearest = nearestName(to: text, in: registry.kernels.map(\.name))
        return UsageError(
            "--kernel '\(text)' matches no kernel" + (nearest.map { "; did you mean \($0)?" } ?? "")
                + "; `atrous list kernels` lists them")
    }

    /// Whether no kernel has that name, at a level that this CPU and `ATROUS_ISA` allow.
    func lacks(_ name: String) -> Bool {
        registry.kernel(named: name) == nil && !InstructionSet.allCases.contains { $0 > registry.level && name.hasSuffix("-\($0.rawValue)") }
    }

    /// Whether kernels built for that take part: scalar and library ones do at any level.
    func admits(isa: String) -> Bool { InstructionSet(rawValue: isa) == nil || isas.contains(isa) }

    /// The candidates for a problem with so many threads, and the kernels that cannot run it, with their reasons. With more
    /// than one thread only kernels that use them take part.
    func candidates(for problem: Problem, threads: Int) -> (able: [Candidate], unable: [(name: String, reason: String)]) {
        var able: [Candidate] = []
        var unable: [(String, String)] = []
        for kernel in kernels where kernel.layer == problem.layer && (threads == 1 || kernel.threaded) {
            if case .no(let reason) = kernel.supports(problem) {
                unable.append((kernel.name, reason))
                continue
            }
            let configurations =
                named[kernel.name] ?? (allConfigurations ? kernel.space.all : [kernel.space.standard])
            able += configurations.map { Candidate(kernel, $0) }
        }
        return (able, unable)
    }

    /// What a store's row names, chosen by the options or not; nil for what cannot run the problem here.
    func registered(_ name: String, _ configuration: String, for problem: Problem, threads: Int) -> Candidate? {
        guard let kernel = registry.kernel(named: name), kernel.layer == problem.layer, threads == 1 || kernel.threaded,
            kernel.supports(problem) == .yes, let configuration = try? kernel.space.parse(configuration)
        else { return nil }
        return Candidate(kernel, configuration)
    }

    /// Every configuration that a tuner may have picked.
    func tunable(for problem: Problem, threads: Int) -> [Candidate] {
        kernels.filter { $0.layer == problem.layer && (threads == 1 || $0.threaded) && $0.supports(problem) == .yes }.flatMap { kernel in
            (named[kernel.name] ?? kernel.space.all).map { Candidate(kernel, $0) }
        }
    }
}
