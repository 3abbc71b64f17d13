import ConvCore

/// Deliberately broken kernels, one per way to be wrong, that `--faults` puts among the real ones to show that the harness
/// catches each: it is named, never timed and never picked. Each is the given kernel with a defect added.
public func faultyKernels(breaking kernel: Kernel) -> [Kernel] {
    [
        broken(kernel, "wrong", "adds 0.5 to its last output") { p, dst in dst[p.dstCount - 1] += 0.5 },
        broken(kernel, "stray", "writes one float past its output") { p, dst in dst[p.dstCount] = 1 },
        broken(kernel, "skipping", "leaves its last output as it was", keepsLast: true) { _, _ in },
    ]
}

private func broken(
    _ kernel: Kernel, _ name: String, _ summary: String, keepsLast: Bool = false,
    defect: @escaping @Sendable (Problem, UnsafeMutablePointer<Float>) -> Void
) -> Kernel {
    Kernel(
        name: "\(kernel.layer.rawValue)-\(name)-fault", layer: kernel.layer, family: kernel.family, isa: "fault",
        layout: kernel.layout, srcLayout: kernel.srcLayout, threaded: kernel.threaded, rounding: kernel.rounding, summary: summary, space: kernel.space,
        supports: kernel.supports, memory: kernel.memory,
        plan: { p, configuration, inputs in
            let plan = kernel.plan(p, configuration, inputs)
            return Kernel.Plan { src, dst in
                let last = dst[p.dstCount - 1]
                plan.run(src, dst)
                if keepsLast { dst[p.dstCount - 1] = last }
                defect(p, dst)
            }
        })
}
