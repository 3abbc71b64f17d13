import ConvCore
import KernelRegistry
import ThreadPool

extension BlockParameters {
    /// The block ready to run on `[batch][cin][height][width]`, with `threads` threads (the calling one among them).
    ///
    /// `plan` holds kernels that were chosen by measuring; without one the highest instruction set's tiled kernels run. Both
    /// ends are NCHW unless `layout` says otherwise. Throws ``BlockError`` where the size does not fit, ``PlanError`` where
    /// the plan does not, and `InstructionSetError` where `ATROUS_ISA` asks for what the CPU lacks.
    ///
    /// Nothing of the process is changed, but by a plan that names a kernel of OpenBLAS: that library is then loaded, and
    /// `OPENBLAS_CORETYPE` set for it.
    public func planned(
        batch: Int = 1, height: Int, width: Int, threads: Int = 1, plan: BlockPlan? = nil, layout: Layout = .nchw
    ) throws -> PlannedBlock {
        for (key, value) in [("batch", batch), ("height", height), ("width", width)] {
            try BlockDescription.checkSize(key, value)
        }
        guard threads >= 1 else { throw BlockError.notPositive("threads", threads) }
        guard threads <= Self.mostThreads else { throw BlockError.tooLarge("threads", threads, limit: Self.mostThreads) }
        let size = BlockSize(batch: batch, cin: cin, height: height, width: width)
        let registry = KernelRegistry(level: try InstructionSet.usable())
        let units = units.map(\.unit)
        let stages = try plan?.stages(units: units, size: size, registry: registry)
            ?? BlockPlan.standardStages(
                units: units, size: size, threads: threads, registry: registry, input: layout, output: layout)
        let needed = try PlannedBlock.memory(
            of: stages, units: units, size: size, threads: threads, input: layout, output: layout).total
        try BlockError.requireMemory(needed)
        let pool = ThreadPool(threads: threads)
        try BlockError.require(pool, threads: threads)
        return try PlannedBlock(self, size: size, stages: stages, pool: pool, input: layout, output: layout)
    }

    private static let mostThreads = 1024
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
