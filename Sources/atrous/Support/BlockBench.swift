import BlockRuntime
import ConvCore
import Foundation
import Harness
import OptionParsing
import Results
import Tuning

/// `bench --preset yolov5-blocks`: every block planned, beside the same block by one family throughout. Rows of layer
/// `block`, and for the plan's parts rows of layer `stage`.
func benchBlocks(_ presets: [Preset], _ values: Values) throws -> ExitCode {
    let session = try Session(values)
    try values.refuse(
        ["problem", "problem-file", "block", "size", "separables", "kernel", "family", "isa", "faults", "cache", "min-time", "rounds",
         "samples", "history", "variant", "eps", "tuned"],
        for: "bench of whole blocks", why: "they are planned among all kernels of this CPU, warm, in fixed rounds")
    let kernels = try KernelSelection(values, everyLevel: false)
    let bench = try BenchRun(values, session: session, kernels: kernels)
    var cases = try presets.flatMap { try $0.blocks(PresetOptions(values)) }
    if let filter = try Pattern(values.string("filter"), flag: "--filter") { cases.removeAll { !filter.matches($0.name) } }
    if let skip = try Pattern(values.string("skip"), flag: "--skip") { cases.removeAll { skip.matches($0.name) } }
    guard !cases.isEmpty else { throw UsageError("bench: no block is left; loosen --filter or --skip") }
    if values.flag("dry-run") {
        for one in cases { print("LISTED   \(one.name)  \(one.size.description)") }
        return .fine
    }
    if let json = values.string("json"), json != "-" { try FileWriting.require(json) }
    let machine = bench.profile()
    let throughput = Throughput(kernels.registry.probes, on: machine)
    let sink = try ResultSink(values.string("out") ?? "results/\(machine.slug)/blocks.csv", raw: nil)
    let tuned = try Store.openTuned(nil, machine: machine, registry: kernels.registry, quiet: session.quiet)
    let choices = TunedChoices(lookup: TunedLookup(tuned, machine: machine), kernels: kernels, regime: .warm)
    let progress = Progress(total: cases.count * session.threads.count, quiet: session.quiet)
    var table: [[String]] = []
    var step = 0
    for one in cases {
        let parameters = try BlockParameters(random: one.block, cin: one.size.cin, cout: one.size.cout, seed: session.seed)
        for threads in session.threads {
            let planner = BlockPlanner(
                parameters, size: one.size, registry: kernels.registry, threads: threads, seed: session.seed, throughput: throughput,
                tuned: { choices.inBlock($0, threads) })
            let outcome = try planner.choose(machine: machine.slug, naive: true) { progress.update(step: step, "\(one.name): \($0)") }
            outcome.warn(one.name, threads: threads)
            step += 1
            let rows = try BlockRows(one, parameters, outcome, threads: threads, session: session, machine: machine)
            for row in rows.all { try sink.append(row) }
            table.append(rows.summary)
        }
    }
    progress.finish()
    let json = values.string("json")
    if json == "-" {
        print(String(decoding: try GoogleBenchmarkJSON.encode(sink.rows, context: machine.googleContext), as: UTF8.self))
        return .fine
    }
    print(
        Console.table(
            ["block", "threads", "planned ms", "predicted", "× FMA floor", "× all tiled", "× all simd", "× all im2col", "× all naive"], table,
            right: [1, 2, 3, 4, 5, 6, 7, 8]))
    // A JSON that cannot be written should not cost the table.
    if let json { try FileWriting.replace(json, with: GoogleBenchmarkJSON.encode(sink.rows, context: machine.googleContext)) }
    if !session.quiet { Console.note("\(sink.rows.count) rows in \(sink.path)") }
    return .fine
}

/// The rows of one planned block.
private struct BlockRows {
    private(set) var all: [ResultRow] = []
    let summary: [String]

