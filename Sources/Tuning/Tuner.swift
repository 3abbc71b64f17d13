import ConvCore
import Foundation
import Harness
import Results
import ThreadPool

/// Decides cases: measures what the store does not hold, writes every row as soon as it exists, and marks the pick.
public final class Tuner {
    public let store: TuningStore
    private let model: CostModel
    private let throughput: Throughput?
    private let settings: Settings
    /// The candidates of a problem on so many threads.
    private let candidates: (Problem, Int) -> [Candidate]
    /// A result row, filled with a measurement where there is one.
    private let makeRow: (Candidate, TuningCase, Harness.Measurement?) -> ResultRow
    private var data: ProblemData?

    public struct Settings: Sendable {
        public var effort: Effort
        public var limits: SearchLimits
        public var strategy: Strategy
        public var seed: UInt64
        /// Measures a stored pick again and searches anew only where it is off.
        public var trustVerify = false
        /// Searches again what was decided.
        public var retune = false

        public init(effort: Effort, limits: SearchLimits, strategy: Strategy, seed: UInt64) {
            self.effort = effort
            self.limits = limits
            self.strategy = strategy
            self.seed = seed
        }
    }

    public init(
        _ store: TuningStore, machine: MachineProfile, throughput: Throughput?, settings: Settings,
        candidates: @escaping (Problem, Int) -> [Candidate],
        makeRow: @escaping (Candidate, TuningCase, Harness.Measurement?) -> ResultRow
    ) {
        self.store = store
        model = CostModel(machine)
        self.throughput = throughput
        self.settings = settings
        self.candidates = candidates
        self.makeRow = makeRow
    }

    /// What a case still needs.
    public struct Work: Sendable {
        /// Everything that may win, stored or not.
        public let candidates: [Candidate]
        /// Not measured yet with this effort; empty where the case is decided.
        public let open: [Candidate]
        /// Stored and fast: run against the new ones.
        public let incumbents: [Candidate]
        /// The stored pick, where it may decide.
        public let pick: ResultRow?
        public var isDecided: Bool { open.isEmpty && pick != nil }
    }

    public struct Outcome: Sendable {
        public let subject: TuningCase
        /// nil where no candidate passed or the time was over before one was measured.
        public let pick: ResultRow?
        /// Whether the store had it already.
        public let stored: Bool
        public let spaceSize: Int
        public let evaluations: Int
        /// Wrong candidates.
        public let faults: [(candidate: Candidate, fault: Fault)]
        /// Nanoseconds of measuring.
        public let spentNs: Double
    }

    /// A step of a search, for progress and traces.
    public struct Step: Sendable {
        public let evaluations: Int
        /// Candidates that the search may still measure, at most.
        public let left: Int
        public let spentNs: Double
        public let best: String
        public let bestNs: Double
    }
}

extension Tuner {
    public func work(_ subject: TuningCase) -> Work {
        let all = candidates(subject.problem, subject.threads)
        guard !settings.retune else { return Work(candidates: all, open: all, incumbents: [], pick: nil) }
        let usable = store.usable(subject)
        let pick = store.pick(subject)
        let covered = store.covered(subject, effort: settings.effort)
        let known = Set(usable.filter { $0.effort >= settings.effort }.map(\.candidate))
        let open = all.filter { !known.contains($0.name) && !covered.contains(store.identity.covers[$0.kernel.name] ?? "") }
        let names = ([pick?.candidate].compactMap(\.self) + usable.prefix(3).map(\.candidate)).reduce(into: [String]()) {
            if !$0.contains($1), $0.count < 3 { $0.append($1) }
        }
        let incumbents = names.compactMap { name in all.first { $0.name == name } }
        // Where a kill came when all was measured and nothing decided, the fastest of what is stored are run again.
        return Work(candidates: all, open: open.isEmpty && pick == nil ? incumbents : open, incumbents: incumbents, pick: pick)
    }

