import ConvCore
import KernelRegistry
import ThreadPool

/// A kernel planned for a problem of its own on one thread, to be looked at while it runs: not verified, not timed.
struct KernelSample {
    /// The kernel with its configuration, and the problem.
    let name: String
    let problem: String
    private let plan: Kernel.Plan
    private let src, dst: AlignedMemory
    /// What the plan works in.
    private let held: [AlignedMemory]

    func run() { plan.run(UnsafePointer(src.floats), dst.floats) }

    /// `text` names a kernel, with a configuration behind `@` if wanted. Without `problem` one that the kernel is made for.
    init(_ text: String, problem: String?, registry: KernelRegistry) throws {
        let parts = text.split(separator: "@", maxSplits: 1).map(String.init)
        let configuration = parts.count == 2 ? parts[1] : ""
        let pool = ThreadPool(threads: 1)
        if let kernel = registry.kernel(named: parts[0]) {
            let p = try Self.parse(problem ?? Self.standard[kernel.layer]!)
            guard p.layer == kernel.layer else {
                throw UsageError("--problem '\(p.text)' is a layer \(p.layer.rawValue), \(kernel.name) computes \(kernel.layer.rawValue)")
            }
            if case .no(let reason) = kernel.supports(p) { throw UsageError("\(kernel.name) cannot run '\(p.text)': \(reason)") }
            let candidate = Candidate(kernel, try Self.parse(configuration, kernel.space, text))
            let weights = Self.random(p.weightCount), bias = Self.random(p.oc)
            let needs = kernel.memory(p, candidate.configuration, 1)
            let packed = AlignedMemory(bytes: needs.packed), scratch = AlignedMemory(bytes: needs.scratch)
            plan = kernel.plan(
                p, candidate.configuration,
                Kernel.PlanInputs(
                    weights: weights.floats, bias: p.bias ? UnsafePointer(bias.floats) : nil, packed: packed.start,
                    scratch: scratch.start, pool: pool))
            held = [weights, bias, packed, scratch]
            (src, dst) = (Self.random(p.srcCount), AlignedMemory(floats: p.dstCount))
            (name, self.problem) = (candidate.name, p.text)
        } else if let kernel = registry.separableKernels.first(where: { $0.name == parts[0] }) {
            let dw = try Self.parse(problem ?? Self.standard[.dw]!)
            guard dw.layer == .dw else { throw UsageError("--problem '\(dw.text)': write the depthwise unit of the separable, such as \(Self.standard[.dw]!)") }
            let pw = try Self.parse("pw:c\(dw.oc)o\(2 * dw.oc)h\(dw.oh)w\(dw.ow)_relu")
            let configuration = try Self.parse(configuration, kernel.space, text)
            let memory = (Self.random(dw.weightCount), Self.random(dw.oc), Self.random(pw.weightCount), Self.random(pw.oc))
            let needs = kernel.memory(dw, pw, configuration, 1)
            let packed = AlignedMemory(bytes: needs.packed), scratch = AlignedMemory(bytes: needs.scratch)
            plan = kernel.plan(
                dw, pw, configuration,
                SeparableKernel.PlanInputs(
                    depthwiseWeights: memory.0.floats, depthwiseBias: UnsafePointer(memory.1.floats),
                    pointwise: Kernel.PlanInputs(
                        weights: memory.2.floats, bias: UnsafePointer(memory.3.floats), packed: packed.start,
                        scratch: scratch.start, pool: pool)))
            held = [memory.0, memory.1, memory.2, memory.3, packed, scratch]
            (src, dst) = (Self.random(dw.srcCount), AlignedMemory(floats: pw.dstCount))
            (name, self.problem) = ("\(kernel.name)@\(configuration)", "\(dw.text) and \(pw.text)")
        } else {
            throw KernelSelection.unknown(parts[0], registry)
        }
    }

    /// Layers of the middle of a YOLOv5, small enough for the caches.
    private static let standard: [Layer: String] = [
        .dw: "dw:c128h40k5d2_relu", .pw: "pw:c256o256h20_relu", .conv: "conv:c64o64h20k3d2_relu",
    ]

    private static func parse(_ text: String) throws -> Problem {
        do { return try Problem(parsing: text) } catch { throw UsageError("--problem '\(text)': \(error)") }
    }

    private static func parse(_ text: String, _ space: ConfigurationSpace, _ name: String) throws -> Configuration {
        do { return try space.parse(text) } catch { throw UsageError("'\(name)': \(error)") }
    }

    private static func random(_ count: Int) -> AlignedMemory {
        let memory = AlignedMemory(floats: count)
        var random = RandomSource(seed: 1)
        for i in 0..<count { memory.floats[i] = random.nextReal() }
        return memory
    }
}
