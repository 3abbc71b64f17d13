import ConvCore
import KernelRegistry
import ThreadPool

extension BlockParameters {
    /// The block ready to run on `[batch][cin][height][width]`, with `threads` threads (the calling one among them).
    ///
    /// `plan` holds kernels that were chosen by measuring; without one the highest instruction set's tiled kernels run. Both
    /// ends are NCHW unless `layout` says otherwise. Throws ``BlockError`` where the size does not fit, ``PlanError`` where
    /// the plan does not, and `InstructionSetError` where `ATROUS_ISA` asks for what the CPU lacks.
    public func planned(
        batch: Int = 1, height: Int, width: Int, threads: Int = 1, plan: BlockPlan? = nil, layout: Layout = .nchw
    ) throws -> PlannedBlock {
        for (key, value) in [("batch", batch), ("height", height), ("width", width), ("threads", threads)] {
            try BlockDescription.checkSize(key, value)
        }
        let size = BlockSize(batch: batch, cin: cin, height: height, width: width)
        let registry = KernelRegistry(level: try InstructionSet.usable())
        let units = units.map(\.unit)
        let stages = try plan?.stages(units: units, size: size, registry: registry)
            ?? BlockPlan.standardStages(units: units, size: size, threads: threads, registry: registry)
        return try PlannedBlock(
            self, size: size, stages: stages, pool: ThreadPool(threads: threads), input: layout, output: layout)
    }
}

extension PlannedBlock {
    /// Floats of an input and of an output.
    public var inputCount: Int { size.batch * size.cin * size.height * size.width }
    public var outputCount: Int { size.batch * cout * size.height * size.width }

    /// ``run(_:_:)`` on arrays of ``inputCount`` values; makes a new one of ``outputCount``.
    public func run(_ input: [Float]) -> [Float] {
        precondition(input.count == inputCount, "the input needs \(inputCount) values, it has \(input.count)")
        return [Float](unsafeUninitializedCapacity: outputCount) { output, count in
            input.withUnsafeBufferPointer { run($0.baseAddress!, output.baseAddress!) }
            count = outputCount
        }
    }
}
