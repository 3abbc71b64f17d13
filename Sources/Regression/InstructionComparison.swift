import Foundation

/// Instruction counts of both builds, one case after another.
public struct InstructionComparison {
    public struct Row: Sendable {
        public let one: CheckCase
        public internal(set) var counts: [Side: Double] = [:]
        /// A worker that died, hung or lied.
        public internal(set) var failure: CaseFailure?
        /// Why it was not counted though nothing failed: a build refuses the case, or callgrind left no count.
        public internal(set) var leftOut: CaseFailure?

        /// Head's over base's, less 1.
        public var change: Double? {
            guard let base = counts[.base], let head = counts[.head] else { return nil }
            return head / base - 1
        }
    }

    /// Counts repeat exactly; what is left is that a branch may depend on a pointer's alignment.
    public static let standardThreshold = 0.005

    private let builds: [Side: String]
    private let threshold: Double
    public private(set) var rows: [Row] = []
    /// Cases that one build lacks.
    public var missing: [CheckOutcome.Missing] = []
    /// Cases with several threads: how often they wait for each other is not the same in every run.
    private let threaded: Int
    private let start = Date()

    /// Counts every case with one thread. `patience`: seconds that a worker may take for a command.
    public init(
        _ cases: [CheckCase], base: String, head: String, threshold: Double, patience: Double?, progress: (_ done: Int, CheckCase) -> Void
    ) throws {
        builds = [.base: base, .head: head]
        self.threshold = threshold
        let counted = cases.filter { $0.threads == 1 }
        threaded = cases.count - counted.count
        var counters: [Side: InstructionCounter] = [:]
        defer { for counter in counters.values { counter.stop() } }
        for (id, one) in counted.enumerated() {
            progress(id, one)
            var row = Row(one: one)
            for side in [Side.base, .head] where row.failure == nil && row.leftOut == nil {
                do {
                    let counter = try counters[side] ?? InstructionCounter(builds[side]!, patience: patience)
                    counters[side] = counter
                    row.counts[side] = try counter.count(one, side, id: id)
                } catch InstructionCounter.Failure.noCount(let name) {
                    row.leftOut = CaseFailure(side: side, text: "\(InstructionCounter.Failure.noCount(name))")
                } catch let error as WorkerError {
                    switch error {
                    case .noMemory, .noRoom, .cannotStart, .noWorker, .otherVersion: throw error
                    case .refused: row.leftOut = CaseFailure(side: side, text: "\(error)")
                    default:
                        row.failure = CaseFailure(side: side, text: "\(error)")
                        counters.removeValue(forKey: side)?.stop()
                    }
                }
            }
            rows.append(row)
        }
    }

    private func level(_ row: Row) -> (CheckReport.Level, word: String) {
        if let failure = row.failure { return (failure.side == .head ? .failed : .skipped, failure.side.failed) }
        guard let change = row.change else { return (.skipped, "left out") }
        return change >= threshold ? (.failed, "MORE") : change <= -threshold ? (.noted, "fewer") : (.fine, "fine")
    }

    public var report: CheckReport {
        func number(_ x: Double?) -> String { x.map { String(format: "%.0f", $0) } ?? "-" }
        var table = CheckReport.Table(
            ["layer", "problem", "kernel", "base instructions", "head instructions", "change", "verdict"], right: [3, 4, 5])
        var lines: [String] = []
        var findings: [CheckReport.Finding] = []
        for row in rows {
            let (level, word) = level(row)
            let (one, change) = (row.one, row.change.map { String(format: "%+.2f %%", $0 * 100) } ?? "-")
            table.add(
                [
                    one.problem.layer.rawValue, one.problem.label, one.title, number(row.counts[.base]), number(row.counts[.head]),
                    change, word,
                ], notable: level != .fine)
            let trouble = row.failure.map { "\($0.text); repeat with: \(one.command(builds[$0.side]!, $0.side))" } ?? row.leftOut?.text
            if let trouble { lines.append("\(word) \(one.name): \(trouble)") }
            findings.append(.init(level, layer: one.problem.layer.rawValue, one.name, word: word, trouble ?? "\(change) instructions against base"))
        }
        findings += missing.map(\.finding)
        lines += missing.map(\.text)
        if threaded > 0 { lines.append("\(counted(threaded, "case")) with several threads not counted") }
        let share = String(format: "%.1f %%", threshold * 100)
        let count = rows.count { $0.change != nil }
        let verdict = findings.verdict(undecided: count == 0)
        let (more, failed) = (rows.count { $0.change.map { $0 >= threshold } ?? false }, rows.count { $0.failure?.side == .head })
        let parts = (more > 0 ? ["\(counted(more, "case")) with \(share) or more instructions more"] : []) + (failed > 0 ? ["\(failed) failed"] : [])
        let summary =
            switch verdict {
            case .regression: "REGRESSION: \(parts.joined(separator: ", ")) (\(counted(rows.count, "case")))"
            case .undecided: "cannot decide: no case could be counted"
            case .fine: "fine: no case runs \(share) or more instructions more (\(counted(count, "case")))"
            }
        return CheckReport(verdict, table, lines: lines, findings: findings, summary: summary, seconds: Date().timeIntervalSince(start))
    }
}
