import ConvCore
import Foundation
import Harness
import OptionParsing
import Regression
import Results
import ThreadPool

/// This build against rows that were measured another day, perhaps on another clock.
///
/// Nanoseconds of two days are not compared: what is, is each kernel's time beside the naive kernel's of the same problem in the
/// same run. What the clock or the neighbours did to both cancels; what they did to one does not, and the naive kernel meets
/// other limits than a vector kernel. So the threshold is ``widening`` times as wide, and a suspect is measured again.
func checkAgainstFile(_ path: String, _ values: Values, session: Session) throws -> ExitCode {
    guard values.string("head") == nil else {
        throw UsageError("check: with a CSV as --base the build that runs is the head; leave --head out, or run that build's check")
    }
    let contents = try ResultFile.readFolder(path)
    for warning in contents.warnings { Console.warning(warning) }
    let kernels = try KernelSelection(values, everyLevel: false)
    let selection = try ProblemSelection.nonEmpty(values, command: "check")
    let threshold = try values.rule().threshold * widening
    let machine = MachineProfile.unmeasured(levels: kernels.registry.probes.map(\.name))
    let stored = StoredTimes(contents.rows.filter { $0.cache == "warm" && $0.machine == machine.slug })
    if stored.isEmpty { throw UsageError("--base \(path): no row is of this machine (\(machine.slug)); `atrous bench --out \(path)` measures it") }
    print("against rows of another day (\(stored.days)): ratios to the naive kernel of the same run are compared, not nanoseconds, and the threshold is \(CheckOutcome.percent(log1p(threshold)))")
    let compare = FileComparison(kernels: kernels, stored: stored, threshold: threshold, seed: session.seed)
    let pools = session.threads.map { ThreadPool(threads: $0, pinned: true) }
    var rows: [FileComparison.Row] = []
    let progress = Progress(total: selection.problems.count, quiet: session.quiet)
    for (step, problem) in selection.problems.enumerated() {
        progress.update(step: step, problem.description)
        rows += try compare.rows(problem, pools: pools)
    }
    progress.finish()
    guard !rows.isEmpty else {
        throw UsageError("check: \(path) holds no case of these problems with its naive kernel beside it; run `atrous bench` on them first")
    }
    print(FileComparison.table(rows))
    let slower = rows.count { $0.verdict == "SLOWER" }
    print(slower == 0 ? "fine: no case is slower by \(CheckOutcome.percent(log1p(threshold))) or more (\(rows.count) cases)" : "REGRESSION: \(slower) cases slower")
    return slower == 0 ? .fine : .failed
}

/// Times the threshold of a paired check.
private let widening = 5.0

/// The newest passing row of each case.
struct StoredTimes {
    private var newest: [String: ResultRow] = [:]
    var isEmpty: Bool { newest.isEmpty }
    var days: String { Set(newest.values.map { String($0.timeUTC.prefix(10)) }).sorted().suffix(2).joined(separator: ", ") }

    init(_ rows: [ResultRow]) {
        for row in rows where row.verdict == "PASSED" && row.medianNs != nil {
            guard let text = try? Problem(parsing: row.problem).text else { continue }
            let key = Self.key(text, row.candidate, row.threads)
            if newest[key]?.timeUTC ?? "" <= row.timeUTC { newest[key] = row }
        }
    }

    private static func key(_ problem: String, _ candidate: String, _ threads: Int) -> String { "\(problem)|\(candidate)|\(threads)" }

    /// The case's row and the naive kernel's of the same run of the command.
    func pair(_ problem: Problem, _ candidate: String, threads: Int) -> (ns: Double, naive: Double)? {
        guard let row = newest[Self.key(problem.text, candidate, threads)],
            let naive = newest[Self.key(problem.text, "\(problem.layer.rawValue)-naive-scalar", 1)], naive.run == row.run
        else { return nil }
        return (row.medianNs!, naive.medianNs!)
    }
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
        let before, after: Double
        /// Of the ratios.
        var change: Double { log(after / before) }
        let verdict: String
    }

    /// Every stored case of the problem that this build has; what looks slower is measured once more.
    func rows(_ problem: Problem, pools: [ThreadPool]) throws -> [Row] {
        guard let naive = kernels.registry.kernels.first(where: { $0.layer == problem.layer && $0.family == .naive }) else { return [] }
        var cases: [Trial.Case] = []
        for pool in pools {
            cases += kernels.candidates(for: problem, threads: pool.threads).able
                .filter { $0.kernel.family != .naive && stored.pair(problem, $0.name, threads: pool.threads) != nil }
                .map { Trial.Case($0, on: pool) }
        }
        guard !cases.isEmpty else { return [] }
        let data = try ProblemData(problem, seed: seed)
        let one = pools.first { $0.threads == 1 } ?? ThreadPool(threads: 1)
        var worst: [String: Double] = [:]
        var rows: [Row] = []
        for attempt in 0..<2 {
            let outcomes = try Trial(data, cases: [Trial.Case(Candidate(naive), on: one)] + cases).run(measuring: MeasurementOptions(seed: seed + UInt64(attempt)))
            guard case .measured(let reference) = outcomes[0].outcome else { return [] }
            rows = zip(cases, outcomes.dropFirst()).compactMap { one, outcome in
                let (name, threads) = (one.candidate.name, one.pool.threads)
                guard case .measured(let m) = outcome.outcome, let old = stored.pair(problem, name, threads: threads) else { return nil }
                let (before, after) = (old.ns / old.naive, m.medianNs / reference.medianNs)
                // The better of two attempts: a regression is there both times.
                let key = "\(name)|\(threads)"
                let kept = min(worst[key] ?? .infinity, after)
                worst[key] = kept
                let change = log(kept / before)
                let verdict = change >= log1p(threshold) ? "SLOWER" : change <= -log1p(threshold) ? "faster" : "fine"
                return Row(problem: problem, candidate: name, threads: threads, before: before, after: kept, verdict: verdict)
            }
            if !rows.contains(where: { $0.verdict == "SLOWER" }) { break }
        }
        return rows
    }

    static func table(_ rows: [Row]) -> String {
        Console.table(
            ["layer", "problem", "kernel", "threads", "of naive, then", "of naive, now", "change", "verdict"],
            rows.map {
                [
                    $0.problem.layer.rawValue, $0.problem.name ?? $0.problem.text, $0.candidate, "\($0.threads)",
                    String(format: "%.4f %%", $0.before * 100), String(format: "%.4f %%", $0.after * 100), CheckOutcome.percent($0.change), $0.verdict,
                ]
            }, right: [3, 4, 5, 6])
    }
}
