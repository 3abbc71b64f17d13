import ConvCore
import Foundation
import Regression
import Testing

/// The rule on launches that are drawn, not measured: normal values around a true change.
@Suite struct DecisionRuleTests {
    private struct Draw {
        var random: RandomSource
        /// Standard normal (Box, Muller 1958).
        mutating func normal() -> Double {
            func uniform() -> Double { (Double(random.next() >> 11) + 0.5) * 0x1p-53 }
            return (-2 * log(uniform())).squareRoot() * cos(2 * .pi * uniform())
        }
    }

    /// The verdicts of one check of so many cases, of which the first has changed.
    private func check(changed: Double, cases: Int, scatter: Double, seed: UInt64, rule: DecisionRule = DecisionRule()) -> SequentialCheck {
        var draw = Draw(random: RandomSource(seed: seed))
        var check = SequentialCheck(rule, (0..<cases).map { _ in .init(threshold: rule.threshold) })
        check.run { wanted in
            Dictionary(uniqueKeysWithValues: wanted.map { ($0, .value(($0 == 0 ? log1p(changed) : 0) + scatter * draw.normal())) })
        }
        return check
    }

    @Test func confirmingLaunchesGrowWithTheSuspects() {
        let rule = DecisionRule()
        #expect(rule.confirmingLaunches(suspects: 1) == 12)
        for suspects in 1...20 {
            let n = rule.confirmingLaunches(suspects: suspects)
            func chance(_ n: Int) -> Double { Double(n + 1) / pow(2, Double(n)) }
            #expect(chance(n) <= 0.05 / Double(suspects))
            #expect(n == 12 || chance(n - 1) > 0.05 / Double(suspects))
        }
    }

    @Test func unchangedCasesAreDoneAfterTwoLaunches() {
        let check = check(changed: 0, cases: 20, scatter: 0.002, seed: 1)
        #expect(check.launches == 2)
        #expect(check.series.allSatisfy { $0.judgement == .fine })
        #expect(check.suite.judgement == .fine)
    }

    /// Launch scatter of 1 %, three times what the driver reaches on the machine whose results are stored.
    @Test func falseAlarmsAreRareAndSlowDownsAreFound() {
        let checks = 1_000
        func share(_ changed: Double, _ test: (SequentialCheck) -> Bool) -> Double {
            Double((0..<checks).count { test(check(changed: changed, cases: 20, scatter: 0.01, seed: UInt64($0))) }) / Double(checks)
        }
        #expect(share(0) { $0.series.contains { $0.judgement == .slower } || $0.suite.judgement == .slower } == 0)
        #expect(share(0.05) { $0.series[0].judgement == .slower } >= 0.98)
        #expect(share(0.07) { $0.series[0].judgement == .slower } == 1)
        #expect(share(0.05) { $0.series.dropFirst().contains { $0.judgement == .slower } || $0.suite.judgement == .slower } == 0)
        #expect(share(-0.07) { $0.series[0].judgement == .faster } == 1)
        // On the margin itself a verdict is as rare as the level says, whatever the scatter.
        #expect(share(0.02) { $0.series[0].judgement == .slower } <= 0.05)
    }

    @Test func aSmallShiftOfAllIsTheSuites() {
        let rule = DecisionRule()
        var draw = Draw(random: RandomSource(seed: 5))
        var check = SequentialCheck(rule, (0..<20).map { _ in .init(threshold: rule.threshold) })
        check.run { wanted in Dictionary(uniqueKeysWithValues: wanted.map { ($0, .value(log1p(0.018) + 0.004 * draw.normal())) }) }
        #expect(check.suite.judgement == .slower)
        #expect(!check.series.contains { $0.judgement == .slower })
    }

    /// Three are too few for a suite, whatever the fourth was before it failed.
    @Test func aCaseThatFailsTakesTheSuiteAlongAndCostsNothing() {
        for failing in [1, 2] {
            var check = SequentialCheck(DecisionRule(), (0..<4).map { _ in .init(threshold: 0.03) })
            var launches = 0
            check.run { wanted in
                launches += 1
                return Dictionary(uniqueKeysWithValues: wanted.map { ($0, $0 == 3 && launches >= failing ? .failed : .value(0)) })
            }
            #expect(check.launches == 2)
            #expect(check.series.map(\.judgement) == [.fine, .fine, .fine, nil] && check.suite.judgement == .fine)
        }
    }

    /// Two of ten cases never have a quiet round; the others are judged together without them.
    @Test func aFewDisturbedCasesDoNotSpoilTheSuite() {
        for shift in [0, 0.018] {
            var check = SequentialCheck(DecisionRule(), (0..<10).map { _ in .init(threshold: 0.03) })
            check.run { wanted in Dictionary(uniqueKeysWithValues: wanted.map { ($0, $0 < 2 ? .disturbed : .value(log1p(shift))) }) }
            #expect(check.suite.judgement == (shift == 0 ? .fine : .slower))
            #expect(check.series.prefix(2).allSatisfy { $0.judgement == .undecided })
        }
        // Three of ten are too many.
        var check = SequentialCheck(DecisionRule(), (0..<10).map { _ in .init(threshold: 0.03) })
        check.run { wanted in Dictionary(uniqueKeysWithValues: wanted.map { ($0, $0 < 3 ? .disturbed : .value(0)) }) }
        #expect(check.suite.judgement == .undecided)
    }

    @Test func lostLaunchesAreReplacedOrLeaveACaseUndecided() {
        let rule = DecisionRule()
        var check = SequentialCheck(rule, [.init(threshold: 0.03), .init(threshold: 0.03), .init(threshold: 0.03)])
        var asked = 0
        check.run { wanted in
            asked += 1
            var answers: [Int: SequentialCheck.Answer] = [:]
            for index in wanted {
                answers[index] = index == 0 ? .disturbed : index == 1 && asked == 1 ? .failed : .value(log1p(0.1))
            }
            return answers
        }
        #expect(check.series.map(\.judgement) == [.undecided, nil, .slower])
        #expect(check.series[1].values.isEmpty)
        #expect(check.series[2].fresh.count == 12)
    }

    @Test func aSentinelFiresWhereABuildDiffersFromItsCopy() {
        let rule = DecisionRule()
        for (change, fires) in [(0.0, false), (0.05, true)] {
            var check = SequentialCheck(rule, [.init(threshold: 0.03), .init(threshold: 0.03, sentinel: true)])
            check.run { wanted in Dictionary(uniqueKeysWithValues: wanted.map { ($0, .value($0 == 1 ? change : 0)) }) }
            #expect(check.fired == (fires ? [1] : []))
        }
    }
}
