import ConvCore
import ThreadPool

/// Adds a bias to a row of `count` values and applies the activation, in place.
public typealias RowEpilogue = @Sendable (
    _ row: UnsafeMutablePointer<Float>, _ count: Int, _ bias: Float, _ activation: Activation
) -> Void

/// im2col + GEMM on OpenBLAS, the classic way to compute a convolution, for every layer: per image and group,
/// dst[oc][pixel] = weights[oc][ic·kh·kw] × columns[ic·kh·kw][pixel]. A pointwise layer is its own im2col and is not
/// copied.
///
/// Threads cut the pixels (or the groups, where there are enough) into parts, and each thread unfolds, multiplies
/// (`cblas_sgemm` on one thread) and finishes its own part: the unfolding scales too, and OpenBLAS's own threads, which
/// spin for many milliseconds after a call, never start. The epilogue is the vector one of the level that runs, so that
/// the comparison is of the algorithm and not of `expf`.
///
/// `library` is asked only when a kernel is to run, or whether it can: asking loads it.
public func im2colKernels(_ library: @escaping @Sendable () -> OpenBLAS?, epilogue: @escaping RowEpilogue) -> [Kernel] {
    func im2col(_ layer: Layer) -> Kernel {
        Kernel(
            name: "\(layer.rawValue)-im2col-openblas", layer: layer, family: .im2col, isa: "openblas", layout: .nchw,
            threaded: true,
            summary: layer == .pw
                ? "OpenBLAS sgemm on the map as it lies" : "map unfolded into a matrix, OpenBLAS sgemm, per group",
            supports: { _ in library() == nil ? .no(reason: OpenBLAS.missing) : .yes },
            memory: { p, _, threads in Kernel.Memory(scratch: Partition(p, threads: threads).scratchBytes) },
            plan: { p, _, inputs in
                guard let blas = library() else { preconditionFailure(OpenBLAS.missing) }
                blas.useOneThread()
                let partition = Partition(p, threads: inputs.threads)
                return Kernel.Plan { src, dst in
                    inputs.pool.run { index in
                        partition.run(index, blas, src: src, dst: dst, inputs: inputs, epilogue: epilogue)
                    }
                }
            })
    }
    return Layer.convolutions.map(im2col) + [
        Kernel(
            separable: "sep-im2col-openblas", by: im2col(.dw), then: im2col(.pw),
            summary: "a map unfolded per channel, then OpenBLAS sgemm")
    ]
}

/// How the work of one problem is cut for the threads.
private struct Partition {
    let problem: Problem
    let threads: Int
    /// Cut over images × groups instead of over the pixels of each.
    let byGroup: Bool
    /// Floats of scratch per thread.
    let columnsPerThread: Int

    init(_ p: Problem, threads: Int) {
        problem = p
        self.threads = threads
        byGroup = p.batch * p.groups >= 2 * threads
        let pixels = p.oh * p.ow
        let most = byGroup ? pixels : (pixels + threads - 1) / threads
        // A share of the pixels may be one longer than the quotient.
        columnsPerThread = p.layer == .pw ? 0 : p.reduction * min(pixels, most + 1)
    }

    private var strideBytes: Int { AlignedMemory.rounded(4 * columnsPerThread) }
    var scratchBytes: Int { threads * strideBytes }

    func run(
        _ index: Int, _ blas: OpenBLAS, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>, inputs: Kernel.PlanInputs,
        epilogue: RowEpilogue
    ) {
        let p = problem
        let plane = p.oh * p.ow
        let columns = (inputs.scratch + index * strideBytes).assumingMemoryBound(to: Float.self)
        let parts = p.batch * p.groups
        let pixels = byGroup ? 0..<plane : ThreadPool.share(of: plane, index: index, parts: threads)
        guard !pixels.isEmpty else { return }
        for part in byGroup ? ThreadPool.share(of: parts, index: index, parts: threads) : 0..<parts {
            let (image, group) = (part / p.groups, part % p.groups)
            let input = src + (image * p.ic + group * p.icPerGroup) * p.ih * p.iw
            let output = dst + (image * p.oc + group * p.ocPerGroup) * plane + pixels.lowerBound
            let unfolded = columnsPerThread > 0
            if unfolded { unfold(p, src: input, pixels: pixels, columns: columns) }
            blas.sgemm(
                OpenBLAS.rowMajor, OpenBLAS.asIs, OpenBLAS.asIs, CInt(p.ocPerGroup), CInt(pixels.count),
                CInt(p.reduction), 1, inputs.weights + group * p.ocPerGroup * p.reduction, CInt(p.reduction),
                unfolded ? UnsafePointer(columns) : input + pixels.lowerBound,
                CInt(unfolded ? pixels.count : plane), 0, output, CInt(plane))
            for channel in 0..<p.ocPerGroup {
                let bias = inputs.bias?[group * p.ocPerGroup + channel] ?? 0
                guard bias != 0 || p.activation != .none else { continue }
                epilogue(output + channel * plane, pixels.count, bias, p.activation)
            }
        }
    }
}
