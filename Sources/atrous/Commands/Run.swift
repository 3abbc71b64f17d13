import BlockRuntime
import ConvCore
import Foundation
import Harness
import KernelRegistry
import OptionParsing
import Results
import ThreadPool
import Tuning

/// The output of a block, how long it takes, and with `--profile` where the time goes.
func runRun(_ values: Values) throws -> ExitCode {
    let threads = try values.int("threads", in: 1...1024) ?? 1
    let seed = UInt64(try values.int("seed", in: 0...Int.max) ?? 1)
    let repeats = try values.int("repeat", in: 1...1_000_000) ?? 20
    let quiet = values.flag("quiet")
    let block = try BlockInput(values, seed: seed)
    let registry = KernelRegistry(level: try InstructionSet.usable())
    let units = block.parameters.units.map(\.unit)
    let plan = try values.string("plan").map { try BlockPlan(file: $0) }
    let stages = try plan?.stages(units: units, size: block.size, registry: registry)
        ?? BlockPlan.standardStages(units: units, size: block.size, threads: threads, registry: registry)
    // Before anything is measured: a path that takes no file should not cost that.
    if let path = values.string("output") {
        guard path != "-" else { throw UsageError("--output -: the output goes into a file; write its name, such as y.npy") }
        try FileWriting.require(path)
    }
    if let path = values.string("json"), path != "-" { try FileWriting.require(path) }
    if threads > ThreadPool.usableCPUs, !quiet {
        Console.warning("--threads \(threads) is more than the \(ThreadPool.usableCPUs) CPUs that may be used; times will mislead")
    }
    if let plan, plan.threads != [threads], !plan.threads.isEmpty, !quiet {
        let planned = plan.threads.sorted().map(String.init).joined(separator: ", ")
        Console.warning("--plan \(plan.source): was chosen for threads \(planned); `atrous pick --threads \(threads)` chooses for \(threads)")
    }
    if plan == nil, !quiet {
        Console.note("no --plan: the widest tiled kernels, unmeasured; `atrous pick --block … --out plan.csv` chooses by measuring")
    }
    let report = try ThreadPool.withPinnedCaller {
        let pool = ThreadPool(threads: threads, pinned: true)
        try BlockError.require(pool, threads: threads)
        let planned = try PlannedBlock(block.parameters, size: block.size, stages: stages, pool: pool)
        return try RunReport(block, planned, pool, repeats: repeats, seed: seed, parts: values.flag("profile"))
    }
    if let out = values.string("output") {
        let shape = [block.size.batch, block.parameters.cout, block.size.height, block.size.width]
        try FileWriting.replace(out, with: Data(NPYFile(shape: shape, values: report.output).bytes))
        if !quiet { Console.note("output \(shape) in \(out)") }
    }
    if let first = report.output.firstIndex(where: { !$0.isFinite }) {
        Console.warning("\(block.name): value \(first) of the output is \(report.output[first]): the weights or the input are too large for float32 sums")
    }
    if values.flag("profile") {
        if !quiet { Console.note("measuring this machine's peaks") }
        report.machine = MachineProfile.measure(probes: registry.probes, threads: [threads])
    }
    if let json = values.string("json") {
        let data = try report.json(plan: BlockPlan(stages, units: units, size: block.size, threads: threads))
        if json == "-" { print(String(decoding: data, as: UTF8.self)) } else { try FileWriting.replace(json, with: data) }
        if json == "-" { return .fine }
    }
    print(report.summary)
    if values.flag("profile") { print("\n" + report.table) }
    return .fine
}

/// What a call of `run` found.
final class RunReport {
    let block: BlockInput
    let planned: PlannedBlock
    let threads: Int
    let output: [Float]
    let times: SampleSummary
    /// Median of each part; empty without --profile.
    let partNs: [Double]
    var machine: MachineProfile?

    init(
        _ block: BlockInput, _ planned: PlannedBlock, _ pool: ThreadPool, repeats: Int, seed: UInt64, parts: Bool
    ) throws {
        self.block = block
        self.planned = planned
        threads = pool.threads
        let size = block.size
        let result = AlignedMemory(floats: size.batch * planned.cout * size.height * size.width)
        let input = AlignedMemory(floats: block.values.count)
        input.floats.update(from: block.values, count: block.values.count)
        let timing = BlockTiming(input: input.floats, output: result.floats, watch: DisturbanceWatch(pool, nil), seed: seed)
        times = SampleSummary(timing.samples([planned], runs: repeats)[0], seed: seed)
        partNs = parts ? timing.parts(of: [planned], runs: max(repeats, 11))[0].map(Statistics.median) : []
        output = Array(result.floatBuffer)
    }

    private func problems(_ stage: BlockStage) -> [Problem] {
        planned.units[stage.units].map { try! $0.problem(at: block.size) }
    }

    private var effectiveFLOPs: Double {
        planned.stages.flatMap(problems).reduce(0) { $0 + $1.effectiveFLOPs }
    }

