import BlockRuntime
import ConvCore
import Foundation
import Harness
import OptionParsing
import Results
import Tuning

/// The fastest verified kernel of every layer: the tuner's pick where there is one, otherwise from stored rows; what they lack is
/// measured first, or, with --estimate, answered from the nearest shapes and the model.
func runPick(_ values: Values) throws -> ExitCode {
    let comparing = values.string("compare") == "dense"
    let selection = try ProblemSelection.nonEmpty(values, command: "pick")
    let plansBlock = values.string("out") != nil && !values.strings("block").isEmpty
    if plansBlock { try refuseForPlan(values) }
    let kernels = try KernelSelection(values, everyLevel: false)
    let session = try Session(values)
    // Read before anything is measured: it may be no input.
    let planned = plansBlock ? try BlockInput(values, seed: session.seed) : nil
    var bench = try BenchRun(values, session: session, kernels: kernels)
    let comparisons = comparing ? try denseComparisons(values) : []
    try bench.requireCases(selection.problems, command: "pick")
    let folder = values.string("store") ?? "results"
    let estimating = values.flag("estimate")
    // An estimate measures nothing, and without a profile of this machine it has no model.
    let stored = estimating ? StorePlace(values).storedProfile(threads: session.threads, kernels) : nil
    let machine = estimating ? stored ?? .unmeasured(kernels.registry) : bench.profile()
    let regime = bench.options.cache
    var store = try Store(values.string("store"), machine: machine, cache: regime.rawValue, registry: kernels.registry, quiet: session.quiet)
    let choices = TunedChoices(lookup: estimating ? TunedLookup(store.tuned, machine: stored) : store.lookup, kernels: kernels, regime: regime)
    bench.extra = { problem, threads in choices[problem, threads].map { [$0.candidate] } ?? [] }

    let wanted = selection.problems + comparisons.flatMap { $0.separable + [$0.dense] }
    var seen: Set<Problem> = []
    let missing = wanted.filter { problem in
        seen.insert(problem).inserted
            && bench.cases(problem).contains { threads, candidates, _ in
                !(choices[problem, threads]?.source.isExact ?? false)
                    && candidates.contains { store.row(problem, $0, threads: threads) == nil }
            }
    }
    if estimating {
        guard !comparing, values.string("out") == nil else { throw UsageError("--estimate measures nothing; leave --compare and --out out, or --estimate") }
        let cases = session.threads.flatMap { threads in selection.problems.map { TuningCase($0, threads: threads, regime: regime) } }
        print(estimateTable(cases) { choices[$0.problem, $0.threads] })
        WantedCases.note(choices.inexact(selection.problems, session.threads), beside: store.tuned)
        return .fine
    }
    if values.flag("dry-run") {
        for problem in missing { print("LISTED   \(problem)  to be measured") }
        return .fine
    }
    var passed = true
    if !missing.isEmpty {
        let sink = try ResultSink(MachineFolder.path("bench.csv", of: machine, in: folder), raw: nil)
        if !session.quiet { Console.note("measuring \(missing.count) problems that \(folder) does not hold yet") }
        passed = try bench.run(missing, machine: machine, emit: sink.append)
        for row in sink.rows { store.add(row) }
    }
    WantedCases.note(choices.inexact(selection.problems, session.threads), beside: store.tuned)

    let picker = Picker(bench: bench, store: store, choices: choices)
    let picks = session.threads.flatMap { threads in selection.problems.compactMap { picker.pick($0, threads: threads) } }
    print(pickTable(picks))
    if comparing {
        for threads in session.threads {
            print("\nseparable beside the dense convolution that it replaces, \(threads) thread\(threads == 1 ? "" : "s"):\n")
            print(comparisonTable(comparisons, picker, threads: threads))
        }
    }
    if let out = values.string("out") {
        if let planned {
            try writeBlockPlan(
                planned, to: out, session: session, machine: machine, registry: kernels.registry, tuned: { choices.inBlock($0, $1) })
        } else {
            try FileWriting.replace(out, with: Data(BlockPlan(rows: picks.map(\.row)).text.utf8))
            if !session.quiet { Console.note("the layers' kernels in \(out)") }
        }
    }
    return passed ? .fine : .failed
}

/// The winner of one problem and what it is compared with.
struct Pick {
    let problem: Problem
    let winner: ResultRow
    /// The naive kernel, always on one thread.
    let naive: ResultRow?
    /// im2col + GEMM with the winner's threads.
    let im2col: ResultRow?
    /// `tuned (quick)`, or `measured` among standard configurations.
    let source: String

    /// As a plan holds it.
    var row: BlockPlan.Row {
        BlockPlan.Row(
            unit: problem.name ?? "", problem: problem.text, kernel: winner.kernel, config: winner.config, layout: winner.layout,
            threads: winner.threads, medianNs: winner.medianNs, machine: winner.machine)
    }
}

