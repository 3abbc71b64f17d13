import Foundation
import Harness
import KernelRegistry
import OptionParsing
import Regression
import Results

/// What a check leaves beside its table: Markdown, JUnit, annotations, JSON of each side, a line of history.
struct CheckFiles {
    private let markdown, junit, json, history: String?
    private let annotations: Bool
    /// The page of a workflow run.
    private let page: String?

    /// What holds times, beside the report.
    struct Times {
        let outcome: CheckOutcome
        let base, head: Build
    }

    /// Throws where one of the files could not be written: that is said before anything is built or measured.
    init(_ values: Values) throws {
        markdown = values.string("markdown")
        junit = values.string("junit")
        if junit == "-" { throw UsageError("--junit - : the report needs a file; write for example --junit check.xml") }
        json = values.string("json")
        history = values.string("history").map { $0 == "-" ? MachineFolder.path("history.csv") : $0 }
        annotations = values.flag("github")
        let summary = annotations ? ProcessInfo.processInfo.environment["GITHUB_STEP_SUMMARY"] ?? "" : ""
        page = summary.isEmpty ? nil : summary
        guard !values.flag("dry-run") else { return }
        let sides = json.map { folder in [Side.base, .head].map { Self.file(folder, $0) } } ?? []
        for path in [markdown, junit, values.string("record")].compactMap(\.self) + sides where path != "-" { try FileWriting.require(path) }
        if let page { try FileWriting.requireAppending(page) }
        if let history { try HistoryFile(history).require() }
    }

    private static func file(_ folder: String, _ side: Side) -> String { "\(folder)/\(side).json" }

    /// Prints the report, writes the files, and gives what the report's verdict means to a script. What cannot be written is told, and
    /// costs neither the other files nor the verdict: a regression stays one. `base` and `head`: what was compared.
    func publish(_ report: CheckReport, base: String, head: String, times: Times? = nil) -> ExitCode {
        var failed = false
        func attempt(_ write: () throws -> Void) {
            do {
                try write()
            } catch {
                Console.error("\(error)")
                failed = true
            }
        }
        let page = report.markdown(base: base, head: head)
        var lines = [Console.table(report.table.columns, report.table.rows, right: report.table.right)] + report.lines + [report.summary]
        if markdown == "-" { lines.append(page) }
        if annotations { lines += report.annotations }
        attempt { try Console.write(lines) }
        if let markdown, markdown != "-" { attempt { try FileWriting.replace(markdown, with: Data(page.utf8)) } }
        if let junit { attempt { try FileWriting.replace(junit, with: Data(report.junit.utf8)) } }
        if let path = self.page { attempt { try FileWriting.append(path, Data(page.utf8)) } }
        if let times {
            if let json { attempt { try writeJSON(json, times) } }
            if let history { attempt { try add(to: history, times) } }
        }
        switch report.verdict {
        case .regression: return .failed
        case .fine: return failed ? .badInput : .fine
        case .undecided: return failed ? .badInput : .machine
        }
    }

    private func writeJSON(_ folder: String, _ times: Times) throws {
        let registry = KernelRegistry(level: try InstructionSet.usable())
        let machine = MachineProfile.unmeasured(registry).googleContext
        for (side, build) in [(Side.base, times.base), (.head, times.head)] {
            try FileWriting.replace(Self.file(folder, side), with: try googleJSON(times.outcome, side, build, machine))
        }
    }

    private func add(to history: String, _ times: Times) throws {
        guard times.outcome.unfit.isEmpty else {
            Console.warning("--history: no row is added, since the times cannot be believed")
            return
        }
        try HistoryFile(history).append(times.outcome.cases.compactMap { HistoryRow($0, commit: times.head.commit ?? "unknown") })
    }

    /// One row a case: its median of one run.
    private func googleJSON(_ outcome: CheckOutcome, _ side: Side, _ build: Build, _ machine: GoogleBenchmarkJSON.Context) throws -> Data {
        var context = machine
        context.executable = build.name
        context.extra["side"] = "\(side)"
        context.extra["commit"] = build.commit ?? "unknown"
        let rows = outcome.cases.compactMap { c -> ResultRow? in
            guard let ns = side == .base ? c.baseNs : c.headNs else { return nil }
            let p = c.one.problem
            var row = ResultRow()
            row.layer = p.layer.rawValue
            row.problem = p.description
            // One name on both sides, so that readers pair them.
            row.kernel = c.one.title
            row.threads = c.one.threads
            row.samples = c.values.map(\.rounds.count).reduce(0, +)
            row.medianNs = ns
            row.nominalFLOPs = p.nominalFLOPs
            row.bytes = p.compulsoryBytes
            return row
        }
        return try GoogleBenchmarkJSON.encode(rows, context: context)
    }
}

extension HistoryRow {
    init?(_ c: CaseOutcome, commit: String) {
        guard let ns = c.headNs, c.one.headCandidate == nil else { return nil }
        self.init()
        timeUTC = Session.now
        self.commit = commit
        source = "check"
        problem = c.one.problem.description
        candidate = c.one.candidate
        threads = c.one.threads
        cache = "warm"
        medianNs = ns
        referenceNs = c.values.isEmpty ? nil : Statistics.median(c.values.map(\.headChainNs))
    }
}
