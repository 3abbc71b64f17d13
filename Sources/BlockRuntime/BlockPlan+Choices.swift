import ConvCore
import KernelRegistry

extension BlockPlan {
    /// Stages without any measurement: the highest instruction set's tiled kernels, those at the ends on planes, separables fused where
    /// their scratch leaves the block within `[BlockUnit].memoryBound(at:)` (fuse has four times the channels, and every thread a tile of
    /// them).
    public static func standardStages(
        units: [BlockUnit], size: BlockSize, threads: Int, registry: KernelRegistry
    ) throws -> [BlockStage] {
        let isa = registry.level.rawValue
        guard
            let single = try stages(family: .tiled, isa: isa, units: units, size: size, registry: registry),
            var stages = try fusedStages(isa: isa, units: units, size: size, registry: registry)?
                .withEndsInPlanes(units: units, size: size, registry: registry)
        else {
            throw PlanError.unsupported(
                unit: units[0].name, kernel: "every tiled kernel", "`atrous verify --block` names the reasons")
        }
        let bound = units.memoryBound(at: size)
        while try !PlannedBlock.memory(of: stages, units: units, size: size, threads: threads).fits(bound) {
            let scratch = try stages.map { stage in
                guard stage.units.count > 1 else { return -1 }
                return try stage.memory(units, at: size, threads: threads).scratch
            }
            guard let most = scratch.indices.max(by: { scratch[$0] < scratch[$1] }), scratch[most] >= 0 else { break }
            stages.replaceSubrange(most...most, with: single[stages[most].units])
        }
        return stages
    }

    /// The tiled kernels of one instruction set, each separable in one where there is a kernel for that; nil where there is
    /// none for some unit.
    public static func fusedStages(
        isa: String, units: [BlockUnit], size: BlockSize, registry: KernelRegistry
    ) throws -> [BlockStage]? {
        guard
            let single = try stages(family: .tiled, isa: isa, units: units, size: size, registry: registry)
        else { return nil }
        var result: [BlockStage] = []
        while case let next = result.last?.units.upperBound ?? 0, next < units.count {
            let fused = try separable(at: next, units: units, size: size, registry: registry)
            result.append(fused.first { $0.kernel.isa == isa } ?? single[next])
        }
        return result
    }

    /// The stages in which one kernel computes the separable that begins at a unit, lowest instruction set first.
    static func separable(
        at index: Int, units: [BlockUnit], size: BlockSize, registry: KernelRegistry
    ) throws -> [BlockStage] {
        guard let whole = try units.separable(at: index, size: size) else { return [] }
        return registry.separableKernels.compactMap { kernel in
            guard case .yes = kernel.supports(whole.firstUnit, whole.lastUnit) else { return nil }
            return BlockStage(units: index..<index + 2, kernel: .separable(kernel, kernel.space.standard))
        }
    }

    /// Every unit by a kernel of one family, nothing fused: what a plan is compared with. nil where the family has none
    /// for some unit.
    public static func stages(
        family: Kernel.Family, isa: String, units: [BlockUnit], size: BlockSize, registry: KernelRegistry
    ) throws -> [BlockStage]? {
        var stages: [BlockStage] = []
        for (index, unit) in units.enumerated() {
            let problem = try unit.problem(at: size)
            // Others are not asked: a library's kernels would load it.
            let kernel = registry.kernels.first {
                $0.layer == problem.layer && $0.family == family && $0.isa == isa && $0.supports(problem) == .yes
            }
            guard let kernel else { return nil }
            stages.append(BlockStage(units: index..<index + 1, kernel: .layer(Candidate(kernel))))
        }
        return stages
    }
}

extension [BlockStage] {
    /// The same, of stages in NHWC, where single ones that read planes take the block's input as it comes, and one that writes them its
    /// output: without copies.
    package func withEndsInPlanes(units: [BlockUnit], size: BlockSize, registry: KernelRegistry) throws -> [BlockStage] {
        /// The units whose maps are planes.
        var planes: Set<Int> = []
        return try map { stage in
            guard stage.units.count == 1 else { return stage }
            let unit = stage.units.lowerBound
            let able = registry.split(for: try units[unit].problem(at: size)).able.filter { $0.family == .tiled && $0.isa == stage.kernel.isa }
            let readsPlanes = units[unit].inputs.allSatisfy { source in
                if case .unit(let maker) = source { planes.contains(maker) } else { true }
            }
            let isEnd = unit == units.count - 1
            let kernel = able.first { kernel in
                switch (kernel.srcLayout, kernel.layout) {
                case (.nchw, .nhwc): readsPlanes
                // What reads it turns it over.
                case (.nchw, .nchw): readsPlanes && kernel.layer == .dw
                case (.nhwc, .nchw): isEnd && !readsPlanes
                default: false
                }
            }
            guard let kernel else { return stage }
            if kernel.layout == .nchw { planes.insert(unit) }
            return BlockStage(units: stage.units, kernel: .layer(Candidate(kernel)))
        }
    }
}

extension BlockStage {
    /// Whether it stands at an end of a block of NHWC, on the planes that its caller has.
    package func isEndInPlanes(of units: [BlockUnit]) -> Bool {
        switch (kernel.srcLayout, kernel.layout) {
        case (.nchw, .nhwc): true
        case (.nchw, .nchw): units[self.units.lowerBound].inputs == [.block]
        case (.nhwc, .nchw): self.units.upperBound == units.count
        default: false
        }
    }
}
