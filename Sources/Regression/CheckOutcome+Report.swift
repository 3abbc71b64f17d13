import Foundation

extension CheckOutcome {
    /// What a case means for the check. A worker that fails does so on any machine; times are believed where it is fit only.
    func level(_ c: CaseOutcome) -> CheckReport.Level {
        if let failure = c.failure { return level(failureOf: failure.side) }
        return c.judgement == .fine && c.isNoisy ? .unjudged : level(c.judgement)
    }

    private func level(_ judgement: Judgement) -> CheckReport.Level {
        switch judgement {
        case .slower: unfit.isEmpty ? .failed : .skipped
        case .faster: unfit.isEmpty ? .noted : .unjudged
        case .ambiguous: .warned
        case .undecided: .unjudged
        case .fine: .fine
        }
    }

    /// Base's own failures are not what head has brought.
    private func level(failureOf side: Side) -> CheckReport.Level { side == .head ? .failed : .skipped }

    func level(_ out: Survey.LeftOut) -> CheckReport.Level { out.failed ? level(failureOf: out.side) : .skipped }

    func level(_ plan: PlanCheck.Outcome) -> CheckReport.Level {
        switch plan.verdict {
        case .holds: .fine
        case .failed: .failed
        case .off: unfit.isEmpty ? .failed : .skipped
        case .offInBoth: .warned
        case .unknown: .unjudged
        }
    }

    /// Everything that was looked at.
    public var findings: [CheckReport.Finding] {
        var found: [CheckReport.Finding] = []
        let unbelieved = unfit.isEmpty ? "" : ", on a machine that cannot tell"
        for c in cases {
            let told = c.failure.map { detail(c.one, $0) }
                ?? "\(c.change.map(CheckOutcome.percent) ?? "not measured") against base\(unbelieved)"
            var finding = CheckReport.Finding(level(c), layer: c.one.problem.layer.rawValue, c.one.name, word: c.word, told)
            finding.notes = c.growths
            finding.seconds = (c.headNs ?? 0) / 1e9
            found.append(finding)
        }
        for out in leftOut {
            found.append(.init(level(out), layer: out.one.problem.layer.rawValue, out.one.name, word: word(out), detail(out)))
        }
        found += missing.map(\.finding)
        if let end { found.append(.init(end, builds[.head]!)) }
        for plan in plans {
            var finding = CheckReport.Finding(level(plan), layer: "block", "plan of \(plan.block.title)", word: plan.verdict.rawValue, plan.text)
            finding.seconds = (plan.head?.measuredNs ?? 0) / 1e9
            found.append(finding)
        }
        for pick in picks where !pick.explained {
            found.append(.init(.warned, layer: "pick", pick.subject, word: "pick \(pick.kind.rawValue)", pick.text))
        }
        if let suiteChange {
            found.append(.init(level(suite), layer: "all", "suite", word: suite.word, "the cases together: \(CheckOutcome.percent(suiteChange))\(unbelieved)"))
        }
        if let otherHarness { found.append(.init(.warned, layer: "all", "harness", word: "differs", otherHarness)) }
        if !unfit.isEmpty { found.append(.init(.unjudged, layer: "all", "machine", word: "cannot decide", unfit.joined(separator: "; "))) }
        return found
    }

    /// What changed in the choice among kernels, and what of a tuning store's choices no longer stands.
    public var picks: [PickJudgement] { PickJudgement.all(self) + stale }

    public var verdict: CheckReport.Verdict { findings.verdict(undecided: !doubts.isEmpty) }

    public var report: CheckReport {
        var table = CheckReport.Table(
            ["layer", "problem", "kernel", "threads", "base µs", "head µs", "change", "±", "launches", "verdict"], right: [3, 4, 5, 6, 7, 8])
        for c in cases { table.add(c.row, notable: level(c) != .fine && level(c) != .unjudged || !c.growths.isEmpty) }
        return CheckReport(verdict, table, lines: lines, findings: findings, summary: summary, seconds: seconds)
    }

    private var lines: [String] {
        var lines = end.map { [CheckReport.Finding($0, builds[.head]!).line] } ?? []
        for c in cases {
            if let failure = c.failure {
                lines.append("\(c.word) \(c.one.name): \(detail(c.one, failure))")
            }
            lines += c.growths.map { "\(c.one.name): \($0)" }
        }
        lines += opinions
        lines += leftOut.map { "\(word($0)) \($0.one.name)\($0.failed ? "" : ", \($0.side)"): \(detail($0))" }
        lines += missing.map(\.text)
        if let suiteChange {
            lines.append("all cases together (interquartile mean): \(CheckOutcome.percent(suiteChange))\(suite == .fine ? "" : ", \(suite.word)")")
        }
        for one in sentinels {
            lines.append("base against its copy, \(one.name): \(one.failure ?? one.change.map(CheckOutcome.percent) ?? "not measured")")
        }
        if let otherHarness { lines.append("harness: \(otherHarness)") }
        return lines + picks.map(\.text) + plans.map(\.text)
    }

