import ConvCore
import Foundation
import Harness
import OptionParsing
import Regression
import Results
import ThreadPool

/// This build against rows that were measured another day, perhaps on another clock.
///
/// Nanoseconds of two days are not compared: what is, is each kernel's time beside two yardsticks of the same run, the naive
/// kernel on the same problem and the reference loop (``StoredTimes``). What the clock or the neighbours did to both cancels; what
/// they did to one does not. So the threshold is at least what runs of one build differ by, and a suspect is measured again.
func checkAgainstFile(_ path: String, _ values: Values, session: Session) throws -> ExitCode {
    guard values.string("head") == nil else {
        throw UsageError("check: with a CSV as --base the build that runs is the head; leave --head out, or run that build's check")
    }
    let contents = try ResultFile.readFolder(path)
    for warning in contents.warnings { Console.warning(warning) }
    let kernels = try KernelSelection(values, everyLevel: false)
    let selection = try ProblemSelection.nonEmpty(values, command: "check")
    let machine = MachineProfile.unmeasured(levels: kernels.registry.probes.map(\.name))
    let rows = contents.rows.filter { $0.cache == "warm" && $0.machine == machine.slug }
    if rows.isEmpty { throw UsageError("--base \(path): no row is of this machine (\(machine.slug)); `atrous bench --out \(path)` measures it") }
    let stored = StoredTimes(rows)
    let threshold = max(try values.rule().threshold, stored.leastThreshold)
    print(
        "against rows of another day (\(stored.days)): ratios to \(stored.yardsticks) of the same run are compared, not nanoseconds, and the threshold is \(CheckOutcome.percent(log1p(threshold))) (\(stored.reason))")
    let compare = FileComparison(kernels: kernels, stored: stored, threshold: threshold, seed: session.seed)
    let pools = session.threads.map { ThreadPool(threads: $0, pinned: true) }
    var found: [FileComparison.Row] = []
    let progress = Progress(total: selection.problems.count, quiet: session.quiet)
    for (step, problem) in selection.problems.enumerated() {
        progress.update(step: step, problem.description)
        found += try compare.rows(problem, pools: pools)
    }
    progress.finish()
    guard !found.isEmpty else {
        throw UsageError("check: \(path) holds no case of these problems with its naive kernel beside it; run `atrous bench` on them first")
    }
    print(FileComparison.table(found))
    let slower = found.count { $0.verdict == "SLOWER" }
    print(slower == 0 ? "fine: no case is slower by \(CheckOutcome.percent(log1p(threshold))) or more (\(found.count) cases)" : "REGRESSION: \(slower) cases slower")
    return slower == 0 ? .fine : .failed
}

struct FileComparison {
    let kernels: KernelSelection
    let stored: StoredTimes
    let threshold: Double
    let seed: UInt64

    struct Row {
        let problem: Problem
        let candidate: String
        let threads: Int
        let before, after: StoredTimes.Case
        var change: Double { after.change(since: before) }
        let verdict: String
    }

    /// Every stored case of the problem that this build has; what looks slower is measured once more.
    func rows(_ problem: Problem, pools: [ThreadPool]) throws -> [Row] {
        guard let naive = kernels.registry.kernels.first(where: { $0.layer == problem.layer && $0.family == .naive }) else { return [] }
        var cases: [Trial.Case] = []
        for pool in pools {
            cases += kernels.candidates(for: problem, threads: pool.threads).able
                .filter { $0.kernel.family != .naive && stored.newest(problem, $0.name, threads: pool.threads) != nil }
                .map { Trial.Case($0, on: pool) }
        }
        guard !cases.isEmpty else { return [] }
        let data = try ProblemData(problem, seed: seed)
        let one = pools.first { $0.threads == 1 } ?? ThreadPool(threads: 1)
        var best: [String: StoredTimes.Case] = [:]
        var rows: [Row] = []
        for attempt in 0..<2 {
            var clock = ClockWatch()
            let outcomes = try Trial(data, cases: [Trial.Case(Candidate(naive), on: one)] + cases)
                .run(measuring: MeasurementOptions(seed: seed + UInt64(attempt))) { _ in clock.look() }
            guard case .measured(let yardstick) = outcomes[0].outcome else { return [] }
            rows = zip(cases, outcomes.dropFirst()).compactMap { one, outcome in
                let (name, threads) = (one.candidate.name, one.pool.threads)
                guard case .measured(let m) = outcome.outcome, let before = stored.newest(problem, name, threads: threads) else { return nil }
                let now = StoredTimes.Case(ns: m.medianNs, naiveNs: yardstick.medianNs, referenceNs: clock.medianNs)
                // The better of two attempts: a regression is there both times.
                let key = "\(name)|\(threads)"
                let kept = best[key].map { $0.change(since: before) < now.change(since: before) ? $0 : now } ?? now
                best[key] = kept
                let change = kept.change(since: before)
                let verdict = change >= log1p(threshold) ? "SLOWER" : change <= -log1p(threshold) ? "faster" : "fine"
                return Row(problem: problem, candidate: name, threads: threads, before: before, after: kept, verdict: verdict)
            }
            if !rows.contains(where: { $0.verdict == "SLOWER" }) { break }
        }
        return rows
    }

    static func table(_ rows: [Row]) -> String {
        func share(_ x: Double) -> String { String(format: "%.4f %%", x * 100) }
        func loops(_ x: Double?) -> String { x.map { String(format: "%.4f", $0) } ?? "-" }
        return Console.table(
            ["layer", "problem", "kernel", "threads", "of naive, then", "now", "reference loops, then", "now", "change", "verdict"],
            rows.map {
                [
                    $0.problem.layer.rawValue, $0.problem.name ?? $0.problem.text, $0.candidate, "\($0.threads)",
                    share($0.before.ofNaive), share($0.after.ofNaive), loops($0.before.ofReference), loops($0.after.ofReference),
                    CheckOutcome.percent($0.change), $0.verdict,
                ]
            }, right: [3, 4, 5, 6, 7, 8])
    }
}
