import ConvCore
import Foundation
import Harness

/// How far launches of equal builds scatter on this host, for each way of pairing, and what a check could therefore find.
public struct NoiseStudy: Sendable {
    public struct CaseNoise: Sendable {
        public let one: CheckCase
        /// Of each launch.
        public let logRatios: [Double]
        /// Standard deviation over launches, robust: 1.4826 × the median absolute deviation from 0 (the builds are equal).
        public var scatter: Double { 1.4826 * Statistics.median(logRatios.map(abs)) }
    }
    public let pairing: Pairing
    public let cases: [CaseNoise]
    public let launches: Int
    /// Of a launch of all cases.
    public let secondsPerLaunch: Double
    /// Launches of cases in which too few rounds were undisturbed.
    public let lost: Int

    /// The middle case's.
    public var scatter: Double { Statistics.median(cases.map(\.scatter)) }
    /// Nine in ten cases scatter less.
    public var highScatter: Double {
        let sorted = cases.map(\.scatter).sorted()
        return sorted.isEmpty ? .nan : sorted[min(sorted.count - 1, sorted.count * 9 / 10)]
    }

    /// Launches of a build against a copy of itself.
    public init(_ survey: Survey, build: String, options: LaunchOptions, rule: DecisionRule, launches: Int, seed: UInt64, progress: (Double) -> Void) throws {
        var random = RandomSource(seed: seed)
        let cores = QuietCores()
        var values: [CheckCase: [Double]] = [:]
        var lost = 0
        let start = Date()
        for launch in 0..<launches {
            let paired = try PairedLaunch([.base: build, .copy: build], options: options, arenaBytes: survey.arenaBytes, cores: cores, seed: random.next())
            defer { paired.stop() }
            for (done, shared) in survey.shared.shuffled(using: &random).enumerated() {
                progress((Double(launch) + Double(done) / Double(survey.shared.count)) / Double(launches))
                let value = try paired.measure(shared.one, runs: shared.runs, .base, .copy, wantedError: rule.wantedError(rule.threshold))
                if let value { values[shared.one, default: []].append(value.logRatio) } else { lost += 1 }
            }
        }
        pairing = options.pairing
        self.launches = launches
        self.lost = lost
        secondsPerLaunch = Date().timeIntervalSince(start) / Double(launches)
        cases = survey.shared.compactMap { shared in values[shared.one].map { CaseNoise(one: shared.one, logRatios: $0) } }
    }

    /// What a check with a threshold would do on this host, by playing it with values drawn from the measured ones.
    public struct Reach: Sendable {
        public let threshold: Double
        /// The smallest slow-down of one case that is found in nine of ten checks; nil above 50 %.
        public let found: Double?
        /// Share of checks of equal builds that report a regression.
        public let falseAlarms: Double
        public let launches: Double
    }

    /// Draws a launch's value of a case from those that were measured, with both signs: equal builds have no direction.
    public func reach(_ rule: DecisionRule, checks: Int = 300, seed: UInt64) -> Reach {
        var random = RandomSource(seed: seed)
        var launches = 0.0
        func share(_ effect: Double, checks: Int) -> Double {
            var found = 0
            for _ in 0..<checks {
                var check = SequentialCheck(rule, cases.map { _ in .init(threshold: rule.threshold) })
                check.run { wanted in
                    Dictionary(uniqueKeysWithValues: wanted.map { index in
                        let value = cases[index].logRatios[Int(random.next() % UInt64(cases[index].logRatios.count))]
                        let sign = random.next() & 1 == 0 ? 1.0 : -1.0
                        return (index, .value(sign * value + (index == changed ? log1p(effect) : 0)))
                    })
                }
                let hit = effect == 0 ? check.series.contains { $0.judgement == .slower } || check.suite.judgement == .slower : check.series[changed].judgement == .slower
                if hit { found += 1 }
                if effect == 0 { launches += Double(check.launches) / Double(checks) }
            }
            return Double(found) / Double(checks)
        }
        // The case in the middle of the scatter stands for all.
        let order = cases.indices.sorted { cases[$0].scatter < cases[$1].scatter }
        let changed = order[order.count / 2]
        let alarms = share(0, checks: checks)
        let effects = [1, 1.1, 1.2, 1.35, 1.5, 1.67, 2, 2.5, 3, 4, 6, 10].map { $0 * rule.threshold }.filter { $0 <= 0.5 }
        let found = effects.first { share($0, checks: 100) >= 0.9 }
        return Reach(threshold: rule.threshold, found: found, falseAlarms: alarms, launches: launches)
    }
}
