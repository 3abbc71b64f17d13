import Foundation

// A check's outcome for programs: pull requests, test reports, annotations.

extension CheckReport {
    /// For a pull request: the verdict, what is not fine in full, the rest folded away.
    public static func markdown(_ outcome: CheckOutcome, base: String, head: String) -> String {
        func table(_ rows: [CaseOutcome]) -> String {
            let head = "| " + columns.joined(separator: " | ") + " |\n|" + columns.map { _ in "---" }.joined(separator: "|") + "|\n"
            return head + rows.map { "| " + row($0).map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |\n" }.joined()
        }
        let mark =
            switch outcome.verdict {
            case .fine: "✅"
            case .regression: "❌"
            case .undecided: "⚠️"
            }
        let notable = outcome.cases.filter { $0.judgement != .fine || $0.failure != nil }
        var text = "### \(mark) Performance: \(summary(outcome))\n\nBase `\(base)`, head `\(head)`.\n\n"
        if !notable.isEmpty { text += table(notable) + "\n" }
        for line in lines(outcome, base: base, head: head).dropLast() { text += "- \(line)\n" }
        text += "\n<details><summary>All \(outcome.cases.count) cases</summary>\n\n\(table(outcome.cases))\n</details>\n"
        return text
    }

    /// JUnit's report: a failure for what fails the check, `skipped` for what could not be decided.
    /// Source of the shape: the schema that Jenkins' and GitLab's readers accept (testsuites/testsuite/testcase).
    public static func junit(_ outcome: CheckOutcome, head: String) -> String {
        var failures = 0
        var skipped = 0
        var body = ""
        func add(_ name: String, _ layer: String, seconds: Double, failure: String?, skip: String? = nil) {
            body += "    <testcase classname=\"atrous.\(escaped(layer))\" name=\"\(escaped(name))\" time=\"\(String(format: "%.6f", seconds))\""
            if let failure {
                failures += 1
                body += "><failure message=\"\(escaped(failure))\"/></testcase>\n"
            } else if let skip {
                skipped += 1
                body += "><skipped message=\"\(escaped(skip))\"/></testcase>\n"
            } else {
                body += "/>\n"
            }
        }
        for c in outcome.cases {
            let what = "\(word(c)): \(c.change.map(CheckOutcome.percent) ?? "") against base"
            let failure = c.failure ?? (c.judgement == .slower ? what : nil)
            add(c.one.name, c.one.problem.layer.rawValue, seconds: (c.headNs ?? 0) / 1e9, failure: failure, skip: c.isNoisy ? word(c) : nil)
        }
        for out in outcome.leftOut {
            add(out.one.name, out.one.problem.layer.rawValue, seconds: 0, failure: out.failed ? out.reason : nil, skip: out.reason)
        }
        for plan in outcome.plans {
            add(
                "plan of \(plan.block.title)", "block", seconds: (plan.head?.measuredNs ?? 0) / 1e9,
                failure: plan.verdict.isRegression ? plan.text : nil, skip: plan.verdict == .unknown ? plan.text : nil)
        }
        if let change = outcome.suiteChange {
            add("suite", "all", seconds: 0, failure: outcome.suite == .slower ? "the cases together: \(CheckOutcome.percent(change))" : nil)
        }
        if !outcome.unfit.isEmpty { add("machine", "all", seconds: 0, failure: nil, skip: outcome.unfit.joined(separator: "; ")) }
        let count = outcome.cases.count + outcome.leftOut.count + outcome.plans.count + (outcome.suiteChange == nil ? 0 : 1) + (outcome.unfit.isEmpty ? 0 : 1)
        return """
            <?xml version="1.0" encoding="UTF-8"?>
            <testsuites>
              <testsuite name="atrous check" tests="\(count)" failures="\(failures)" skipped="\(skipped)" time="\(String(format: "%.3f", outcome.seconds))">
            \(body)  </testsuite>
            </testsuites>

            """
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
    }

    /// Workflow commands of GitHub Actions, a line each.
    /// Source: GitHub's "Workflow commands": `::error title=…::message`, with %, CR and LF as %25, %0D, %0A.
    public static func annotations(_ outcome: CheckOutcome, head: String) -> [String] {
        func line(_ level: String, _ title: String, _ message: String) -> String {
            func safe(_ text: String) -> String { text.replacing("%", with: "%25").replacing("\r", with: "%0D").replacing("\n", with: "%0A") }
            return "::\(level) title=\(safe(title).replacing(":", with: "%3A").replacing(",", with: "%2C"))::\(safe(message))"
        }
        var lines: [String] = []
        for c in outcome.cases {
            let change = c.change.map(CheckOutcome.percent) ?? "not measured"
            if let failure = c.failure {
                lines.append(line("error", "\(c.one.name) failed", "\(failure); repeat with: \(c.one.command(head))"))
            } else {
                switch c.judgement {
                case .slower: lines.append(line("error", "\(c.one.name) is slower", "\(change) against base"))
                case .faster: lines.append(line("notice", "\(c.one.name) is faster", "\(change) against base"))
                case .ambiguous: lines.append(line("warning", "\(c.one.name) is ambiguous", "\(change) against base"))
                case .undecided, .fine: break
                }
            }
        }
        for out in outcome.leftOut where out.failed { lines.append(line("error", "\(out.one.name) failed in \(out.side)", out.reason)) }
        for plan in outcome.plans where plan.verdict.isRegression { lines.append(line("error", "plan of \(plan.block.title)", plan.text)) }
        for pick in PickJudgement.all(outcome) where !pick.explained { lines.append(line("warning", "pick \(pick.kind.rawValue)", pick.text)) }
        let level =
            switch outcome.verdict {
            case .fine: "notice"
            case .regression: "error"
            case .undecided: "warning"
            }
        return lines + [line(level, "atrous check", summary(outcome))]
    }
}
