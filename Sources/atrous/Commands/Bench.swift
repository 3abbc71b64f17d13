import BlockRuntime
import ConvCore
import Foundation
import Harness
import OptionParsing
import Results

/// CSV rows and a table; exit 1 if a kernel was wrong.
func runBench(_ values: Values) throws -> ExitCode {
    let presets = try values.strings("preset").map { try Preset($0) }
    if presets.contains(where: \.wholeBlocks) {
        guard presets.allSatisfy(\.wholeBlocks) else {
            throw UsageError("bench: --preset yolov5-blocks measures whole blocks, the others layers; run them one after the other")
        }
        return try benchBlocks(presets, values)
    }
    let selection = try ProblemSelection.nonEmpty(values, command: "bench")
    let kernels = try KernelSelection(values, everyLevel: false)
    let session = try Session(values)
    var bench = try BenchRun(values, session: session, kernels: kernels)
    let tuned = try TunedPicks(values, selection.problems, session: session, kernels: kernels, regime: bench.options.cache)
    if let tuned {
        bench.extra = { problem, threads in tuned[problem, threads].map { [$0] } ?? [] }
        if !session.quiet { Console.note(tuned.summary) }
    }
    for line in selection.skipped where !session.quiet { Console.note("skipped \(line)") }
    if values.flag("dry-run") {
        for problem in selection.problems {
            for (threads, candidates, unable) in bench.cases(problem) {
                for candidate in candidates { print("LISTED   \(problem)  \(candidate.name)  threads \(threads)") }
                for (name, reason) in unable { print("SKIPPED  \(problem)  \(name)  threads \(threads)  \(reason)") }
            }
        }
        return .fine
    }
    try bench.requireCases(selection.problems, command: "bench")
    // The file is opened before anything is measured, so that a wrong path costs nothing.
    let machine: MachineProfile
    let sink: ResultSink
    if let out = values.string("out") {
        sink = try ResultSink(out, raw: values.string("samples"))
        machine = bench.profile()
    } else {
        machine = bench.profile()
        sink = try ResultSink("results/\(machine.slug)/bench.csv", raw: values.string("samples"))
        try FileWriting.replace("results/\(machine.slug)/machine.json", with: machine.json)
    }
    let passed = try bench.run(selection.problems, machine: machine, emit: sink.append, raw: sink.append)
    // The table first: a JSON that cannot be written should not cost it.
    if values.string("json") != "-" { print(benchTable(sink.rows)) }
    if let json = values.string("json") {
        let data = try GoogleBenchmarkJSON.encode(sink.rows, context: machine.googleContext)
        if json == "-" { print(String(decoding: data, as: UTF8.self)) } else { try FileWriting.replace(json, with: data) }
    }
    if let history = values.string("history") {
        try HistoryFile(history == "-" ? MachineFolder.path("history.csv") : history).append(sink.rows.compactMap { HistoryRow($0) })
    }
    if !session.quiet { Console.note("\(sink.rows.count) rows in \(sink.path)") }
    return passed ? .fine : .failed
}

private func benchTable(_ rows: [ResultRow]) -> String {
    let naive = Dictionary(
        rows.filter { $0.family == "naive" && $0.threads == 1 }.compactMap { row in row.medianNs.map { (row.problem, $0) } },
        uniquingKeysWith: { first, _ in first })
    return Console.table(
        ["layer", "problem", "kernel", "threads", "ms", "±", "GFLOP/s", "% of roofline", "× naive"],
        rows.map { row in
            guard let median = row.medianNs, let mad = row.madNs else {
                return [row.layer, row.problemName, row.candidate, "\(row.threads)", row.verdict, "", "", "", ""]
            }
            return [
                row.layer, row.problemName, row.candidate, "\(row.threads)", Format.ms(median),
                String(format: "%.1f %%", 100 * mad / median), Format.number(row.gflops ?? .nan, digits: 3),
                Format.percent(row.attainable), Format.times(naive[row.problem].map { $0 / median }),
            ]
        }, right: [3, 4, 5, 6, 7, 8])
}

extension HistoryRow {
    /// nil for a case that was not timed.
    init?(_ row: ResultRow) {
        guard let ns = row.medianNs, ns > 0 else { return nil }
        self.init()
        (timeUTC, commit, source, problem, candidate) = (row.timeUTC, row.commit, "bench", row.problem, row.candidate)
        (threads, cache, medianNs, referenceNs) = (row.threads, row.cache, ns, row.referenceNs)
    }
}

extension MachineProfile {
    var googleContext: GoogleBenchmarkJSON.Context {
        var context = GoogleBenchmarkJSON.Context()
        context.date = Session.now
        context.cpus = cpus
        context.caches = caches.map { ($0.level, $0.bytes, $0.sharedBy) }
        context.version = toolTable.version
        context.extra = ["cpu": cpu, "commit": Session.commit]
        return context
    }
}