    var summary: String {
        let memory = planned.memory
        let bound = planned.units.memoryBound(at: block.size)
        return """
            \(block.name) at \(block.size.description), \(threads) thread\(threads == 1 ? "" : "s"): median \(Format.ms(times.medianNs)) ms, \
            min \(Format.ms(times.minNs)) ms of \(times.count) runs; \(Format.number(effectiveFLOPs / times.medianNs, digits: 3)) GFLOP/s effective
            \(planned.bandRows.map { "from the concatenation's parts on in bands of \($0) row\($0 == 1 ? "" : "s")\n" } ?? "")\
            \(planned.lanes.contains { $0 != nil } ? "branches side by side, a thread each\n" : "")\
            memory: maps \(Format.bytes(memory.maps)), scratch \(Format.bytes(memory.scratch)), weights \(Format.bytes(memory.weights))\
            \(memory.fits(bound) ? "" : "\nmaps and scratch are more than the \(Format.bytes(bound)) of input, output, mid and concatenation")
            """
    }

    /// One part of a run, as the table and the JSON tell it.
    struct Part: Encodable {
        /// The stage's units, or `layout` for a copy between layouts.
        let part: String
        var kernel: String?
        let median_ms: Double
        /// Of the run: of the sum of all parts, of those in lanes the longest lane's.
        let share: Double
        /// The thread that alone takes it, beside other lanes.
        var lane: Int?
        /// Of every tap, as papers count.
        var gflops: Double?
        /// Of what the machine could do at best, with the threads that compute it.
        var roofline: Double?
        var scratch_bytes: Int?
        /// Read and written by a copy.
        var gbps: Double?
    }

    private var parts: [Part] {
        let total = max(planned.total(of: partNs), 1)
        func roofline(_ threads: Int) -> Roofline? { machine.map { Roofline($0, threads: threads) } }
        let (all, one) = (roofline(threads), roofline(1))
        return zip(zip(planned.parts, planned.lanes), partNs.map { max($0, 1) }).map { part, ns in
            let (part, lane) = part
            switch part {
            case .conversion(let bytes):
                return Part(part: "layout", median_ms: ns / 1e6, share: ns / total, lane: lane, gbps: Double(bytes) / ns)
            case .stage(let stage):
                let problems = problems(stage)
                let floor = (lane == nil ? all : one).map { roofline in problems.reduce(0) { $0 + roofline.floorNs($1) } }
                return Part(
                    part: planned.units[stage.units].map(\.name).joined(separator: "+"), kernel: stage.kernel.name, median_ms: ns / 1e6,
                    share: ns / total, lane: lane, gflops: stage.kernel.isEpilogue ? nil : problems.reduce(0) { $0 + $1.nominalFLOPs } / ns,
                    roofline: stage.kernel.isEpilogue ? nil : floor.map { $0 / ns },
                    scratch_bytes: planned.scratchBytes(of: stage))
            }
        }
    }

    /// One row per part, and a bar as long as its share: the longest has 24 characters.
    var table: String {
        let longest = parts.map(\.share).max() ?? 1
        func number(_ value: Double?, _ unit: String = "") -> String { value.map { Format.number($0, digits: 3) + unit } ?? "-" }
        let hasLanes = parts.contains { $0.lane != nil }
        return Console.table(
            ["unit", "kernel", "ms", "% of total", "", "GFLOP/s", "% of roofline", "scratch"] + (hasLanes ? ["lane"] : []),
            parts.map { part in
                [
                    part.kernel == nil ? "(\(part.part))" : part.part, part.kernel ?? number(part.gbps, " GB/s"), number(part.median_ms),
                    Format.percent(part.share), String(repeating: "#", count: Int((24 * part.share / longest).rounded(.up))),
                    number(part.gflops), Format.percent(part.roofline), part.scratch_bytes.map(Format.bytes) ?? "-",
                ] + (hasLanes ? [part.lane.map(String.init) ?? ""] : [])
            }, right: [2, 3, 5, 6, 7, 8])
            + "\ntotal \(Format.ms(planned.total(of: partNs))) ms, part by part"
    }

    func json(plan: BlockPlan) throws -> Data {
        struct Stage: Encodable {
            let unit, problem, kernel, config, layout: String
            let band, lane: Int?
        }
        struct Document: Encodable {
            let block, size: String
            let threads, runs: Int
            let median_ms, min_ms, effective_flops: Double
            let maps_bytes, scratch_bytes, weights_bytes, bound_bytes: Int
            let peak_bytes: Int?
            let plan: [Stage]
            let profile: [Part]?
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(
            Document(
                block: block.name, size: block.size.description, threads: threads, runs: times.count,
                median_ms: times.medianNs / 1e6, min_ms: times.minNs / 1e6, effective_flops: effectiveFLOPs,
                maps_bytes: planned.memory.maps, scratch_bytes: planned.memory.scratch,
                weights_bytes: planned.memory.weights, bound_bytes: planned.units.memoryBound(at: block.size), peak_bytes: SystemMemory.processPeak,
                plan: plan.rows.map {
                    Stage(unit: $0.unit, problem: $0.problem, kernel: $0.kernel, config: $0.config, layout: $0.layout, band: $0.band, lane: $0.lane)
                },
                profile: partNs.isEmpty ? nil : parts))
    }
}
