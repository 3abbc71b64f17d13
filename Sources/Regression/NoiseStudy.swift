import ConvCore
import Foundation
import Harness

/// How far launches of equal builds scatter on this host, for each way of pairing.
public struct NoiseStudy: Sendable {
    public struct CaseNoise: Sendable {
        /// Whether it has the wide threshold.
        public let wide: Bool
        /// Of each launch.
        public let logRatios: [Double]
        /// The standard error of each, from its rounds.
        public let errors: [Double]

        public init(wide: Bool, logRatios: [Double], errors: [Double]) {
            self.wide = wide
            self.logRatios = logRatios
            self.errors = errors
        }

        /// Standard deviation over launches, robust: 1.4826 × the median absolute deviation from 0 (the builds are equal).
        public var scatter: Double { 1.4826 * Statistics.median(logRatios.map(abs)) }

        /// What the scatter is multiplied by when a launch has so many times the rounds: only the part that comes from the rounds
        /// shrinks, with the root; what a launch's layout adds to all its rounds stays.
        func shrinking(rounds factor: Double) -> Double {
            let (total, ofRounds) = (scatter * scatter, Statistics.median(errors.map { $0 * $0 }))
            guard total > 0 else { return 1 }
            return ((max(0, total - ofRounds) + min(total, ofRounds) / factor) / total).squareRoot()
        }
    }

    public let pairing: Pairing
    public let cases: [CaseNoise]
    /// Rounds of each launch.
    public let rounds: Int
    public let launches: Int
    /// Of a launch of all cases.
    public let secondsPerLaunch: Double
    /// Launches of cases in which too few rounds were undisturbed.
    public let lost: Int
    /// Cases that failed in a launch and are in none of the figures, each with what repeats it.
    public let failed: [String]

    /// The middle case's.
    public var scatter: Double { Statistics.median(cases.map(\.scatter)) }
    /// Nine in ten cases scatter less.
    public var highScatter: Double {
        let sorted = cases.map(\.scatter).sorted()
        return sorted.isEmpty ? .nan : sorted[min(sorted.count - 1, sorted.count * 9 / 10)]
    }

    public init(
        pairing: Pairing, cases: [CaseNoise], rounds: Int, launches: Int, secondsPerLaunch: Double, lost: Int, failed: [String] = []
    ) {
        self.pairing = pairing
        self.cases = cases
        self.rounds = rounds
        self.launches = launches
        self.secondsPerLaunch = secondsPerLaunch
        self.lost = lost
        self.failed = failed
    }

    /// Launches of a build against a copy of itself.
    public init(_ survey: Survey, build: String, options: LaunchOptions, rule: DecisionRule, launches: Int, seed: UInt64, progress: (Double) -> Void) throws {
        var random = RandomSource(seed: seed)
        let cores = QuietCores()
        var values: [CheckCase: [LaunchValue]] = [:]
        var lost = 0
        var failures: [CheckCase: String] = [:]
        let start = Date()
        for launch in 0..<launches {
            let paired = try PairedLaunch([.base: build, .copy: build], options: options, arenaBytes: survey.arenaBytes, cores: cores, seed: random.next())
            defer { paired.stop() }
            for (done, shared) in survey.shared.shuffled(using: &random).enumerated() where failures[shared.one] == nil {
                progress((Double(launch) + Double(done) / Double(survey.shared.count)) / Double(launches))
                do {
                    let value = try paired.measure(shared.one, runs: shared.runs, .base, .copy, wantedError: rule.wantedError(rule.threshold))
                    if let value { values[shared.one, default: []].append(value) } else { lost += 1 }
                } catch {
                    if error.cause.isMachines { throw error }
                    failures[shared.one] = "\(error); repeat with: \(shared.one.command(build))"
                }
            }
        }
        self.init(
            pairing: options.pairing,
            cases: survey.shared.filter { failures[$0.one] == nil }.compactMap { shared in
                values[shared.one].map { CaseNoise(wide: shared.isWide(rule), logRatios: $0.map(\.logRatio), errors: $0.map(\.error)) }
            }, rounds: options.rounds, launches: launches, secondsPerLaunch: Date().timeIntervalSince(start) / Double(launches), lost: lost,
            failed: survey.shared.compactMap { shared in failures[shared.one].map { "\(shared.one.name): \($0)" } })
    }
}
