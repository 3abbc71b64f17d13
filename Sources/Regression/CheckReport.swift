/// What a check has to say, whatever it compared: lines and a table for people here, for programs in `CheckReport+Formats.swift`.
public struct CheckReport: Sendable {
    public enum Verdict: String, Sendable {
        case fine, regression, undecided
    }

    /// What one thing that was looked at means for the check. Only a failure fails it, in every format and in the exit code.
    public enum Level: Sendable {
        case fine
        /// Good news.
        case noted
        /// Somebody should look at it.
        case warned
        /// Nobody can say, and nobody need look.
        case unjudged
        /// It could not be judged, and somebody should know.
        case skipped
        case failed
    }

    public struct Finding: Sendable {
        public let layer, name: String
        public let level: Level
        /// `SLOWER`
        public let word: String
        public let detail: String
        /// What else there is to look at, though it fails nothing.
        public var notes: [String] = []
        public var seconds = 0.0

        public init(_ level: Level, layer: String, _ name: String, word: String, _ detail: String) {
            self.level = level
            self.layer = layer
            self.name = name
            self.word = word
            self.detail = detail
        }
    }

    public struct Table: Sendable {
        public let columns: [String]
        /// Columns of numbers.
        public let right: Set<Int>
        public var rows: [[String]] = []
        /// Of each row, whether a reader should see it first.
        public var notable: [Bool] = []

        public init(_ columns: [String], right: Set<Int>) {
            self.columns = columns
            self.right = right
        }

        public mutating func add(_ row: [String], notable: Bool) {
            rows.append(row)
            self.notable.append(notable)
        }
    }

    public let verdict: Verdict
    public let table: Table
    /// What the table does not say.
    public let lines: [String]
    public let findings: [Finding]
    /// One line, the last.
    public let summary: String
    public let seconds: Double

    public init(_ verdict: Verdict, _ table: Table, lines: [String], findings: [Finding], summary: String, seconds: Double) {
        self.verdict = verdict
        self.table = table
        self.lines = lines
        self.findings = findings
        self.summary = summary
        self.seconds = seconds
    }
}

extension CheckReport {
    /// Of a head that cannot be held against anything.
    public init(_ end: SideError, head build: String) {
        let finding = Finding(end, build)
        self.init(
            .regression, Table(["build", "verdict"], right: []), lines: [finding.line], findings: [finding], summary: "REGRESSION: \(end.summary)",
            seconds: 0)
    }
}

extension CheckReport.Finding {
    /// A head whose worker ends, hangs or lies outside any case.
    init(_ end: SideError, _ build: String) {
        self.init(.failed, layer: "all", end.cause.isAtStart ? "start" : "answer", word: "FAILED", "\(end); repeat with: \(build) \(end.repeating)")
    }

    var line: String { "\(word): \(detail)" }
}

extension SideError {
    var summary: String { "\(side) does not \(cause.isAtStart ? "start" : "answer")" }
}

extension Sequence<CheckReport.Finding> {
    /// `undecided`: whether something keeps the check from being fine, too.
    func verdict(undecided: Bool = false) -> CheckReport.Verdict {
        contains { $0.level == .failed } ? .regression : undecided ? .undecided : .fine
    }
}

/// `1 case`, `2 cases`
func counted(_ count: Int, _ noun: String, _ plural: String? = nil) -> String { "\(count) \(count == 1 ? noun : plural ?? noun + "s")" }
