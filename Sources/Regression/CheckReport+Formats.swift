import ConvCore
import Foundation

// A check's report for programs: pull requests, test reports, annotations.

extension CheckReport {
    /// For a pull request: the verdict, what is not fine in full, the rest folded away. `base` and `head`: what was compared.
    public func markdown(base: String, head: String) -> String {
        func rows(_ rows: [[String]]) -> String {
            let head = "| " + table.columns.joined(separator: " | ") + " |\n|" + table.columns.map { _ in "---" }.joined(separator: "|") + "|\n"
            return head + rows.map { "| " + $0.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |\n" }.joined()
        }
        let mark =
            switch verdict {
            case .fine: "✅"
            case .regression: "❌"
            case .undecided: "⚠️"
            }
        let notable = zip(table.rows, table.notable).filter(\.1).map(\.0)
        var text = "### \(mark) Performance: \(summary)\n\nBase `\(base)`, head `\(head)`.\n\n"
        if !notable.isEmpty { text += rows(notable) + "\n" }
        for line in lines { text += "- \(line)\n" }
        text += "\n<details><summary>All \(table.rows.count) cases</summary>\n\n\(rows(table.rows))\n</details>\n"
        return text
    }

    /// JUnit's report: a failure for what fails the check and for nothing else, `skipped` for what could not be judged.
    /// Source of the shape: the schema that Jenkins' and GitLab's readers accept (testsuites/testsuite/testcase).
    public var junit: String {
        var counts: [JUnitResult: Int] = [:]
        var body = ""
        for finding in findings {
            let message = Self.escaped("\(finding.word): \(finding.detail)")
            let result = finding.level.junit
            counts[result, default: 0] += 1
            var content = ""
            if result != .passed { content += "<\(result.rawValue) message=\"\(message)\"/>" }
            let spoken = (finding.level == .warned ? [message] : []) + finding.notes.map(Self.escaped)
            if !spoken.isEmpty { content += "<system-out>\(spoken.joined(separator: "\n"))</system-out>" }
            body += "    <testcase classname=\"atrous.\(Self.escaped(finding.layer))\" name=\"\(Self.escaped(finding.name))\" time=\"\(String(format: "%.6f", finding.seconds))\""
            body += content.isEmpty ? "/>\n" : ">\(content)</testcase>\n"
        }
        return """
            <?xml version="1.0" encoding="UTF-8"?>
            <testsuites>
              <testsuite name="atrous check" tests="\(findings.count)" failures="\(counts[.failure] ?? 0)" skipped="\(counts[.skipped] ?? 0)" time="\(String(format: "%.3f", seconds))">
            \(body)  </testsuite>
            </testsuites>

            """
    }

    /// XML knows no control characters, not even as references, nor the last two of its plane.
    private static func escaped(_ text: String) -> String {
        text.onOneLine.replacing("\u{FFFE}", with: "\\u{fffe}").replacing("\u{FFFF}", with: "\\u{ffff}").replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
    }

    /// Workflow commands of GitHub Actions, a line each.
    /// Source: GitHub's "Workflow commands": `::error title=…::message`, with %, CR and LF as %25, %0D, %0A.
    public var annotations: [String] {
        func line(_ annotation: Annotation, _ title: String, _ message: String) -> String {
            func safe(_ text: String) -> String { text.replacing("%", with: "%25").replacing("\r", with: "%0D").replacing("\n", with: "%0A") }
            return "::\(annotation.rawValue) title=\(safe(title).replacing(":", with: "%3A").replacing(",", with: "%2C"))::\(safe(message))"
        }
        var lines: [String] = []
        for finding in findings {
            if let annotation = finding.level.annotation { lines.append(line(annotation, "\(finding.name): \(finding.word)", finding.detail)) }
            lines += finding.notes.map { line(.warning, finding.name, $0) }
        }
        let last: Annotation =
            switch verdict {
            case .fine: .notice
            case .regression: .error
            case .undecided: .warning
            }
        return lines + [line(last, "atrous check", summary)]
    }
}

private enum JUnitResult: String { case passed, skipped, failure }
private enum Annotation: String { case notice, warning, error }

extension CheckReport.Level {
    fileprivate var junit: JUnitResult {
        switch self {
        case .fine, .noted, .warned: .passed
        case .unjudged, .skipped: .skipped
        case .failed: .failure
        }
    }

    fileprivate var annotation: Annotation? {
        switch self {
        case .fine, .unjudged: nil
        case .noted: .notice
        case .warned, .skipped: .warning
        case .failed: .error
        }
    }
}