    /// Decides a case. `deadline` on ``Clock/now()``.
    public func tune(
        _ subject: TuningCase, pool: ThreadPool, deadline: UInt64? = nil, progress: @escaping (Step) throws -> Void = { _ in }
    ) throws -> Outcome {
        try store.refresh()
        let work = work(subject)
        if let pick = work.pick, work.open.isEmpty {
            if !settings.trustVerify {
                return Outcome(
                    subject: subject, pick: pick, stored: true, spaceSize: work.candidates.count, evaluations: 0, faults: [], spentNs: 0)
            }
            if let outcome = try trusted(pick, subject, work, pool: pool) { return outcome }
            return try search(subject, Work(candidates: work.candidates, open: work.candidates, incumbents: [], pick: nil), pool, deadline, progress)
        }
        return try search(subject, work, pool, deadline, progress)
    }

    /// A stored time that is off by more than this is not trusted: twice what days on one machine differ by.
    private static let trustedDrift = 0.1

    /// The outcome where the stored pick still takes its time; nil where it is off.
    private func trusted(_ pick: ResultRow, _ subject: TuningCase, _ work: Work, pool: ThreadPool) throws -> Outcome? {
        guard let candidate = work.candidates.first(where: { $0.name == pick.candidate }), let stored = pick.medianNs else { return nil }
        let space = SearchSpace(subject, candidates: [candidate], expectedNs: [stored], boundNs: [0])
        let meter = try meter(space, pool, deadline: nil)
        try meter.measure([0], rounds: settings.limits.finalRounds)
        guard let now = meter.measurement(0), abs(now.medianNs / stored - 1) <= Self.trustedDrift else { return nil }
        var row = filled(meter, 0, work.candidates.count)
        let old = pick.tuning
        row.tuning.effort = old.effort
        row.tuning.strategy = old.strategy
        row.tuning.mark = "pick"
        (row.tuning.runnerUp, row.tuning.ratio, row.tuning.ratioLow, row.tuning.ratioHigh) = (old.runnerUp, old.ratio, old.ratioLow, old.ratioHigh)
        (row.tuning.regret, row.tuning.evaluations, row.tuning.spaceSize, row.tuning.covers) = (old.regret, old.evaluations, old.spaceSize, old.covers)
        try store.append([row])
        return Outcome(
            subject: subject, pick: row, stored: true, spaceSize: work.candidates.count, evaluations: 1, faults: [], spentNs: meter.spentNs)
    }

    private func meter(_ space: SearchSpace, _ pool: ThreadPool, deadline: UInt64?) throws -> SamplerMeter {
        let problem = space.subject.problem
        if data?.problem != problem || data?.seed != settings.seed { data = try ProblemData(problem, seed: settings.seed) }
        return try SamplerMeter(
            space, data: data!, pool: pool, sampleSeconds: settings.limits.sampleSeconds, seed: settings.seed,
            throughput: throughput, deadline: deadline)
    }

    private func search(
        _ subject: TuningCase, _ work: Work, _ pool: ThreadPool, _ deadline: UInt64?, _ progress: @escaping (Step) throws -> Void
    ) throws -> Outcome {
        let extra = work.incumbents.filter { one in !work.open.contains { $0.name == one.name } }
        let observations = store.observations(like: subject)
        let space = SearchSpace(
            subject, candidates: extra + work.open, model: model,
            learned: observations.isEmpty ? nil : LearnedEffects(observations, for: subject.problem))
        guard !space.candidates.isEmpty else {
            return Outcome(subject: subject, pick: nil, stored: false, spaceSize: 0, evaluations: 0, faults: [], spentNs: 0)
        }
        let seeds = Array(extra.indices) + store.neighbourPicks(of: subject).compactMap { space.place(of: $0) }
        let meter = try meter(space, pool, deadline: deadline)
        var limits = settings.limits
        // What a killed search has measured already counts.
        let before = work.candidates.count - work.open.count
        if limits.evaluations < .max { limits.evaluations = max(limits.evaluations / 3, limits.evaluations - before) + extra.count }
        var pending: Search?
        let search = Search(space, meter: meter, limits: limits, seeds: seeds, seed: settings.seed) { [self] block in
            try store.append(block.map { filled(meter, $0, work.candidates.count) })
            guard let search = pending, let best = search.best, let m = meter.measurement(best) else { return }
            try progress(
                Step(
                    evaluations: search.measured.count, left: min(search.left, space.candidates.count - search.measured.count),
                    spentNs: meter.spentNs, best: space.candidates[best].name, bestNs: m.medianNs))
        }
        pending = search
        defer { pending = nil }
        let decision = try settings.strategy.decide(search)
        let faults = space.candidates.indices.compactMap { i in meter.fault(i).map { (candidate: space.candidates[i], fault: $0) } }
        let pick = try decision.map { try mark($0, meter, work, evaluations: search.measured.count) }
        return Outcome(
            subject: subject, pick: pick, stored: false, spaceSize: work.candidates.count, evaluations: search.measured.count,
            faults: faults, spentNs: meter.spentNs)
    }