/// Finds winners among the candidates that the options admit.
struct Picker {
    let bench: BenchRun
    let store: Store
    let choices: TunedChoices

    /// nil where no candidate has a passing row.
    func pick(_ problem: Problem, threads: Int) -> Pick? {
        let candidates = bench.candidates(problem, threads: threads).able
        let rows = candidates.compactMap { store.row(problem, $0, threads: threads) }
        let choice = choices[problem, threads]
        let tuned = choice?.source.isExact ?? false ? choice?.row : nil
        // Ties go to the earlier candidate, so that a pick does not flip from run to run for nothing.
        guard let winner = tuned ?? rows.min(by: { $0.medianNs! < $1.medianNs! }) else { return nil }
        func row(_ family: Kernel.Family, threads: Int) -> ResultRow? {
            bench.kernels.candidates(for: problem, threads: threads).able.lazy
                .filter { $0.kernel.family == family }
                .compactMap { store.row(problem, $0, threads: threads) }.first
        }
        return Pick(
            problem: problem, winner: winner, naive: row(.naive, threads: 1), im2col: row(.im2col, threads: threads),
            source: tuned.map { "tuned (\($0.tuning.effort))" } ?? "measured")
    }
}

private func pickTable(_ picks: [Pick]) -> String {
    Console.table(
        ["layer", "shape", "threads", "fastest kernel", "ms", "GFLOP/s", "% of roofline", "× naive", "× im2col+GEMM", "source"],
        picks.map { pick in
            let median = pick.winner.medianNs!
            return [
                pick.problem.layer.rawValue, pick.problem.label, "\(pick.winner.threads)",
                pick.winner.candidate, Format.ms(median), Format.number(pick.winner.gflops ?? .nan, digits: 3),
                Format.percent(pick.winner.attainable), Format.times(pick.naive.map { $0.medianNs! / median }),
                Format.times(pick.im2col.map { $0.medianNs! / median }), pick.source,
            ]
        }, right: [2, 4, 5, 6, 7, 8])
}

/// A branch's separable, and the dense convolution under a name that tells its block.
struct NamedComparison {
    let name: String
    let comparison: DenseComparison
    let dense: Problem
    var separable: [Problem] { comparison.separable }

    init(block: String, _ comparison: DenseComparison) {
        name = "\(block) \(comparison.name)"
        self.comparison = comparison
        var dense = comparison.dense
        dense.name = "\(block)-k\(dense.kh)d\(dense.dilationH)-dense"
        self.dense = dense
    }
}

/// The comparisons of every block and preset that was asked for.
private func denseComparisons(_ values: Values) throws -> [NamedComparison] {
    var all: [NamedComparison] = []
    for block in values.strings("block") {
        let block = try BlockSelection(block, values)
        all += try block.description.denseComparison(size: block.size).map {
            NamedComparison(block: block.description.name, $0)
        }
    }
    let options = try PresetOptions(values)
    for name in values.strings("preset") {
        for block in try Preset(name).blocks(options) {
            all += try block.block.denseComparison(size: block.size).map { NamedComparison(block: block.name, $0) }
        }
    }
    guard !all.isEmpty else {
        throw UsageError("--compare dense needs the branches of a block; write --block literal --size 1x512x20x20 or --preset yolov5s")
    }
    var seen: Set<Problem> = []
    return all.filter { seen.insert($0.dense).inserted }
}

private func comparisonTable(_ comparisons: [NamedComparison], _ picker: Picker, threads: Int) -> String {
    Console.table(
        ["branch", "parameters", "dense", "MMAC", "dense", "effective MMAC", "dense", "ms", "dense", "saving in time"],
        comparisons.map { c in
            let parts = c.separable.compactMap { picker.pick($0, threads: threads)?.winner.medianNs }
            let separable = parts.count == c.separable.count ? parts.reduce(0, +) : nil
            let dense = picker.pick(c.dense, threads: threads)?.winner.medianNs
            func mega(_ value: Double) -> String { Format.number(value / 1e6, digits: 4) }
            return [
                c.name, "\(c.comparison.separableParameters)", "\(c.comparison.denseParameters)",
                mega(c.comparison.separableNominalMACs), mega(c.comparison.denseNominalMACs),
                mega(c.comparison.separableEffectiveMACs), mega(c.comparison.denseEffectiveMACs),
                separable.map(Format.ms) ?? "-", dense.map(Format.ms) ?? "-",
                Format.times(separable.flatMap { s in dense.map { $0 / s } }),
            ]
        }, right: [1, 2, 3, 4, 5, 6, 7, 8, 9])
}