    /// Where the builds place buffers or warm up in other ways: what their times differ by may be that.
    private var otherHarness: String? {
        guard harness[.base] != harness[.head] else { return nil }
        func version(_ side: Side) -> String { harness[side].map { "by version \($0)" } ?? "in a way that it does not name" }
        return "base measures \(version(.base)), head \(version(.head)); where their times differ, it may be the way of measuring and not the kernel"
    }

    private func word(_ out: Survey.LeftOut) -> String { out.failed ? out.side.failed : "left out" }

    private func detail(_ out: Survey.LeftOut) -> String { out.detail(builds[out.side] ?? "atrous") }

    /// With what repeats the case in the build that failed.
    private func detail(_ one: CheckCase, _ failure: CaseFailure) -> String {
        "\(failure.text); repeat with: \(one.command(builds[failure.side] ?? "atrous", failure.side))"
    }

    /// Why the check cannot say that all is fine; without the machine's state a reason each.
    var doubts: [String] {
        if !unfit.isEmpty { return ["\(unfit.joined(separator: "; ")), twice"] }
        guard cases.contains(where: { $0.failure == nil }) else { return ["no case could be measured"] }
        var doubts: [String] = []
        let noisy = cases.count(where: \.isTooNoisy)
        if noisy > 0 {
            let need = roundsNeeded.map { "--rounds \($0) would be enough" } ?? "no number of rounds would be enough, try again on a quieter machine"
            doubts.append("\(counted(noisy, "case")) too noisy (\(need))")
        }
        let disturbed = cases.count { $0.isNoisy && !$0.isTooNoisy }
        if disturbed > 0 { doubts.append("\(counted(disturbed, "case")) with too few undisturbed launches, try again on a quieter machine") }
        if suite == .undecided { doubts.append("too few launches in which most cases were undisturbed to judge them together") }
        return doubts
    }

    public var summary: String {
        let how = String(format: "%@, %@, %.0f s", counted(cases.count, "case"), "\(launches) launches", seconds)
        switch verdict {
        case .fine: return "fine: no regression of \(CheckOutcome.percent(log1p(rule.threshold))) or more (\(how))"
        case .regression:
            let blamed = cases.filter { level($0) == .failed }
            let slower = blamed.count { $0.failure == nil }
            let failed = blamed.count - slower + leftOut.count { level($0) == .failed }
            let off = plans.count { level($0) == .failed }
            var parts: [String] = []
            if let end { parts.append(end.summary) }
            if slower > 0 { parts.append("\(counted(slower, "case")) slower") }
            if failed > 0 { parts.append("\(failed) failed") }
            if level(suite) == .failed { parts.append("the suite slower") }
            if off > 0 { parts.append("\(counted(off, "plan prediction")) off") }
            let rest = unfit.isEmpty ? "" : "; times cannot be judged: \(unfit.joined(separator: "; "))"
            return "REGRESSION: \(parts.joined(separator: ", "))\(rest) (\(how))"
        case .undecided: return "cannot decide: \(doubts.joined(separator: "; ")) (\(how))"
        }
    }
}

extension CaseOutcome {
    var word: String {
        if let failure { return failure.side.failed }
        return judgement == .fine && isNoisy ? "too noisy" : judgement.word
    }

    fileprivate var row: [String] {
        func micro(_ ns: Double) -> String { String(format: ns < 1e5 ? "%.3f" : "%.1f", ns / 1000) }
        return [
            one.problem.layer.rawValue, one.problem.label, one.title, "\(one.threads)", baseNs.map(micro) ?? "-",
            headNs.map(micro) ?? "-", change.map(CheckOutcome.percent) ?? "-", error.map { String(format: "%.1f %%", 196 * $0) } ?? "-",
            "\(launches)", word,
        ]
    }
}

extension Side {
    var failed: String { self == .head ? "FAILED" : "FAILED in \(self)" }
}

extension Judgement {
    fileprivate var word: String {
        switch self {
        case .slower: "SLOWER"
        case .faster: "faster"
        case .ambiguous(.slower): "ambiguous (slower?)"
        case .ambiguous(.faster): "ambiguous (faster?)"
        case .undecided: "undecided"
        case .fine: "fine"
        }
    }
}
