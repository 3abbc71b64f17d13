import ConvCore
import KernelRegistry

extension BlockPlan {
    /// Stages without any measurement: the highest instruction set's tiled kernels, those at the ends on planes, the unit behind the
    /// concatenation in the epilogues of what makes it where that can be, other separables fused where their scratch leaves the block within
    /// `[BlockUnit].memoryBound(at:)`. `input` and `output` are the layouts in which the caller holds the block's ends.
    package static func standardStages(
        units: [BlockUnit], size: BlockSize, threads: Int, registry: KernelRegistry, input: Layout = .nchw, output: Layout = .nchw
    ) throws -> [BlockStage] {
        let isa = registry.level.rawValue
        guard
            let single = try stages(family: .tiled, isa: isa, units: units, size: size, registry: registry),
            var stages = try fusedStages(isa: isa, units: units, size: size, registry: registry)
        else {
            throw PlanError.unsupported(
                unit: units[0].name, kernel: "every tiled kernel", "`atrous verify --block` names the reasons")
        }
        let bound = units.memoryBound(at: size)
        if let reader = stages.concatenationReader(of: units) {
            var split = stages
            split.replaceSubrange(reader...reader, with: single[stages[reader].units])
            stages = try split.withEpilogue(units: units, size: size) ?? stages
        }
        while true {
            let ended = try stages.withEndsInPlanes(
                input: input == .nchw, output: output == .nchw, units: units, size: size, registry: registry)
            let (memory, greedy) = try PlannedBlock.memory(
                of: ended, units: units, size: size, threads: threads, input: input, output: output, bound: bound,
                exchangeable: { $0.units.count > 1 })
            if memory.fits(bound) { return ended }
            guard let greedy else {
                // Copies at the ends, where they take less than the scratch of what saves them.
                let copied = try PlannedBlock.memory(of: stages, units: units, size: size, threads: threads, input: input, output: output)
                return copied.maps + copied.scratch < memory.maps + memory.scratch ? stages : ended
            }
            stages.replaceSubrange(greedy...greedy, with: single[stages[greedy].units])
        }
    }

    /// The tiled kernels of one instruction set, each separable in one where there is a kernel for that; nil where there is
    /// none for some unit.
    package static func fusedStages(
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

    /// Every unit by a kernel of one family, on NHWC where it has one there, nothing fused: what a plan is compared with. nil where the family
    /// has none for some unit.
    package static func stages(
        family: Kernel.Family, isa: String, units: [BlockUnit], size: BlockSize, registry: KernelRegistry
    ) throws -> [BlockStage]? {
        var stages: [BlockStage] = []
        for (index, unit) in units.enumerated() {
            let problem = try unit.problem(at: size)
            let able = registry.kernels(of: family, isa: isa, for: problem)
            guard let kernel = able.first(where: { $0.layout == .nhwc }) ?? able.first else { return nil }
            stages.append(BlockStage(units: index..<index + 1, kernel: .layer(Candidate(kernel))))
        }
        return stages
    }
}

extension KernelRegistry {
    /// Those of a family and an instruction set that take a problem. Others are not asked: a library's kernels would load it.
    fileprivate func kernels(of family: Kernel.Family, isa: String, for problem: Problem) -> [Kernel] {
        kernels.filter { $0.layer == problem.layer && $0.family == family && $0.isa == isa && $0.supports(problem) == .yes }
    }
}

extension [BlockStage] {
    /// The same, of stages in NHWC, where single ones that read planes take the block's input as it comes, if all that read it can, and one
    /// that writes them its output: without copies.
    package func withEndsInPlanes(
        input: Bool = true, output: Bool = true, units: [BlockUnit], size: BlockSize, registry: KernelRegistry
    ) throws -> [BlockStage] {
        /// The units whose maps are planes.
        var planes: Set<Int> = []
        let turned: [BlockStage] = try map { stage in
            guard stage.units.count == 1 else { return stage }
            let unit = stage.units.lowerBound
            let problem = try units[unit].problem(at: size)
            let readsPlanes = input && units[unit].inputs.allSatisfy { source in
                if case .unit(let maker) = source { planes.contains(maker) } else { true }
            }
            let isEnd = output && unit == units.count - 1
            let kernel = registry.kernels(of: .tiled, isa: stage.kernel.isa, for: problem).first { kernel in
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
        // One that needs a copy leaves it to all.
        guard input, turned.contains(where: { units[$0.units.lowerBound].inputs.contains(.block) && $0.kernel.srcLayout != .nchw })
        else { return turned }
        return try withEndsInPlanes(input: false, output: output, units: units, size: size, registry: registry)
    }
}

extension BlockStage {
    /// Whether it stands at an end of a block of NHWC, on the planes that its caller has, or on what a depthwise unit made of them.
    package func isEndInPlanes(of units: [BlockUnit]) -> Bool {
        let sources = units[self.units.lowerBound].inputs
        return switch (kernel.srcLayout, kernel.layout) {
        case (.nchw, .nhwc):
            sources.allSatisfy { source in
                if case .unit(let maker) = source { units[maker].inputs == [.block] } else { true }
            }
        case (.nchw, .nchw):
            if case .layer(let candidate) = kernel { candidate.kernel.layer == .dw && sources == [.block] } else { false }
        case (.nhwc, .nchw): self.units.upperBound == units.count
        default: false
        }
    }
}
