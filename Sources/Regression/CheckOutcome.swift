import Foundation
import Harness

/// A build that could not run a case to its end.
public struct CaseFailure: Sendable, Equatable {
    public let side: Side
    public let text: String
}

/// What a check found about one case.
public struct CaseOutcome: Sendable {
    public let one: CheckCase
    public let threshold: Double
    let rule: DecisionRule
    public let base, head: Survey.Facts
    public internal(set) var judgement = Judgement.undecided
    /// Logarithm of head over base; nil where it was not measured.
    public internal(set) var change: Double?
    /// Standard error of ``change``, from the scatter of rounds and of launches.
    public internal(set) var error: Double?
    public internal(set) var launches = 0
    /// Median nanoseconds of a run.
    public internal(set) var baseNs, headNs: Double?
    /// Of the launches that were to confirm a suspect; empty for others.
    public internal(set) var confirming: [Double] = []
    /// Per launch, in order.
    public internal(set) var values: [LaunchValue] = []
    /// Why it could not be measured.
    public internal(set) var failure: CaseFailure?

    init(_ shared: Survey.Shared, _ rule: DecisionRule, threshold: Double) {
        one = shared.one
        base = shared.base
        head = shared.head
        self.rule = rule
        self.threshold = threshold
    }

    mutating func fill(_ series: SequentialCheck.Series, _ values: [LaunchValue]) {
        judgement = failure == nil ? series.judgement ?? .undecided : .undecided
        launches = series.values.count
        confirming = series.isSuspect ? series.fresh : []
        self.values = values
        guard !values.isEmpty else { return }
        change = series.estimate
        baseNs = Statistics.median(values.map(\.baseNs))
        headNs = Statistics.median(values.map(\.headNs))
        let used = series.fresh.isEmpty ? series.screen : series.fresh
        let within = Statistics.median(values.map(\.error)) / Double(used.count).squareRoot()
        error = used.count < 3 ? within : max(within, PairedLaunch.errorOfMedian(used))
    }

    /// The standard error of all launches together beside the one that the threshold asks for of a launch; above 1 the case is too
    /// noisy to say "fine".
    public var noise: Double {
        guard !values.isEmpty else { return .infinity }
        return Statistics.median(values.map(\.error)) / Double(values.count).squareRoot() / rule.wantedError(threshold)
    }

    /// Whether nothing can be said of it: because it scatters too much (``isTooNoisy``), or since too little was left of it.
    public var isNoisy: Bool { judgement == .undecided && failure == nil || judgement == .fine && noise > 1 }
    public var isTooNoisy: Bool { isNoisy && noise.isFinite && noise > 1 }

    /// Findings beside the time: what grew without need.
    public var growths: [String] {
        var found: [String] = []
        if head.maxError > rule.mostErrorGrowth * base.maxError, head.maxError > 0 {
            found.append("max error grew from \(Float(base.maxError)) to \(Float(head.maxError))")
        }
        if head.scratchBytes > base.scratchBytes { found.append("scratch grew from \(base.scratchBytes) to \(head.scratchBytes) bytes") }
        return found
    }
}

public struct CheckOutcome: Sendable {
    /// Base against a copy of itself.
    public struct Sentinel: Sendable {
        public let name: String
        /// Logarithm; nil where it was not measured.
        public let change: Double?
        public let failure: String?
    }
    /// A case that one build lacks altogether.
    public struct Missing: Sendable {
        public let layer, name: String
        /// The side that has it.
        public let has: Side
        public let text: String

        public init(layer: String, name: String, has: Side, text: String) {
            self.layer = layer
            self.name = name
            self.has = has
            self.text = text
        }

        /// A kernel that is gone should be gone on purpose; a new one is no news.
        var finding: CheckReport.Finding { .init(has == .base ? .skipped : .unjudged, layer: layer, name, word: "only in \(has)", text) }
    }

    public let rule: DecisionRule
    /// Programs, by side.
    public let builds: [Side: String]
    public let rounds, launches, attempts: Int
    public let seconds: Double
    public internal(set) var cases: [CaseOutcome] = []
    public internal(set) var suite = Judgement.fine
    public internal(set) var suiteChange: Double?
    public internal(set) var sentinels: [Sentinel] = []
    /// Why the machine cannot answer, from sentinels and clocks.
    public internal(set) var unfit: [String] = []
    public internal(set) var leftOut: [Survey.LeftOut] = []
    /// `harnessVersion` of each build that says it.
    public internal(set) var harness: [Side: Int] = [:]
    /// What ended the check early: head's worker, outside any case.
    public internal(set) var end: SideError?
    public var missing: [Missing] = []
    /// Of blocks that were asked for; see ``PlanCheck``.
    public var plans: [PlanCheck.Outcome] = []
    /// Choices of a tuning store.
    public var stale: [PickJudgement] = []

    /// Rounds a launch that would still the noise of the noisiest case: errors shrink with the root. nil where no case is too noisy,
    /// or one so much that no allowed number would do.
    public var roundsNeeded: Int? {
        let noise = cases.filter(\.isTooNoisy).map(\.noise).max()
        return noise.map { Int((Double(rounds) * $0 * $0).rounded(.up)) }.flatMap { LaunchOptions.roundsRange.contains($0) ? $0 : nil }
    }

    /// `+3.1 %`, from a logarithm.
    public static func percent(_ logRatio: Double) -> String { String(format: "%+.1f %%", expm1(logRatio) * 100) }
}
