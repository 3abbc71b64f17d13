import ThreadPool

// Whole separables as one problem, so that what computes them is verified, measured, tuned and picked like any other kernel.

extension Kernel {
    /// A fused separable as a kernel of layer `sep`.
    public init(_ fused: SeparableKernel) {
        self.init(
            name: fused.name, layer: .sep, family: .tiled, isa: fused.isa, layout: fused.layout, threaded: true,
            summary: fused.summary, space: fused.space, supports: { p in fused.supports(p.firstUnit, p.lastUnit) },
            memory: { p, c, threads in fused.memory(p.firstUnit, p.lastUnit, c, threads) },
            plan: { p, c, inputs in
                let (dw, pw) = (p.firstUnit, p.lastUnit)
                return fused.plan(
                    dw, pw, c,
                    .init(
                        depthwiseWeights: inputs.weights, depthwiseBias: inputs.bias,
                        pointwise: inputs.behind(dw, packed: 0, scratch: 0)))
            }, source: "\(fused.source)+\(#fileID)")
    }

    /// A separable by a kernel for each of its units in their standard configurations, the map between them in scratch: what a
    /// fused one has to beat. The second reads the layout that the first writes.
    public init(separable name: String, by depthwise: Kernel, then pointwise: Kernel, summary: String) {
        precondition(depthwise.layer == .dw && pointwise.layer == .pw && depthwise.layout == pointwise.srcLayout)
        @Sendable func needs(_ p: Problem, _ threads: Int) -> (map: Int, first: Memory, last: Memory) {
            (
                AlignedMemory.rounded(4 * p.firstUnit.dstCount), depthwise.memory(p.firstUnit, depthwise.space.standard, threads),
                pointwise.memory(p.lastUnit, pointwise.space.standard, threads)
            )
        }
        self.init(
            name: name, layer: .sep, family: pointwise.family, isa: pointwise.isa, layout: pointwise.layout,
            srcLayout: depthwise.srcLayout,
            threaded: depthwise.threaded && pointwise.threaded, summary: summary,
            supports: { p in
                let support = depthwise.supports(p.firstUnit)
                return support == .yes ? pointwise.supports(p.lastUnit) : support
            },
            memory: { p, _, threads in
                let (map, first, last) = needs(p, threads)
                return Memory(
                    packed: AlignedMemory.rounded(first.packed) + last.packed, scratch: map + max(first.scratch, last.scratch))
            },
            plan: { p, _, inputs in
                let dw = p.firstUnit
                let (mapBytes, first, _) = needs(p, inputs.threads)
                let map = inputs.scratch.assumingMemoryBound(to: Float.self)
                let one = depthwise.plan(
                    dw, depthwise.space.standard,
                    PlanInputs(
                        weights: inputs.weights, bias: inputs.bias, packed: inputs.packed, scratch: inputs.scratch + mapBytes,
                        pool: inputs.pool))
                let two = pointwise.plan(
                    p.lastUnit, pointwise.space.standard,
                    inputs.behind(dw, packed: AlignedMemory.rounded(first.packed), scratch: mapBytes))
                return Plan { src, dst in
                    one.run(src, map)
                    two.run(map, dst)
                }
            }, source: "\(depthwise.source)+\(pointwise.source)+\(#fileID)")
    }
}

extension Kernel.PlanInputs {
    /// A separable's second unit: weights and bias behind the first's, the rest so many bytes further on.
    fileprivate func behind(_ dw: Problem, packed offset: Int, scratch scratchOffset: Int) -> Kernel.PlanInputs {
        Kernel.PlanInputs(
            weights: weights + dw.weightCount, bias: bias.map { $0 + dw.biasCount }, packed: packed + offset,
            scratch: scratch + scratchOffset, pool: pool, dstStep: dstStep)
    }
}