    /// Writes the pick and its finalists, and takes the marks of an earlier decision away. Returns the pick's row.
    private func mark(_ decision: Decision, _ meter: SamplerMeter, _ work: Work, evaluations: Int) throws -> ResultRow {
        let space = meter.space
        let finalists = Set(decision.finalists.map { space.candidates[$0].name })
        var rows: [ResultRow] = store.rows(of: space.subject).filter {
            $0.validity.decides && !$0.row.tuning.mark.isEmpty && !finalists.contains($0.row.candidate)
        }.map { stored in
            var row = stored.row
            row.clearDecision()
            return row
        }
        for finalist in decision.finalists where finalist != decision.pick {
            var row = filled(meter, finalist, work.candidates.count)
            row.tuning.mark = "final"
            rows.append(row)
        }
        var pick = filled(meter, decision.pick, work.candidates.count)
        pick.tuning.mark = "pick"
        pick.tuning.runnerUp = decision.runnerUp.map { space.candidates[$0].name } ?? ""
        pick.tuning.ratio = decision.ratio
        pick.tuning.ratioLow = decision.interval?.lowerBound
        pick.tuning.ratioHigh = decision.interval?.upperBound
        pick.tuning.regret = decision.regret
        pick.tuning.evaluations = evaluations
        pick.tuning.spaceSize = work.candidates.count
        pick.tuning.covers = covers(space.subject, work)
        rows.append(pick)
        try store.append(rows)
        return pick
    }

    /// The kernels that have taken part, now or in an earlier decision that still holds for them.
    private func covers(_ subject: TuningCase, _ work: Work) -> String {
        let current = Set(store.identity.covers.values)
        let earlier = settings.retune ? [] : store.covered(subject, effort: settings.effort)
        let now = work.candidates.compactMap { store.identity.covers[$0.kernel.name] }
        return Set(earlier.filter(current.contains) + now).sorted().joined(separator: " ")
    }

    private func filled(_ meter: SamplerMeter, _ place: Int, _ spaceSize: Int) -> ResultRow {
        let candidate = meter.space.candidates[place]
        var row = makeRow(candidate, meter.space.subject, meter.measurement(place))
        if meter.isWrong(place) { row.verdict = "FAILED" }
        row.tuning.schema = TuningFile.schema
        row.tuning.cpuID = store.identity.cpu
        row.tuning.fingerprint = store.identity.fingerprints[candidate.kernel.name] ?? ""
        row.tuning.harness = store.identity.harness
        row.tuning.effort = settings.effort.rawValue
        row.tuning.strategy = settings.strategy.name
        row.tuning.standard = candidate.configuration == candidate.kernel.space.standard ? 1 : 0
        row.tuning.measuringNs = meter.spentNs(on: place)
        return row
    }
}

extension ResultRow {
    /// Takes away what makes a row the pick or a finalist of its case.
    mutating func clearDecision() {
        tuning.mark = ""
        tuning.runnerUp = ""
        (tuning.ratio, tuning.ratioLow, tuning.ratioHigh, tuning.regret) = (nil, nil, nil, nil)
        (tuning.evaluations, tuning.spaceSize) = (nil, nil)
        tuning.covers = ""
    }
}
