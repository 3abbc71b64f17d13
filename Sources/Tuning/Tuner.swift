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
    /// The candidates of a problem on so many threads: those that are to be searched, which may be few of all that there are.
    private let candidates: (Problem, Int) -> [Candidate]
    /// What a stored row names, searched or not; nil for what cannot run the case here.
    private let resolve: (ResultRow, TuningCase) -> Candidate?
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

        /// The evaluations that are asked for, where they are fewer than the effort's own.
        var cap: Int? { limits.evaluations < effort.limits?.evaluations ?? .max ? limits.evaluations : nil }
    }

    public init(
        _ store: TuningStore, machine: MachineProfile, throughput: Throughput?, settings: Settings,
        candidates: @escaping (Problem, Int) -> [Candidate], resolve: @escaping (ResultRow, TuningCase) -> Candidate?,
        makeRow: @escaping (Candidate, TuningCase, Harness.Measurement?) -> ResultRow
    ) {
        self.store = store
        model = CostModel(machine)
        self.throughput = throughput
        self.settings = settings
        self.candidates = candidates
        self.resolve = resolve
        self.makeRow = makeRow
    }

    /// What a case still needs.
    public struct Work: Sendable {
        /// Everything that is asked for, stored or not.
        public let candidates: [Candidate]
        /// Not measured yet with this effort; empty where the case is decided.
        public let open: [Candidate]
        /// Stored and fast, the pick first, asked for or not: run against the new ones.
        public let incumbents: [Candidate]
        /// The stored pick, where it may decide; not always one of the candidates.
        public let pick: ResultRow?
        /// The fastest stored of the candidates: the pick where it is one of them.
        public let answer: ResultRow?
        /// Candidates that a search of this effort has measured and not come to its end.
        public let unfinished: Int
        public var isDecided: Bool { open.isEmpty && pick != nil }
        /// Of all that may run: the candidates and what holds the case besides.
        var size: Int { Set((candidates + incumbents).map(\.name)).count }
    }

    public struct Outcome: Sendable {
        public let subject: TuningCase
        /// The fastest of what was asked for; nil where no candidate passed or the time was over before one was measured.
        public let pick: ResultRow?
        /// The case's pick where it was not asked for: it ran against the others and stays.
        public let holder: String?
        /// Whether the search was cut short by its deadline.
        public let isCut: Bool
        /// Whether the evaluations that were asked for, fewer than the effort's own, left candidates out.
        public let isCapped: Bool
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
        let asked = Dictionary(all.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let usable = store.usable(subject)
        let pick = store.pick(subject)
        // A pick is the fastest of all kernels, whichever of them are searched now: it gives way only to what beats it.
        var incumbents: [Candidate] = []
        for row in [pick].compactMap(\.self) + usable.prefix(3) where incumbents.count < 3 && !incumbents.contains(where: { $0.name == row.candidate }) {
            if let candidate = asked[row.candidate] ?? resolve(row, subject) { incumbents.append(candidate) }
        }
        guard !settings.retune else {
            // What holds the case is measured first: should the time end early, it has met what was reached.
            return Work(candidates: all, open: all, incumbents: incumbents, pick: nil, answer: nil, unfinished: 0)
        }
        let covered = store.covered(subject, effort: settings.effort, evaluations: settings.cap)
        let known = Set(usable.filter { $0.effort >= settings.effort }.map(\.candidate))
        let uncovered = all.filter { !covered.contains(store.identity.covers[$0.kernel.name] ?? "") }
        var open = uncovered.filter { !known.contains($0.name) }
        let unfinished = uncovered.count - open.count
        let answer = pick.flatMap { asked[$0.candidate] == nil ? nil : $0 } ?? usable.first { asked[$0.candidate] != nil }
        // Where a kill came when all was measured and nothing decided, the fastest of what is stored are run again. Where a search
        // passed over all that is asked for now, it is measured after all.
        if open.isEmpty, pick == nil { open = incumbents }
        if open.isEmpty, answer == nil { open = all }
        return Work(candidates: all, open: open, incumbents: incumbents, pick: pick, answer: answer, unfinished: unfinished)
    }

    /// Decides a case. `deadline` on ``Clock/now()``.
    public func tune(
        _ subject: TuningCase, pool: ThreadPool, deadline: UInt64? = nil, progress: @escaping (Step) throws -> Void = { _ in }
    ) throws -> Outcome {
        try store.refresh()
        let work = work(subject)
        guard let pick = work.pick, work.open.isEmpty else { return try search(subject, work, pool, deadline, progress) }
        if !settings.trustVerify {
            return Outcome(
                subject: subject, pick: work.answer, holder: holder(pick, work), isCut: false, isCapped: false, stored: true,
                spaceSize: work.candidates.count, evaluations: 0, faults: [], spentNs: 0)
        }
        if let outcome = try trusted(pick, subject, work, pool: pool) { return outcome }
        let again = Work(
            candidates: work.candidates, open: work.candidates, incumbents: work.incumbents, pick: nil, answer: nil, unfinished: 0)
        return try search(subject, again, pool, deadline, progress)
    }

    /// The pick's name where it is none of the candidates that were asked for.
    private func holder(_ pick: ResultRow?, _ work: Work) -> String? {
        pick.flatMap { pick in work.candidates.contains { $0.name == pick.candidate } ? nil : pick.candidate }
    }

    /// A stored time that is off by more than this is not trusted: twice what days on one machine differ by.
    private static let trustedDrift = 0.1

    /// The outcome where the stored pick still takes its time; nil where it is off.
    private func trusted(_ pick: ResultRow, _ subject: TuningCase, _ work: Work, pool: ThreadPool) throws -> Outcome? {
        guard let candidate = work.incumbents.first(where: { $0.name == pick.candidate }), let stored = pick.medianNs else { return nil }
        let space = SearchSpace(subject, candidates: [candidate], expectedNs: [stored], boundNs: [0])
        let meter = try meter(space, pool, deadline: nil)
        try meter.measure([0], rounds: settings.limits.finalRounds)
        guard let now = meter.measurement(0), abs(now.medianNs / stored - 1) <= Self.trustedDrift else { return nil }
        var row = filled(meter, 0)
        (row.tuning.effort, row.tuning.strategy) = (pick.tuning.effort, pick.tuning.strategy)
        row.takeDecision(from: pick)
        try store.append([row])
        let holder = holder(row, work)
        return Outcome(
            subject: subject, pick: holder == nil ? row : work.answer, holder: holder, isCut: false, isCapped: false, stored: true,
            spaceSize: work.candidates.count, evaluations: 1, faults: [], spentNs: meter.spentNs)
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
            return Outcome(
                subject: subject, pick: nil, holder: nil, isCut: false, isCapped: false, stored: false, spaceSize: 0, evaluations: 0, faults: [], spentNs: 0)
        }
        let incumbents = work.incumbents.compactMap { space.place(of: $0.name) }
        let seeds = store.neighbourPicks(of: subject).compactMap { space.place(of: $0) }
        let meter = try meter(space, pool, deadline: deadline)
        var limits = settings.limits
        // What a killed search has measured already counts; what was decided before does not: a new kernel gets a search of its own.
        if limits.evaluations < .max { limits.evaluations = max(limits.evaluations / 3, limits.evaluations - work.unfinished) + extra.count }
        // What was decided holds until something else is, though its candidates are measured again meanwhile: a kill or the end of the
        // time leave it as it is, and what its pick covers goes on to the next.
        let decided = Dictionary(
            store.rows(of: subject).filter { $0.validity.decides && !$0.row.tuning.mark.isEmpty }.map { ($0.row.candidate, $0.row) },
            uniquingKeysWith: { $1 })
        var pending: Search?
        let search = Search(space, meter: meter, limits: limits, incumbents: incumbents, seeds: seeds, seed: settings.seed) { [self] block in
            try store.append(block.map { place in
                var row = filled(meter, place)
                if row.verdict == "PASSED", let old = decided[row.candidate] { row.takeDecision(from: old) }
                return row
            })
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
        // What a search leaves out of its own accord, since it cannot win, no further evaluations would add.
        let cap = search.left == 0 && !search.isExhausted ? settings.cap : nil
        let pick = try decision.map { try mark($0, meter, work, evaluations: search.measured.count, finished: !meter.isOver, cap: cap) }
        let holder = holder(pick, work)
        let asked = Set(work.candidates.map(\.name))
        return Outcome(
            subject: subject, pick: holder == nil ? pick : store.usable(subject).first { asked.contains($0.candidate) }, holder: holder,
            isCut: meter.isOver, isCapped: cap != nil, stored: false, spaceSize: work.size, evaluations: search.measured.count, faults: faults, spentNs: meter.spentNs)
    }

    /// Writes the pick and its finalists, and takes the marks of an earlier decision away. `finished`: the search came to its own end
    /// and was not cut short. `cap`: the evaluations that it might have, where they were fewer than the effort's and candidates were
    /// left. Returns the pick's row.
    private func mark(_ decision: Decision, _ meter: SamplerMeter, _ work: Work, evaluations: Int, finished: Bool, cap: Int?) throws -> ResultRow {
        let space = meter.space
        let finalists = Set(decision.finalists.map { space.candidates[$0].name })
        var rows: [ResultRow] = store.rows(of: space.subject).filter {
            $0.validity.decides && !$0.row.tuning.mark.isEmpty && !finalists.contains($0.row.candidate)
        }.map { stored in
            var row = stored.row
            row.clearDecision()
            return row
        }
        for (finalist, ratio) in zip(decision.finalists, decision.ratios) where finalist != decision.pick {
            var row = filled(meter, finalist)
            row.tuning.mark = "final"
            row.tuning.ratio = ratio
            rows.append(row)
        }
        var pick = filled(meter, decision.pick)
        pick.tuning.mark = "pick"
        pick.tuning.runnerUp = decision.runnerUp.map { space.candidates[$0].name } ?? ""
        pick.tuning.ratio = decision.ratio
        pick.tuning.ratioLow = decision.interval?.lowerBound
        pick.tuning.ratioHigh = decision.interval?.upperBound
        pick.tuning.regret = decision.regret
        pick.tuning.evaluations = evaluations
        pick.tuning.spaceSize = work.size
        pick.tuning.covers = covers(space.subject, work, finished: finished, cap: cap)
        rows.append(pick)
        try store.append(rows)
        return pick
    }

    /// The kernels that have taken part whole, now or in an earlier decision that still holds for them.
    private func covers(_ subject: TuningCase, _ work: Work, finished: Bool, cap: Int?) -> String {
        let current = Set(store.identity.covers.values)
        let asked = Dictionary(grouping: work.candidates, by: \.kernel.name)
        // A decision that was made anew stands in for the one before it, once it is as whole.
        let replaces = settings.retune && finished && cap == nil
        var all = store.covers(subject).filter { current.contains($0.key) && !(replaces && asked[$0.kernel] != nil) }
        for (name, own) in asked where finished && Set(own.map(\.name)).count == own[0].kernel.space.all.count {
            if let cover = store.identity.covers[name].flatMap({ Cover($0, effort: settings.effort, evaluations: cap) }) { all.append(cover) }
        }
        return Cover.text(all, in: settings.effort)
    }

    private func filled(_ meter: SamplerMeter, _ place: Int) -> ResultRow {
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
    /// Takes over what a row of the same candidate says of a decision.
    mutating func takeDecision(from old: ResultRow) {
        let t = old.tuning
        (tuning.mark, tuning.runnerUp, tuning.regret) = (t.mark, t.runnerUp, t.regret)
        (tuning.ratio, tuning.ratioLow, tuning.ratioHigh) = (t.ratio, t.ratioLow, t.ratioHigh)
        (tuning.evaluations, tuning.spaceSize) = (t.evaluations, t.spaceSize)
        tuning.covers = Cover.text(Cover.all(of: old), in: effort)
    }

    /// Takes away what makes a row the pick or a finalist of its case.
    mutating func clearDecision() {
        tuning.mark = ""
        tuning.runnerUp = ""
        (tuning.ratio, tuning.ratioLow, tuning.ratioHigh, tuning.regret) = (nil, nil, nil, nil)
        (tuning.evaluations, tuning.spaceSize) = (nil, nil)
        tuning.covers = ""
    }
}
