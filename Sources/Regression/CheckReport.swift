import Foundation

/// A check's outcome as text for people.
public enum CheckReport {
    static func word(_ c: CaseOutcome) -> String {
        if c.failure != nil { return "FAILED" }
        return switch c.judgement {
        case .slower: "SLOWER"
        case .faster: "faster"
        case .ambiguous(.slower): "ambiguous (slower?)"
        case .ambiguous(.faster): "ambiguous (faster?)"
        case .undecided: "undecided"
        case .fine: c.isNoisy ? "too noisy" : "fine"
        }
    }

    /// Of a table with a row a case.
    public static let columns = ["layer", "problem", "kernel", "threads", "base µs", "head µs", "change", "±", "launches", "verdict"]

    public static func row(_ c: CaseOutcome) -> [String] {
        [
            c.one.problem.layer.rawValue, c.one.problem.name ?? c.one.problem.text, c.one.title, "\(c.one.threads)",
            c.baseNs.map(micro) ?? "-", c.headNs.map(micro) ?? "-", c.change.map(CheckOutcome.percent) ?? "-",
            c.error.map { String(format: "%.1f %%", 196 * $0) } ?? "-", "\(c.launches)", word(c),
        ]
    }

    static func micro(_ ns: Double) -> String { String(format: ns < 1e5 ? "%.3f" : "%.1f", ns / 1000) }

    /// What the table does not say, the verdict last.
    public static func lines(_ outcome: CheckOutcome, base: String, head: String) -> [String] {
        var lines: [String] = []
        for c in outcome.cases {
            if let failure = c.failure { lines.append("FAILED \(c.one.name): \(failure); repeat with: \(c.one.command(head))") }
            lines += c.growths.map { "\(c.one.name): \($0)" }
        }
        for out in outcome.leftOut {
            let build = out.side == .base ? base : head
            lines.append(
                "\(out.failed ? "FAILED" : "left out") \(out.one.name), \(out.side): \(out.reason)"
                    + (out.failed ? "; repeat with: \(out.one.command(build, out.side))" : ""))
        }
        if let change = outcome.suiteChange { lines.append("all cases together (interquartile mean): \(CheckOutcome.percent(change))\(suite(outcome))") }
        for (name, change) in outcome.sentinels { lines.append("base against its copy, \(name): \(change.isFinite ? CheckOutcome.percent(change) : "not measured")") }
        lines += PickJudgement.all(outcome).map(\.text) + outcome.plans.map(\.text)
        lines.append(summary(outcome))
        return lines
    }

    private static func suite(_ outcome: CheckOutcome) -> String {
        switch outcome.suite {
        case .slower: ", SLOWER"
        case .faster: ", faster"
        case .ambiguous: ", ambiguous"
        case .undecided: ", undecided"
        case .fine: ""
        }
    }

    public static func summary(_ outcome: CheckOutcome) -> String {
        let slower = outcome.cases.count { $0.judgement == .slower }
        let failed = outcome.cases.count { $0.failure != nil } + outcome.leftOut.count { $0.failed }
        let count = outcome.cases.count
        let how = String(format: "%d case%@, %d launches, %.0f s", count, count == 1 ? "" : "s", outcome.launches, outcome.seconds)
        switch outcome.verdict {
        case .fine: return "fine: no regression of \(CheckOutcome.percent(log1p(outcome.rule.threshold))) or more (\(how))"
        case .regression:
            var parts: [String] = []
            if slower > 0 { parts.append("\(slower) case\(slower == 1 ? "" : "s") slower") }
            if failed > 0 { parts.append("\(failed) failed") }
            if outcome.suite == .slower { parts.append("the suite slower") }
            let plans = outcome.plans.count(where: \.verdict.isRegression)
            if plans > 0 { parts.append("\(plans) plan prediction\(plans == 1 ? "" : "s") off") }
            return "REGRESSION: \(parts.joined(separator: ", ")) (\(how))"
        case .undecided:
            if !outcome.unfit.isEmpty { return "cannot decide: \(outcome.unfit.joined(separator: "; ")), twice (\(how))" }
            let need = outcome.roundsNeeded.map { "; --rounds \($0) would be enough" } ?? "; try again on a quieter machine"
            return "cannot decide: \(outcome.cases.count(where: \.isNoisy)) cases are too noisy\(need) (\(how))"
        }
    }
}
