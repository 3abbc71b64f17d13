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
    private let base, head: String

    init(_ values: Values, base: String, head: String) {
        markdown = values.string("markdown")
        junit = values.string("junit")
        json = values.string("json")
        history = values.string("history")
        annotations = values.flag("github")
        self.base = base
        self.head = head
    }

    /// Prints the report, writes the files that any comparison can fill, and gives what the report's verdict means to a script.
    func publish(_ report: CheckReport) throws -> ExitCode {
        print(Console.table(report.table.columns, report.table.rows, right: report.table.right))
        for line in report.lines + [report.summary] { print(line) }
        if let markdown { try Self.write(markdown, report.markdown(base: base, head: head)) }
        if let junit { try Self.write(junit, report.junit) }
        if annotations {
            for line in report.annotations { print(line) }
            // The page of the workflow run.
            if let summary = ProcessInfo.processInfo.environment["GITHUB_STEP_SUMMARY"], !summary.isEmpty {
                try Self.append(summary, report.markdown(base: base, head: head))
            }
        }
        return switch report.verdict {
        case .fine: .fine
        case .regression: .failed
        case .undecided: .machine
        }
    }

    /// The files that hold times.
    func writeTimes(_ outcome: CheckOutcome, base: Build, head: Build) throws {
        if let json {
            let registry = KernelRegistry(level: try InstructionSet.usable())
            let machine = MachineProfile.unmeasured(levels: registry.probes.map(\.name)).googleContext
            for (side, build) in [(Side.base, base), (.head, head)] {
                try FileWriting.replace("\(json)/\(side).json", with: try googleJSON(outcome, side, build, machine))
            }
        }
        if let history {
            guard outcome.unfit.isEmpty else {
                Console.warning("--history: no row is added, since the times cannot be believed")
                return
            }
            let rows = outcome.cases.compactMap { HistoryRow($0, commit: head.commit ?? "unknown") }
            try HistoryFile(history == "-" ? MachineFolder.path("history.csv") : history).append(rows)
        }
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

    private static func write(_ path: String, _ text: String) throws {
        if path == "-" { print(text) } else { try FileWriting.replace(path, with: Data(text.utf8)) }
    }

    private static func append(_ path: String, _ text: String) throws {
        guard let file = FileHandle(forWritingAtPath: path) else { throw ResultError.cannotWrite(path, reason: "it is not there") }
        defer { try? file.close() }
        try file.seekToEnd()
        try file.write(contentsOf: Data(text.utf8))
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