    init(
        _ one: BlockCase, _ parameters: BlockParameters, _ outcome: BlockPlanner.Outcome, threads: Int, session: Session,
        machine: MachineProfile
    ) throws {
        let problems = try parameters.units.map {
            try $0.unit.problem(at: one.size)
        }
        let nominal = problems.reduce(0) { $0 + $1.nominalFLOPs }
        let effective = problems.reduce(0) { $0 + $1.effectiveFLOPs }
        let text = "\(one.block.name) \(one.size.description) \(one.block.activation.rawValue)"
        let ends = Double(4 * one.size.batch * one.size.height * one.size.width * (parameters.cin + parameters.cout))
        var base = ResultRow()
        base.run = session.runID
        base.timeUTC = Session.now
        base.commit = Session.commit
        base.machine = machine.slug
        base.cpu = machine.cpu
        base.layout = Layout.nchw.rawValue
        base.threads = threads
        base.cache = "warm"
        base.seed = Int(exactly: session.seed)
        base.parameters = problems.reduce(0) { $0 + $1.parameters }
        base.verdict = "PASSED"
        let planned = outcome.rivals.first { $0.ratio == 1 }
        // The plan may be one of the families itself: then both rows say the same.
        let named = outcome.rivals.flatMap { rival in
            [rival.name == planned?.name ? "planned" : nil, BlockPlanner.families[rival.name]].compactMap { $0 }.map { (rival, $0) }
        }
        for (rival, family) in named {
            var row = base
            row.layer = "block"
            row.problem = "\(text) n\"\(one.name)\""
            row.kernel = "block-\(family)"
            row.family = family
            row.config = rival.stages.compactMap(\.band).first.map { "band\($0)" } ?? (rival.stages.contains { $0.lane != nil } ? "lanes" : "")
            row.isa = rival.stages.first?.kernel.isa ?? ""
            row.nominalFLOPs = nominal
            row.effectiveFLOPs = effective
            row.bytes = ends + Double(4 * base.parameters!)
            row.fill(rival.summary)
            row.gflops = nominal / rival.summary.medianNs
            row.gbps = row.bytes! / rival.summary.medianNs
            row.attainable = 1 / timesFloor(rival.summary)
            row.maxError = rival.maxError
            row.scratchBytes = rival.memory.maps + rival.memory.scratch
            row.packedBytes = rival.memory.weights
            if family == "planned" { (row.predictedNs, row.attempts) = (outcome.predictedNs, outcome.attempts) }
            all.append(row)
        }
        // Of those in lanes the part of the run that they stand for: stages add up.
        for (index, (part, ns)) in outcome.parts.enumerated() {
            var row = base
            row.layer = "stage"
            row.family = "planned"
            row.medianNs = ns
            switch part {
            case .conversion(let bytes):
                row.problem = "\(text) layout\(index) n\"\(one.name)\""
                row.kernel = "layout"
                row.bytes = Double(bytes)
            case .stage(let stage):
                let own = problems[stage.units]
                row.problem = "\(text) \(parameters.units[stage.units].map(\.unit.name).joined(separator: "+")) n\"\(one.name)\""
                row.kernel = stage.kernel.kernelName
                row.config = stage.kernel.configuration.description
                row.isa = stage.kernel.isa
                row.layout = stage.kernel.layout.rawValue
                // An epilogue's are done in the stages before it.
                guard !stage.kernel.isEpilogue else { break }
                row.nominalFLOPs = own.reduce(0) { $0 + $1.nominalFLOPs }
                row.effectiveFLOPs = own.reduce(0) { $0 + $1.effectiveFLOPs }
                row.gflops = row.nominalFLOPs! / ns
            }
            all.append(row)
        }
        // The time in that of the effective FLOPs at the FMA peak beside the very runs: a clock that wanders moves both.
        func timesFloor(_ summary: SampleSummary) -> Double {
            summary.medianNs * (summary.multiplyAddGflops ?? machine.peakGflops(threads: threads)) / effective
        }
        func ratio(_ name: String) -> String { Format.times(outcome.rivals.first { $0.name == name }?.ratio) }
        summary = [
            one.name, "\(threads)", Format.ms(outcome.measuredNs),
            String(format: "%+.1f %%", 100 * (outcome.predictedNs / outcome.measuredNs - 1)),
            Format.times(planned.map { timesFloor($0.summary) }), ratio("all tiled"), ratio("all simd"), ratio("all im2col"), ratio("all naive"),
        ]
    }
}
