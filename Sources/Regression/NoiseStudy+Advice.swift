import ConvCore
import Foundation

extension NoiseStudy {
    /// What a check with a threshold would find on this host, with which options, by playing it with values drawn from the measured
    /// ones.
    public struct Advice: Sendable {
        public let threshold: Double
        /// Options of the check.
        public let rounds, confirmingLaunches: Int
        /// Share of checks that find one case slowed by twice the threshold.
        public let power: Double
        /// The smallest slow-down of one case that is found in nine of ten checks; nil where none up to ``largest`` is.
        public let found: Double?
        /// The largest that was tried.
        public let largest: Double
        /// Share of checks of equal builds that report a regression.
        public let falseAlarms: Double
        /// Of a check of equal builds.
        public let launches, seconds: Double

        public var suffices: Bool { power >= NoiseStudy.wantedPower && falseAlarms <= NoiseStudy.mostFalseAlarms }
    }

    static let wantedPower = 0.9
    static let mostFalseAlarms = 0.01
    /// In times of the study's rounds.
    private static let roundFactors = [1.0, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32]
    private static let launchCounts = [12, 16, 24, 32]
    private static let effects = [1, 1.1, 1.2, 1.35, 1.5, 1.67, 2, 2.5, 3, 4, 6, 10]
    /// A slow-down beyond this is a failure of another kind.
    private static let largestEffect = 0.5

    /// The fewest rounds with which nine in ten checks find twice the threshold, and with them the fewest launches with which at most
    /// one check in a hundred cries wolf. Rounds come first: all launches but one must confirm a suspect, so more launches guard
    /// against false alarms, and only quieter ones find more. Where no allowed number does, the advice says what the most would find.
    public func advice(threshold: Double, checks: Int = 300, seed: UInt64) -> Advice {
        var best: (play: Play, factor: Double, power: Double, alarms: Double, launches: Double)?
        search: for factor in Self.roundFactors where Double(rounds) * factor <= Double(LaunchOptions.roundsRange.upperBound) {
            for count in Self.launchCounts {
                var rule = DecisionRule(threshold: threshold)
                rule.fewestConfirming = count
                var play = Play(self, rule, shrinking: cases.map { $0.shrinking(rounds: factor) }, seed: seed)
                let power = play.share(2 * threshold, checks: checks).found
                let (alarms, launches) = play.share(0, checks: checks)
                let isBetter = best.map { power >= Self.wantedPower && $0.power >= Self.wantedPower ? alarms < $0.alarms : power > $0.power } ?? true
                if isBetter { best = (play, factor, power, alarms, launches) }
                if power >= Self.wantedPower, alarms <= Self.mostFalseAlarms { break search }
                // More launches would only find less.
                if power < Self.wantedPower { break }
            }
        }
        let (_, factor, power, alarms, launches) = best!
        var play = best!.play
        let largest = min(Self.largestEffect, Self.effects.last! * threshold)
        let found = Self.effects.map { $0 * threshold }.filter { $0 <= largest }.first { play.share($0, checks: checks / 3).found >= Self.wantedPower }
        return Advice(
            threshold: threshold, rounds: Int((Double(rounds) * factor).rounded(.up)), confirmingLaunches: play.rule.fewestConfirming, power: power,
            found: found, largest: largest, falseAlarms: alarms, launches: launches, seconds: launches * secondsPerLaunch * factor)
    }

    /// Checks played with a study's launches.
    private struct Play {
        let rule: DecisionRule
        let thresholds: [Double]
        /// Of each case, in logarithms.
        let pools: [[Double]]
        /// The ordinary case in the middle of the scatter stands for all.
        let changed: Int
        var random: RandomSource

        init(_ study: NoiseStudy, _ rule: DecisionRule, shrinking: [Double], seed: UInt64) {
            self.rule = rule
            random = RandomSource(seed: seed)
            thresholds = study.cases.map { $0.wide ? rule.wideThreshold : rule.threshold }
            pools = zip(study.cases, shrinking).map { one, factor in one.logRatios.map { $0 * factor } }
            let all = study.cases.indices.sorted { study.cases[$0].scatter * shrinking[$0] < study.cases[$1].scatter * shrinking[$1] }
            let ordinary = all.filter { !study.cases[$0].wide }
            let order = ordinary.isEmpty ? all : ordinary
            changed = order[order.count / 2]
        }

        /// The share of checks that find a slow-down by `effect` of the changed case, or with an effect of 0 anything at all; and the
        /// launches of a check. Values are drawn with both signs: equal builds have no direction.
        mutating func share(_ effect: Double, checks: Int) -> (found: Double, launches: Double) {
            var (found, launches) = (0, 0)
            for _ in 0..<checks {
                var check = SequentialCheck(rule, thresholds.map { .init(threshold: $0) })
                check.run { wanted in
                    Dictionary(uniqueKeysWithValues: wanted.map { index in
                        let value = pools[index][Int(random.next() % UInt64(pools[index].count))]
                        let sign = random.next() & 1 == 0 ? 1.0 : -1.0
                        return (index, .value(sign * value + (index == changed ? log1p(effect) : 0)))
                    })
                }
                let hit = effect == 0 ? check.series.contains { $0.judgement == .slower } || check.suite.judgement == .slower : check.series[changed].judgement == .slower
                if hit { found += 1 }
                launches += check.launches
            }
            return (Double(found) / Double(checks), Double(launches) / Double(checks))
        }
    }
}
