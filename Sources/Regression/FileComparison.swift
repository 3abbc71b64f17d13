import ConvCore
import Foundation
import Harness
import ThreadPool

/// This build against rows that were measured another day, perhaps on another clock.
///
/// Nanoseconds of two days are not compared: what is, is each kernel's time beside two yardsticks of the same run, the naive
/// kernel on the same problem and the reference loop (``StoredTimes``). What the clock or the neighbours did to both cancels; what
/// they did to one does not. So the threshold is at least what runs of one build differ by, and a suspect is measured again.
public struct FileComparison {
    public struct Row: Sendable {
        public let one: CheckCase
        /// nil for the naive kernel, which has a row only where it fails.
        public let before: StoredTimes.Case?
        /// The better of two attempts: a regression is there both times. nil where there is no yardstick.
        public internal(set) var after: StoredTimes.Case?
        /// What the kernel did wrong.
        public internal(set) var failure: String?

        /// Logarithm.
        public var change: Double? {
            guard let before, let after else { return nil }
            return after.change(since: before)
        }
    }

    public let stored: StoredTimes
    public let threshold: Double
    public private(set) var rows: [Row] = []
    /// Cases of the file whose kernel this build lacks.
    public var missing: [CheckOutcome.Missing] = []
    private let seed: UInt64
    private let start = Date()

    public init(_ stored: StoredTimes, threshold: Double, seed: UInt64) {
        self.stored = stored
        self.threshold = max(threshold, stored.leastThreshold)
        self.seed = seed
    }

    /// Measures cases of a problem, all of them stored, beside the naive kernel on one thread (`alone`); once more where one looks
    /// slower.
    public mutating func compare(_ problem: Problem, naive: Kernel, _ cases: [Trial.Case], alone: ThreadPool) throws {
        let data = try ProblemData(problem, seed: seed)
        func row(_ trial: Trial.Case) -> Row {
            let (name, threads) = (trial.candidate.name, trial.pool.threads)
            return Row(one: CheckCase(problem, candidate: name, threads: threads), before: stored.newest(problem, name, threads: threads))
        }
        let yardstick = Trial.Case(Candidate(naive), on: alone)
        var own = cases.map(row)
        for attempt in 0..<2 {
            var clock = ClockWatch()
            let outcomes = try Trial(data, cases: [yardstick] + cases)
                .run(measuring: MeasurementOptions(seed: seed + UInt64(attempt))) { _ in clock.look() }.map(\.outcome)
            var naiveNs: Double?
            switch outcomes[0] {
            case .measured(let m): naiveNs = m.medianNs
            case .verified: break
            case .failed(let fault):
                var failed = row(yardstick)
                failed.failure = "\(fault)"
                rows.append(failed)
            }
            for (index, outcome) in outcomes.dropFirst().enumerated() {
                switch outcome {
                case .measured(let m):
                    guard let naiveNs, let before = own[index].before else { continue }
                    let now = StoredTimes.Case(ns: m.medianNs, naiveNs: naiveNs, referenceNs: clock.medianNs)
                    if own[index].change.map({ now.change(since: before) < $0 }) ?? true { own[index].after = now }
                case .verified: break
                case .failed(let fault): own[index].failure = "\(fault)"
                }
            }
            if naiveNs == nil || !own.contains(where: isSlower) { break }
        }
        rows += own
    }

    private func isSlower(_ row: Row) -> Bool { row.change.map { $0 >= log1p(threshold) } ?? false }

    private func level(_ row: Row) -> (CheckReport.Level, word: String) {
        if row.failure != nil { return (.failed, "FAILED") }
        guard let change = row.change else { return (.unjudged, "not compared") }
        return isSlower(row) ? (.failed, "SLOWER") : change <= -log1p(threshold) ? (.noted, "faster") : (.fine, "fine")
    }

    /// `build`: the program that ran, for what repeats a failure.
    public func report(build: String) -> CheckReport {
        func share(_ x: Double?) -> String { x.map { String(format: "%.4f %%", $0 * 100) } ?? "-" }
        func loops(_ x: Double?) -> String { x.map { String(format: "%.4f", $0) } ?? "-" }
        var table = CheckReport.Table(
            ["layer", "problem", "kernel", "threads", "of naive, then", "now", "reference loops, then", "now", "change", "verdict"],
            right: [3, 4, 5, 6, 7, 8])
        var lines: [String] = []
        var findings: [CheckReport.Finding] = []
        for row in rows {
            let (level, word) = level(row)
            let (one, change) = (row.one, row.change.map(CheckOutcome.percent) ?? "-")
            table.add(
                [
                    one.problem.layer.rawValue, one.problem.label, one.candidate, "\(one.threads)", share(row.before?.ofNaive),
                    share(row.after?.ofNaive), loops(row.before?.ofReference), loops(row.after?.ofReference), change, word,
                ], notable: level != .fine)
            let failure = row.failure.map { "\($0); repeat with: \(one.command(build))" }
            if let failure { lines.append("FAILED \(one.name): \(failure)") }
            var finding = CheckReport.Finding(
                level, layer: one.problem.layer.rawValue, one.name, word: word,
                failure ?? (row.change == nil ? "the naive kernel beside it failed" : "\(change) against rows of another day"))
            finding.seconds = (row.after?.ns ?? 0) / 1e9
            findings.append(finding)
        }
        findings += missing.map(\.finding)
        lines += missing.map(\.text)
        let bound = CheckOutcome.percent(log1p(threshold))
        lines.append(
            "against rows of another day (\(stored.days)): ratios to \(stored.yardsticks) of the same run are compared, not nanoseconds, and the threshold is \(bound) (\(stored.reason))")
        let verdict = findings.verdict()
        let (slower, failed) = (rows.count { $0.failure == nil && isSlower($0) }, rows.count { $0.failure != nil })
        let parts = (slower > 0 ? ["\(counted(slower, "case")) slower"] : []) + (failed > 0 ? ["\(failed) failed"] : [])
        let summary = verdict == .regression
            ? "REGRESSION: \(parts.joined(separator: ", ")) (\(counted(rows.count, "case")))"
            : "fine: no case is slower by \(bound) or more (\(counted(rows.count, "case")))"
        return CheckReport(verdict, table, lines: lines, findings: findings, summary: summary, seconds: Date().timeIntervalSince(start))
    }
}
