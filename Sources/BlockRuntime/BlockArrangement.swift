import ConvCore

/// Where everything lies that the stages of a block work in, worked out before any of it is taken.
///
/// The scratch of a stage is placed like a map that is alive in its step alone, so that it reuses what other maps leave free. One
/// scratch for all, beside the maps, made plans with Strassen products of 49 combinations at once take 11 % more than input, output, mid
/// and concatenation.
struct BlockArrangement {
    let program: BlockProgram
    /// Of each stage.
    let problems: [[Problem]]
    let needs: [Kernel.Memory]
    /// In bytes: of each of the program's maps, and of each stage's scratch.
    let offsets, scratch: [Int]
    /// Of maps and scratch together.
    let bytes: Int
    /// Of each stage: bytes of maps and scratch that are alive while it runs.
    let alive: [Int]
    let memory: PlannedBlock.Memory

    /// `stages` must cover all units in order. Throws ``BlockError`` where the size does not fit, ``PlanError`` where a kernel cannot
    /// run its unit.
    init(
        _ stages: [BlockStage], units: [BlockUnit], size: BlockSize, threads: Int, input: Layout, output: Layout
    ) throws {
        precondition(stages.flatMap(\.units) == Array(units.indices), "the stages are not the block's units in order")
        for (end, layout, channels) in [("input", input, size.cin), ("output", output, units.last!.oc)] where !layout.holds(channels: channels) {
            throw BlockError.noWholeBlocks(end, channels)
        }
        try stages.checkBands(units: units, size: size)
        try stages.checkLanes(units: units)
        try stages.checkConcatenation(units: units)
        try stages.checkEpilogues(units: units, size: size)
        let problems = try stages.map { try $0.problems(units, at: size) }
        let needs = try zip(stages, problems).map { stage, own in
            if case .no(let reason) = stage.kernel.supports(stage.units, of: units, own) {
                throw PlanError.unsupported(unit: units[stage.units.lowerBound].name, kernel: stage.kernel.name, reason)
            }
            return try stage.memory(units, at: size, threads: threads)
        }
        let program = BlockProgram(stages, problems: problems, units: units, size: size, threads: threads, input: input, output: output)
        var lives = program.lives
        let maps = lives.count
        var places = [Int?](repeating: nil, count: stages.count)
        for (step, work) in program.steps.map(\.work).enumerated() {
            guard case .stage(let stage) = work, needs[stage].scratch > 0 else { continue }
            places[stage] = lives.count
            // Threads are at different steps of their bands.
            let steps = program.banded.contains(step) ? program.banded : step..<step + 1
            lives.append(.init(bytes: needs[stage].scratch, first: steps.lowerBound, last: steps.upperBound - 1, lane: program.steps[step].lane))
        }
        let all = MapMemory(lives)
        self.program = program
        self.problems = problems
        self.needs = needs
        offsets = Array(all.offsets[..<maps])
        scratch = places.map { $0.map { all.offsets[$0] } ?? 0 }
        bytes = all.bytes
        alive = stages.indices.map { stage in
            let step = program.steps.firstIndex { if case .stage(stage) = $0.work { true } else { false } }!
            return MapMemory.bytesAlive(lives, at: step, lane: program.steps[step].lane)
        }
        var memory = PlannedBlock.Memory()
        memory.maps = min(MapMemory(program.lives).bytes, all.bytes)
        memory.scratch = all.bytes - memory.maps
        // What a kernel packs is not kept a second time.
        memory.weights = zip(stages, needs).reduce(0) { sum, stage in
            sum + stage.1.packed
                + units[stage.0.units].reduce(0) { $0 + 4 * ($1.oc + (stage.1.packed > 0 ? 0 : $1.weightShape.reduce(1, *))) }
                + (stage.0.kernel.isEpilogue ? 8 * Kernel.Following.padding : 0)
        }
        self.memory = memory
    }
}

extension [BlockStage] {
    /// Throws ``PlanError`` where the concatenation is to lie in blocks of channels, and one of those that end there has half a block.
    func checkConcatenation(units: [BlockUnit]) throws(PlanError) {
        for stage in self {
            let unit = units[stage.units.lowerBound]
            guard let part = units.part(of: stage.units.lowerBound, notIn: stage.kernel.srcLayout) else { continue }
            throw PlanError.unsupported(
                unit: unit.name, kernel: stage.kernel.name, "\(part.name), which ends in its input, has \(part.oc) channels, no whole blocks of \(Layout.blockChannels)")
        }
    }
}

extension [BlockUnit] {
    /// One of the units whose concatenation this unit reads that a layout cannot hold; nil where it holds all, or the unit reads one map.
    package func part(of reader: Int, notIn layout: Layout) -> BlockUnit? {
        guard self[reader].inputs.count > 1 else { return nil }
        for case .unit(let part) in self[reader].inputs where !layout.holds(channels: self[part].oc) { return self[part] }
        return nil
    }

    /// What the maps and the scratch of a block of these units should stay within, in bytes: as much as its input, its output, the map
    /// behind compress and the concatenation take together. On a map of a few hundred pixels the kernels' own scratch, a tile per
    /// thread, may outgrow that.
    package func memoryBound(at size: BlockSize) -> Int {
        let mid = last { $0.name == "compress" || $0.name == "compress.pw" }?.oc ?? 0
        let concatenated = last { $0.inputs.count > 1 }?.ic ?? 0
        let channels = size.cin + (last?.oc ?? 0) + mid + concatenated
        return 4 * channels * size.batch * size.height * size.width + 8 * (AlignedMemory.mapSpacing + AlignedMemory.alignment)
    }
}
