import BlockRuntime
import ConvCore
import KernelRegistry
import OptionParsing
import ThreadPool

/// `verify --block F.safetensors`: every kernel family in turn, at every level and thread count, and with fused separables, a unit in the
/// others' epilogues, and branches side by side; or a plan's kernels.
struct BlockVerification {
    let session: Session
    let kernels: KernelSelection
    let families: [Kernel.Family]
    let plan: BlockPlan?
    private let settings: BlockSettings
    private let dryRun: Bool
    /// What a repeated call must say besides the file and the threads.
    private let options: [String]
    private(set) var passed = 0
    private(set) var failed = 0
    private(set) var skipped = 0

    init(_ values: Values, session: Session, kernels: KernelSelection) throws {
        self.session = session
        self.kernels = kernels
        families = try values.words("family", among: Kernel.Family.allCases.map(\.rawValue))?
            .compactMap(Kernel.Family.init) ?? Kernel.Family.allCases
        plan = try values.string("plan").map { try BlockPlan(file: $0) }
        settings = try BlockSettings(values)
        dryRun = values.flag("dry-run")
        options = ["variant", "activation", "eps", "plan"].flatMap { name in
            values.string(name).map { ["--\(name)", Console.shellQuoted($0)] } ?? []
        }
    }

    /// What a block's parameters and activations are not asked for.
    static func refuseOthers(_ values: Values) throws {
        try values.refuse(
            ["problem", "problem-file", "preset", "size", "sizes", "variants", "batches", "separables", "filter", "skip", "kernel",
             "faults", "configurations"],
            for: "verify --block F.safetensors", why: "the whole block is verified, by each family at each level")
        if values.string("plan") != nil {
            try values.refuse(["family", "isa"], for: "verify --plan", why: "the plan names the kernels")
        }
    }

    mutating func verify(_ path: String) throws {
        let check = try BlockCheck(path, settings: settings)
        let units = check.parameters.units.map(\.unit)
        let variants = try variants(units, check.size)
        guard variants.contains(where: { $0.stages != nil }) else {
            throw UsageError("verify --block \(path): no kernel family is left for its units; loosen --family or --isa; im2col needs OpenBLAS (libopenblas0)")
        }
        for threads in session.threads {
            let pool = ThreadPool(threads: threads)
            for (name, stages) in variants {
                let label = "\(path.onOneLine)  \(name)  threads \(threads)"
                guard !dryRun else {
                    print("LISTED   \(label)")
                    continue
                }
                guard let stages else {
                    skipped += 1
                    print("SKIPPED  \(label)  it has no kernel for a unit of the block")
                    continue
                }
                let block = try PlannedBlock(check.parameters, size: check.size, stages: stages, pool: pool)
                let deviations = check.deviations(block)
                for bad in deviations where !bad.passed {
                    print(
                        "FAILED   \(label)  \(bad.unit)\(bad.index) is off by \(Float(bad.error)), tolerance \(Float(bad.tolerance)); repeat with: \(repeatCommand(path, stages, threads))")
                }
                if deviations.allSatisfy(\.passed) {
                    passed += 1
                    let held = deviations.count { $0.isHeld && !$0.isOfWeights }
                    let weights = deviations.count { $0.isOfWeights }
                    let worst = deviations.max { $0.error / $0.tolerance < $1.error / $1.tolerance }!
                    print(
                        "PASSED   \(label)  \(held) held, \(weights == 0 ? "" : "\(weights) by their weights, ")\(deviations.count - held - weights) from the oracle, max error \(Float(deviations.map(\.maxError).max()!)), nearest to its tolerance \(worst.unit): \(Float(worst.error)) of \(Float(worst.tolerance))")
                    if !session.quiet { printUnits(deviations) }
                } else {
                    failed += 1
                }
            }
        }
    }

    private func printUnits(_ deviations: [BlockCheck.Deviation]) {
        let width = deviations.map(\.unit.count).max()!
        for one in deviations {
            print(
                "         \(one.unit.padded(to: width))  \(one.isOfWeights ? "weights" : one.isHeld ? "held   " : "oracle ")  max error \(Float(one.maxError)), nearest to its tolerance \(Float(one.error)) of \(Float(one.tolerance))")
        }
    }

    private func repeatCommand(_ path: String, _ stages: [BlockStage], _ threads: Int) -> String {
        var words = ["atrous verify --block", Console.shellQuoted(path)] + options
        if plan == nil {
            if case .layer(let candidate) = stages.first?.kernel { words += ["--family", candidate.kernel.family.rawValue] }
            if let isa = stages.first?.kernel.isa, InstructionSet(rawValue: isa) != nil { words += ["--isa", isa] }
        }
        return (words + ["--threads", "\(threads)"]).joined(separator: " ")
    }

    /// The stages that are tried, with a name; nil where a unit has no kernel of that family and level.
    private func variants(_ units: [BlockUnit], _ size: BlockSize) throws -> [(name: String, stages: [BlockStage]?)] {
        let registry = kernels.registry
        if let plan { return [("plan \(plan.source)", try plan.stages(units: units, size: size, registry: registry))] }
        var result: [(name: String, stages: [BlockStage]?)] = []
        let isas = registry.kernels.map(\.isa).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
        for family in families {
            for isa in isas where kernels.admits(isa: isa) && registry.kernels.contains(where: { $0.family == family && $0.isa == isa }) {
                let stages = try BlockPlan.stages(family: family, isa: isa, units: units, size: size, registry: registry)
                result.append(("\(family.rawValue) \(isa)", stages))
            }
        }
        for isa in isas where kernels.admits(isa: isa) && families.contains(.tiled) {
            if let stages = try BlockPlan.fusedStages(isa: isa, units: units, size: size, registry: registry) {
                result.append(("tiled \(isa), separables fused", stages))
            }
            guard let single = try BlockPlan.stages(family: .tiled, isa: isa, units: units, size: size, registry: registry) else { continue }
            if let stages = try single.withEpilogue(units: units, size: size) { result.append(("tiled \(isa), epilogue", stages)) }
            // In two lanes in turn.
            let branches = single.branches(of: units)
            if !branches.isEmpty {
                result.append(("tiled \(isa), branches side by side", single.inLanes(branches.indices.map { $0 % 2 }, units: units)))
            }
        }
        return result
    }
}
