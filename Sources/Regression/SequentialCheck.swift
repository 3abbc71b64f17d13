import Foundation
import Harness

/// Takes series through the screen and the confirmation of a ``DecisionRule``, asking for launches only as long as they can
/// change an outcome. It knows nothing of processes: launches come from whoever is handed in, so that the rule can be run on
/// recorded or drawn values too.
public struct SequentialCheck {
    public struct Series: Sendable {
        public let threshold: Double
        /// Not judged, and measured in every launch.
        public let sentinel: Bool
        public fileprivate(set) var screen: [Double] = []
        public fileprivate(set) var fresh: [Double] = []
        public fileprivate(set) var judgement: Judgement?
        fileprivate var suspicion: DecisionRule.Direction?
        fileprivate var failed = false
        fileprivate var uncertain = 0

        public init(threshold: Double, sentinel: Bool = false) {
            self.threshold = threshold
            self.sentinel = sentinel
        }

        public var values: [Double] { screen + fresh }
        /// Whether the screen asked for a confirmation of its own; where the suite asks for one, the others have fresh values too.
        public var isSuspect: Bool { suspicion != nil }
        /// The fresh ones, where there are any: those of the screen made it a suspect.
        public var estimate: Double { Statistics.median(fresh.isEmpty ? screen : fresh) }
    }

    public let rule: DecisionRule
    public private(set) var series: [Series]
    public private(set) var suite: Series
    public private(set) var launches = 0
    /// Of the screen or the confirmation, whichever is running: launches, values that were asked for, and those that were lost.
    private var phase = (launches: 0, asked: 0, lost: 0)

    /// Whether most of what was asked for was disturbed: more launches would only cost more.
    private var isHopeless: Bool { phase.launches >= rule.hopelessAfter && 2 * phase.lost > phase.asked }

    public enum Answer: Sendable {
        case value(Double)
        /// A value whose standard error is larger than wanted: it counts, and does not end the matter early.
        case uncertain(Double)
        /// Too few undisturbed rounds.
        case disturbed
        /// It cannot run any more; it is left out from here on.
        case failed
    }

    public init(_ rule: DecisionRule, _ series: [Series]) {
        self.rule = rule
        self.series = series
        suite = Series(threshold: rule.suiteThreshold)
    }

    private var cases: [Int] { series.indices.filter { !series[$0].sentinel } }
    private var live: [Int] { cases.filter { !series[$0].failed } }
    private var suiteMatters: Bool { live.count >= rule.fewestSuiteCases }

    /// Of a launch that was asked for all cases; nil where too many of those that live on were disturbed in it.
    private func suiteValue(_ values: [Int: Double]) -> Double? {
        let ofCases = live.compactMap { values[$0] }
        guard suiteMatters, Double(ofCases.count) >= rule.suiteShare * Double(live.count) else { return nil }
        return DecisionRule.suite(ofCases)
    }

    /// `launch` measures the series of those numbers in one fresh launch.
    public mutating func run(_ launch: ([Int]) throws -> [Int: Answer]) rethrows {
        try screen(launch)
        try confirm(launch)
    }

    private mutating func screen(_ launch: ([Int]) throws -> [Int: Answer]) rethrows {
        func undecided(_ s: Series) -> Bool {
            let unclear = s.uncertain > 0 && s.screen.count - s.uncertain <= DecisionRule.misses
            return s.screen.count < rule.screenLaunches && (unclear || !rule.open(s.screen, s.threshold).isEmpty)
        }
        while launches < rule.replacing * rule.screenLaunches {
            var wanted = live.filter { undecided(series[$0]) }
            if suiteMatters, undecided(suite) { wanted = live }
            if wanted.isEmpty || isHopeless { break }
            let isWhole = wanted.count == live.count
            let values = try ask(wanted, launch)
            for (index, value) in values { series[index].screen.append(value) }
            if isWhole, let value = suiteValue(values) { suite.screen.append(value) }
        }
        for index in live {
            series[index].suspicion = rule.suspicion(series[index].screen, series[index].threshold)
            if series[index].suspicion == nil {
                let open = series[index].screen.count < rule.screenLaunches && !rule.open(series[index].screen, series[index].threshold).isEmpty
                series[index].judgement = open ? .undecided : .fine
            }
        }
        suite.suspicion = suiteMatters ? rule.suspicion(suite.screen, suite.threshold) : nil
        if suite.suspicion == nil { suite.judgement = suiteMatters && undecided(suite) ? .undecided : .fine }
    }

    private mutating func confirm(_ launch: ([Int]) throws -> [Int: Answer]) rethrows {
        let suspects = series.count { $0.suspicion != nil } + (suite.suspicion == nil ? 0 : 1)
        guard suspects > 0 else { return }
        phase = (0, 0, 0)
        let needed = rule.confirmingLaunches(suspects: suspects)
        func undecided(_ s: Series) -> Bool {
            guard let direction = s.suspicion, !s.failed else { return false }
            return s.fresh.count < needed && rule.missed(s.fresh, direction, s.threshold) <= DecisionRule.misses
        }
        for _ in 0..<(rule.replacing * needed) {
            let ofSuite = suiteMatters && undecided(suite)
            let wanted = ofSuite ? live : live.filter { undecided(series[$0]) }
            if wanted.isEmpty || isHopeless { break }
            let values = try ask(wanted, launch, confirming: true)
            for (index, value) in values { series[index].fresh.append(value) }
            if ofSuite, let value = suiteValue(values) { suite.fresh.append(value) }
        }
        for index in live where series[index].suspicion != nil { series[index].judgement = verdict(series[index], needed) }
        if suite.suspicion != nil { suite.judgement = suiteMatters ? verdict(suite, needed) : .fine }
    }

    private func verdict(_ s: Series, _ needed: Int) -> Judgement {
        let direction = s.suspicion!
        let fresh = Array(s.fresh.prefix(needed))
        guard rule.missed(fresh, direction, s.threshold) <= DecisionRule.misses else { return .ambiguous(direction) }
        guard fresh.count == needed else { return .undecided }
        guard Statistics.median(fresh) * direction.rawValue >= log1p(s.threshold) else { return .ambiguous(direction) }
        return direction == .slower ? .slower : .faster
    }

    private mutating func ask(_ wanted: [Int], _ launch: ([Int]) throws -> [Int: Answer], confirming: Bool = false) rethrows -> [Int: Double] {
        launches += 1
        phase.launches += 1
        // One of them is enough beside suspects.
        let sentinels = series.indices.filter { series[$0].sentinel && !series[$0].failed }.prefix(confirming ? 1 : .max)
        var values: [Int: Double] = [:]
        for (index, answer) in try launch(wanted + sentinels) {
            phase.asked += 1
            switch answer {
            case .value(let value): values[index] = value
            case .uncertain(let value):
                values[index] = value
                series[index].uncertain += 1
            case .disturbed: phase.lost += 1
            case .failed: series[index].failed = true
            }
        }
        return values
    }

    /// Sentinels whose median left the margin: the machine tells one build from its own copy.
    public var fired: [Int] {
        series.indices.filter {
            series[$0].sentinel && !series[$0].values.isEmpty
                && abs(series[$0].estimate) > rule.margin(series[$0].threshold)
        }
    }
}
