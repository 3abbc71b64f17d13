import BlockRuntime
import ConvCore
import OptionParsing
import ThreadPool

/// `verify --block F.safetensors`: every kernel family in turn, at every level and thread count, and the standard plan.
struct BlockVerification {
    let session: Session
    let kernels: KernelSelection
    let families: [Kernel.Family]
    let plan: BlockPlan?
    private(set) var passed = 0
    private(set) var failed = 0

    init(_ values: Values, session: Session, kernels: KernelSelection) throws {
        self.session = session
        self.kernels = kernels
        families = try values.words("family", among: Kernel.Family.allCases.map(\.rawValue))?
            .compactMap(Kernel.Family.init) ?? Kernel.Family.allCases
        plan = try values.string("plan").map { try BlockPlan(file: $0) }
    }

    mutating func verify(_ path: String) throws {
        let check = try BlockCheck(path)
        let units = check.parameters.units.map(\.unit)
        for threads in session.threads {
            let pool = ThreadPool(threads: threads)
            for (name, stages) in try variants(units, check.size) {
                let block = try PlannedBlock(check.parameters, size: check.size, stages: stages, pool: pool)
                let deviations = check.deviations(block)
                let label = "\(path)  \(name)  threads \(threads)"
                for bad in deviations where !bad.passed {
                    print(
                        "FAILED   \(label)  \(bad.unit)\(bad.index) is off by \(Float(bad.error)), tolerance \(Float(bad.tolerance)); repeat with: atrous verify --block \(path) --family \(name.split(separator: " ")[0]) --threads \(threads)")
                }
                if deviations.allSatisfy(\.passed) {
                    passed += 1
                    let worst = deviations.max { $0.error / $0.tolerance < $1.error / $1.tolerance }!
                    print(
                        "PASSED   \(label)  \(deviations.count) activations, max error \(Float(deviations.map(\.maxError).max()!)), nearest to its tolerance \(worst.unit): \(Float(worst.error)) of \(Float(worst.tolerance))")
                } else {
                    failed += 1
                }
            }
        }
    }

    /// The stages that are tried, with a name.
    private func variants(_ units: [BlockUnit], _ size: BlockSize) throws -> [(String, [BlockStage])] {
        let registry = kernels.registry
        if let plan { return [("plan \(plan.source)", try plan.stages(units: units, size: size, registry: registry))] }
        var result: [(String, [BlockStage])] = []
        let isas = registry.kernels.map(\.isa).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
        for family in families {
            for isa in isas where kernels.admits(isa: isa) {
                if let stages = try BlockPlan.stages(family: family, isa: isa, units: units, size: size, registry: registry) {
                    result.append(("\(family.rawValue) \(isa)", stages))
                }
            }
        }
        for isa in isas where kernels.admits(isa: isa) && families.contains(.tiled) {
            if let stages = try BlockPlan.fusedStages(isa: isa, units: units, size: size, registry: registry) {
                result.append(("tiled \(isa), separables fused", stages))
            }
        }
        return result
    }
}
