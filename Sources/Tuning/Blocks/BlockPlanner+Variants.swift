import BlockRuntime
import ConvCore
import KernelRegistry

extension BlockPlanner {
    /// Whole blocks whose stages are tried: single families without fusion, each tiled kernel, tuned picks, separables fused.
    func variants(_ units: [BlockUnit]) throws -> [(String, [BlockStage])] {
        let isa = registry.level.rawValue
        var result: [(String, [BlockStage])] = []
        for (family, isa) in [(Kernel.Family.im2col, "openblas"), (.simd, isa), (.tiled, isa)] {
            if let stages = try BlockPlan.stages(family: family, isa: isa, units: units, size: size, registry: registry) {
                result.append(("all \(family.rawValue)", stages))
            }
        }
        guard let tiled = try BlockPlan.stages(family: .tiled, isa: isa, units: units, size: size, registry: registry),
            let fused = try BlockPlan.fusedStages(isa: isa, units: units, size: size, registry: registry)
        else { return result }
        result.append(("fused", fused))
        let problems = try units.map { try $0.problem(at: size) }
        let all = problems.map { registry.split(for: $0).able.filter { $0.family == .tiled && $0.isa == isa } }
        let ended = try tiled.withEndsInPlanes(units: units, size: size, registry: registry)
        result.append(("tiled, ends in planes", ended))
        // Every other kernel that ends in planes.
        for kernel in all.last! where kernel.srcLayout != .nchw && kernel.layout == .nchw && ended.last!.isEndInPlanes(of: units) {
            result.append(
                ("tiled, ends in \(kernel.name)",
                 ended.dropLast() + [BlockStage(units: ended.last!.units, kernel: .layer(Candidate(kernel)))]))
        }
        // Every other tiled kernel in its turn: units that have fewer stay with their last.
        let able = all.map { $0.filter { $0.srcLayout == $0.layout } }
        let tiledKernels = able.map { $0.filter { $0.layout != .nchw16c } }
        for turn in 1..<max(2, tiledKernels.map(\.count).max() ?? 0) {
            result.append(
                ("tiled, kernels \(turn + 1)", tiled.map { stage in
                    let able = tiledKernels[stage.units.lowerBound]
                    return BlockStage(units: stage.units, kernel: .layer(Candidate(able[min(turn, able.count - 1)])))
                }))
        }
        // In blocks of channels: all kernels in their turn, too.
        let blockedKernels = able.map { $0.filter { $0.layout == .nchw16c } }
        if blockedKernels.allSatisfy({ !$0.isEmpty }) {
            for turn in 0..<blockedKernels.map(\.count).max()! {
                result.append(
                    ("blocked, kernels \(turn + 1)", blockedKernels.enumerated().map { unit, able in
                        BlockStage(units: unit..<unit + 1, kernel: .layer(Candidate(able[min(turn, able.count - 1)])))
                    }))
            }
        }
        // What a tuner picked for the very layer, or for the nearest; where it knows nothing, the kernel stays.
        for exact in [true, false] {
            result.append(
                (exact ? "tuned" : "tuned, nearest shapes", tiled.map { stage in
                    guard let choice = tuned(problems[stage.units.lowerBound]), choice.source.isExact || !exact, choice.expectedLoss != nil,
                        units.part(of: stage.units.lowerBound, notIn: choice.candidate.kernel.srcLayout) == nil
                    else { return stage }
                    return BlockStage(units: stage.units, kernel: .layer(choice.candidate))
                }))
        }
        result.append(
            ("tuned, fused", try fused.map { stage in
                guard case .separable(let kernel, _) = stage.kernel, let whole = try units.separable(at: stage.units.lowerBound, size: size),
                    let choice = tuned(whole), choice.candidate.kernel.name == kernel.name
                else { return stage }
                return BlockStage(units: stage.units, kernel: .separable(kernel, choice.candidate.configuration))
            }))
        var seen: Set<String> = []
        return result.filter { seen.insert($0.1.map(\.kernel.name).joined(separator: " ")).inserted }
    }
}
