import BlockRuntime
import ConvCore
import Foundation
import Harness
import KernelRegistry
import OptionParsing
import Results
import Tuning

/// The best configuration of every kernel for every case, remembered in a store; exit 1 if a kernel was wrong.
func runTune(_ values: Values) throws -> ExitCode {
    let options = try TuneOptions(values)
    let wanted = values.flag("wanted")
    let selection = try wanted ? ProblemSelection(values, separables: true) : ProblemSelection.nonEmpty(values, command: "tune", separables: true)
    let kernels = try KernelSelection(values, everyLevel: false, allConfigurations: true)
    let session = try Session(values)
    for line in selection.skipped where !session.quiet { Console.note("skipped \(line)") }
    let place = StorePlace(values)
    let store = try place.open(kernels, quiet: session.quiet)
    let admitted = TunedLookup(store, machine: nil)
    func isDecided(_ subject: TuningCase) -> Bool {
        admitted.isExact(subject, among: kernels.candidates(for: subject.problem, threads: subject.threads).able)
    }
    // Those of other problems and thread counts than are asked for wait.
    let filter = try ProblemFilter(values)
    let noted = wanted ? WantedCases.all(beside: store) : []
    let admissible = noted.filter { filter.admits($0.problem) && (!values.flag("threads") || session.threads.contains($0.threads)) }
    let undecided = admissible.filter { !isDecided($0) }
    var seen: Set<TuningCase> = []
    // Problem by problem: what a problem is verified against serves all its thread counts.
    let all = (selection.problems.flatMap { problem in
        session.threads.map { TuningCase(problem, threads: $0, regime: options.regime) }
    } + undecided).filter { seen.insert($0).inserted }
    let able = all.filter { !kernels.candidates(for: $0.problem, threads: $0.threads).able.isEmpty }
    guard !able.isEmpty else {
        let list = WantedCases.path(beside: store)
        if wanted, all.isEmpty {
            guard !noted.isEmpty else { throw UsageError("tune --wanted: nothing is noted in \(list); `atrous pick` notes what it finds untuned") }
            guard !admissible.isEmpty else { throw UsageError("tune --wanted: none of the \(noted.count) cases noted in \(list) is left; loosen --filter, --skip or --threads") }
            // Another tuning was faster.
            if options.limits != nil, !values.flag("dry-run") { try WantedCases.prune(beside: store, isDecided: isDecided) }
            print("nothing to tune: what is asked for of \(list) is decided")
            return .fine
        }
        throw KernelSelection.nothingLeft("tune")
    }
    let cases = options.shard?.part(of: able) ?? able
    try options.check(cases, kernels)

    let threads = Set(cases.map(\.threads)).sorted()
    guard let limits = options.limits, let strategy = options.strategy else {
        // Nothing is measured and nothing written: without a profile of this machine there is no model.
        let lookup = TunedLookup(store, machine: place.storedProfile(threads: threads, kernels))
        print(estimateTable(cases) { lookup.choose($0, among: kernels.candidates(for: $0.problem, threads: $0.threads).able) })
        return .fine
    }
    let dry = values.flag("dry-run")
    // What cannot be written is said before anything is measured.
    if !dry, try store.file.prepare(), !session.quiet {
        Console.warning("\(store.file.path): the last line was torn by a killed run and is cut off")
    }
    let machine = try place.profile(threads: threads, kernels, quiet: session.quiet, write: !dry)
    var settings = Tuner.Settings(effort: options.effort, limits: limits, strategy: strategy, seed: session.seed)
    settings.trustVerify = values.flag("trust-verify")
    settings.retune = values.flag("retune")
    let tuner = Tuner(
        store, machine: machine, throughput: Throughput(kernels.registry.probes, on: machine), settings: settings,
        candidates: { kernels.candidates(for: $0, threads: $1).able },
        resolve: { row, subject in kernels.registered(row.kernel, row.config, for: subject.problem, threads: subject.threads) },
        makeRow: { candidate, subject, measurement in
            var row = session.row(
                candidate, subject.problem, threads: subject.threads, machine: machine, cache: subject.regime)
            if let measurement {
                row.fill(measurement, roofline: Roofline(machine, threads: subject.threads), cold: subject.regime == .cold)
            }
            return row
        })
    if dry {
        for subject in cases {
            let work = tuner.work(subject)
            print("\(work.isDecided ? "DECIDED" : "OPEN   ")  \(subject)  \(work.candidates.count) candidates, \(work.open.count) open")
        }
        return .fine
    }
    let run = TuneRun(
        session: session, kernels: kernels, machine: machine, store: store, tuner: tuner, budget: options.budget,
        trace: try values.string("trace").map { try TraceFile($0, strategy: strategy.name) })
    var results: [TuneRun.Result] = []
    let (passed, left) = try run.run(cases) { results.append($0) }
    print(tuneTable(results))
    try store.compact()
    if wanted { try WantedCases.prune(beside: store, isDecided: isDecided) }
    if !session.quiet { Console.note(summary(results, store)) }
    let cut = results.count { $0.outcome.isCut }
    if cut > 0 {
        let rest = settings.retune ? "what held them has met what was reached; the same command begins anew" : "their picks are partial, and the same command goes on with them"
        Console.warning("the budget cut the search of \(cut) of \(cases.count) cases short; \(rest)")
    }
    let capped = results.count { $0.outcome.isCapped }
    if capped > 0 {
        Console.warning("--evaluations left candidates of \(capped) of \(cases.count) cases out; their picks are partial, and the same command without it goes on with them")
    }
    if !left.isEmpty {
        Console.warning("the budget ended before \(left.count) of \(cases.count) cases; run the same command again to go on")
    }
    return passed ? .fine : .failed
}

private func tuneTable(_ results: [TuneRun.Result]) -> String {
    Console.table(
        ["layer", "shape", "threads", "pick", "ms", "% of roofline", "next ×", "regret", "measured", "of", "from"],
        results.map { result in
            let o = result.outcome
            let head = [o.subject.problem.layer.rawValue, o.subject.problem.label, "\(o.subject.threads)"]
            guard let pick = o.pick else { return head + ["-", "-", "-", "-", "-", "\(o.evaluations)", "\(o.spaceSize)", "not decided"] }
            return head + [
                pick.candidate, Format.ms(pick.medianNs ?? .nan), Format.percent(pick.attainable),
                pick.tuning.mark == "pick" ? pick.tuning.ratio.map { Format.number($0, digits: 4) } ?? "-" : "-",
                pick.tuning.regret.map { String(format: "%.1f %%", 100 * $0) } ?? "-", "\(o.evaluations)", "\(o.spaceSize)",
                (o.stored ? "store" : pick.tuning.strategy) + (o.holder.map { "; \($0) stays the pick" } ?? ""),
            ]
        }, right: [2, 4, 5, 6, 7, 8, 9])
}

private func summary(_ results: [TuneRun.Result], _ store: TuningStore) -> String {
    let stored = results.filter(\.outcome.stored).count
    let seconds = results.map(\.seconds).reduce(0, +)
    let measuring = results.map(\.outcome.spentNs).reduce(0, +) / 1e9
    return "\(results.count) cases (\(stored) from the store) in \(Format.number(seconds, digits: 3)) s, \(Format.number(measuring, digits: 3)) s of it measuring; store \(store.file.path)"
}
