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
        guard let kernel = registry.kernel(named: parts[0]) else { throw KernelSelection.unknown(parts[0], registry) }
        let p = try problem.map(Self.parse) ?? Self.standard(kernel)
        guard p.layer == kernel.layer else {
            throw UsageError("--problem '\(p.text)' is a layer \(p.layer.rawValue), \(kernel.name) computes \(kernel.layer.rawValue)")
        }
        if case .no(let reason) = kernel.supports(p) { throw UsageError("\(kernel.name) cannot run '\(p.text)': \(reason)") }
        let candidate = Candidate(kernel, try Self.parse(configuration, kernel.space, text))
        let weights = Self.random(p.weightCount), bias = Self.random(p.biasCount)
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
    }

    /// The first that the kernel takes.
    private static func standard(_ kernel: Kernel) throws -> Problem {
        let problems = try standards[kernel.layer]!.map(parse)
        return problems.first { if case .yes = kernel.supports($0) { true } else { false } } ?? problems[0]
    }

    /// Layers of the middle and the end of a YOLOv5, small enough for the caches: those with most taps first, as some kernels take few.
    private static let standards: [Layer: [String]] = [
        .dw: ["dw:c128h40k5d2_relu", "dw:c128h40k3d2_relu", "dw:c128h20k3d2_relu", "dw:c128h40k1_relu", "dw:c128h40k5s2_relu"], .pw: ["pw:c256o256h20_relu"],
        .conv: ["conv:c64o64h20k3d2_relu"], .sep: ["sep:c128o256h40k5d2_relu"],
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
