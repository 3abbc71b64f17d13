import ConvCore
import Foundation
import Harness
import ThreadPool

/// Head against base: launches as the ``DecisionRule`` asks for them, sentinels in each, and a second attempt where one fires.
public final class RegressionCheck {
    let survey: Survey
    let rule: DecisionRule
    let options: LaunchOptions
    private let builds: [Side: String]
    private var random: RandomSource
    private var failures: [CheckCase: CaseFailure] = [:]
    /// A sentinel that ends says nothing of the case: base and its copy have failed, not head.
    private var sentinelFailures: [CheckCase: String] = [:]
    private let cores = QuietCores()
    private var launch = 0
    private var values: [CheckCase: [LaunchValue]] = [:]

    /// One value as it was measured, for whoever keeps them.
    public struct Record: Sendable {
        public let attempt, launch: Int
        public let one: CheckCase
        public let sentinel: Bool
        public let value: LaunchValue?
    }
    public var record: (Record) -> Void = { _ in }
    /// Told the cases of a launch that begins, and how many are done.
    public var progress: (_ launch: Int, _ done: Int, _ of: Int) -> Void = { _, _, _ in }

    public init(_ survey: Survey, base: String, head: String, rule: DecisionRule, options: LaunchOptions, seed: UInt64) {
        self.survey = survey
        self.rule = rule
        self.options = options
        builds = [.base: base, .head: head, .copy: base]
        random = RandomSource(seed: seed)
    }

    /// Cases that are also measured between base and its copy: the middle one of each layer, three at most.
    static func sentinels(_ cases: [CheckCase]) -> [CheckCase] {
        var chosen: [CheckCase] = []
        let cases = cases.filter { $0.headCandidate == nil }
        for layer in Set(cases.map(\.problem.layer)).sorted(by: { $0.rawValue < $1.rawValue }) {
            let ofLayer = cases.filter { $0.problem.layer == layer }
            chosen.append(ofLayer[ofLayer.count / 2])
        }
        return Array(chosen.prefix(3))
    }

    /// A head whose worker does not start again ends it, and the outcome says so; another worker that does not is thrown as
    /// ``SideError``.
    public func run() throws -> CheckOutcome {
        let start = Date()
        var attempts = 0
        while true {
            attempts += 1
            values = [:]
            sentinelFailures = [:]
            let steal = options.stealTicks()
            let begun = Date()
            let cases = survey.shared.filter { failures[$0.one] == nil }
            let sentinels = Self.sentinels(cases.map(\.one)).compactMap { one in cases.first { $0.one == one } }
            let all = cases + sentinels
            var check = SequentialCheck(
                rule,
                all.enumerated().map { index, shared in
                    SequentialCheck.Series(
                        threshold: threshold(shared), sentinel: index >= cases.count)
                })
            launch = 0
            var end: SideError?
            do {
                try check.run { wanted in try measure(wanted, all, sentinelsFrom: cases.count, attempt: attempts) }
            } catch let error as SideError where error.isHeadsEnd {
                end = error
            }
            let seconds = Date().timeIntervalSince(begun)
            var reasons = check.fired.map { "\(all[$0].one.name): base and its copy differ by \(CheckOutcome.percent(check.series[$0].estimate))" }
            let stolen = Double(options.stealTicks() - steal) / 100 / seconds / Double(ThreadPool.usableCPUs)
            if stolen > rule.mostSteal {
                reasons.append(String(format: "the hypervisor took %.1f %% of the time, and --most-steal allows %.3g %%", stolen * 100, rule.mostSteal * 100))
            }
            if let drift = clockDrift(), drift > rule.mostClockDrift {
                reasons.append("the clock differed by \(CheckOutcome.percent(drift)) between the sides")
            }
            // Once more where the machine was not itself; what it says then is all that it can say.
            if !reasons.isEmpty, attempts == 1, end == nil { continue }
            var found = outcome(check, cases, sentinels, reasons: reasons, attempts: attempts, seconds: Date().timeIntervalSince(start))
            found.end = end
            return found
        }
    }

    private func threshold(_ shared: Survey.Shared) -> Double {
        shared.isWide(rule) ? rule.wideThreshold : rule.threshold
    }

    private func clockDrift() -> Double? {
        let drifts = values.values.joined().filter { $0.baseChainNs > 0 && $0.headChainNs > 0 }.map { log($0.headChainNs / $0.baseChainNs) }
        return drifts.isEmpty ? nil : abs(Statistics.median(drifts))
    }

    private func measure(
        _ wanted: [Int], _ all: [Survey.Shared], sentinelsFrom: Int, attempt: Int
    ) throws -> [Int: SequentialCheck.Answer] {
        launch += 1
        var sides = builds
        if !wanted.contains(where: { $0 >= sentinelsFrom }) { sides[.copy] = nil }
        let paired = try PairedLaunch(sides, options: options, arenaBytes: survey.arenaBytes, cores: cores, seed: random.next())
        defer { paired.stop() }
        var answers: [Int: SequentialCheck.Answer] = [:]
        for (done, index) in wanted.shuffled(using: &random).enumerated() {
            progress(launch, done, wanted.count)
            let sentinel = index >= sentinelsFrom
            let one = all[index].one
            let wantedError = rule.wantedError(threshold(all[index]))
            do {
                let value = try paired.measure(one, runs: all[index].runs, .base, sentinel ? .copy : .head, wantedError: wantedError)
                record(Record(attempt: attempt, launch: launch, one: one, sentinel: sentinel, value: value))
                if let value, !sentinel { values[one, default: []].append(value) }
                answers[index] = value.map { $0.error > wantedError ? .uncertain($0.logRatio) : .value($0.logRatio) } ?? .disturbed
            } catch {
                // Neither side's, and no other case would fare better.
                if error.cause.isMachines { throw error }
                if sentinel { sentinelFailures[one] = "\(error)" } else { failures[one] = CaseFailure(side: error.side, text: "\(error)") }
                answers[index] = .failed
            }
        }
        return answers
    }

    private func outcome(
        _ check: SequentialCheck, _ cases: [Survey.Shared], _ sentinels: [Survey.Shared], reasons: [String], attempts: Int,
        seconds: Double
    ) -> CheckOutcome {
        var outcome = CheckOutcome(
            rule: rule, builds: builds, rounds: options.rounds, launches: launch, attempts: attempts, seconds: seconds)
        outcome.unfit = reasons
        outcome.leftOut = survey.leftOut
        outcome.harness = survey.harness
        for shared in survey.shared {
            var row = CaseOutcome(shared, rule, threshold: threshold(shared))
            row.failure = failures[shared.one]
            if let index = cases.firstIndex(where: { $0.one == shared.one }) {
                row.fill(check.series[index], values[shared.one] ?? [])
            }
            outcome.cases.append(row)
        }
        outcome.suite = check.suite.judgement ?? .undecided
        outcome.suiteChange = check.suite.values.isEmpty ? nil : check.suite.estimate
        outcome.sentinels = sentinels.indices.map { index in
            let (one, series) = (sentinels[index].one, check.series[cases.count + index])
            return CheckOutcome.Sentinel(name: one.name, change: series.values.isEmpty ? nil : series.estimate, failure: sentinelFailures[one])
        }
        return outcome
    }
}
