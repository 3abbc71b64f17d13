import ConvCore
import Foundation
import Harness
import Results

/// Which candidate a case is to run by, where that comes from, and what it may cost.
public struct TunedChoice: Sendable {
    public let candidate: Candidate
    public let source: Source
    /// The expected loss against the best candidate, as a fraction of the time; nil where nothing stored tells.
    public let expectedLoss: Double?
    /// The stored row of an exact choice.
    public let row: ResultRow?

    public enum Source: Sendable, CustomStringConvertible {
        /// A pick of this very case among all kernels that can run it, in searches of at least that effort.
        case exact(Effort)
        /// A pick of this very case that some of the kernels have not met, or not with all their configurations.
        case partial(Effort)
        /// The pick of the nearest tuned shape with the same kernel, stride and dilation.
        case nearest(TuningCase)
        /// The model's favourite.
        case model
        /// The standard configuration of the last kernel in the list that can.
        case standard

        public var description: String {
            switch self {
            case .exact(let effort): "exact (\(effort.rawValue))"
            case .partial(let effort): "partial (\(effort.rawValue))"
            case .nearest(let subject): "nearest (\(subject.problem.label))"
            case .model: "model"
            case .standard: "default"
            }
        }

        public var isExact: Bool { if case .exact = self { true } else { false } }
    }

    public var lossText: String { expectedLoss.map { String(format: "%.1f %%", 100 * $0) } ?? "unknown" }
}

/// Answers for any case, without measuring: exact pick, nearest shape of the same class, model, default, in this order. A partial pick
/// comes before the nearest shape's unless the kernel that won there has not met it.
public struct TunedLookup {
    private let store: TuningStore
    private let model: CostModel?
    private let losses = ModelLosses()

    /// Without a machine profile there is no model, and the default answers.
    public init(_ store: TuningStore, machine: MachineProfile?) {
        self.store = store
        model = machine.map(CostModel.init)
    }

    /// One of the candidates, all of which must support the problem; nil where there are none. A stored pick that is not among
    /// them is passed over.
    public func choose(_ subject: TuningCase, among candidates: [Candidate]) -> TunedChoice? {
        let byName = Dictionary(candidates.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var own: TunedChoice?
        if let row = store.pick(subject), let candidate = byName[row.candidate] {
            if let effort = effort(subject, among: candidates) {
                return TunedChoice(candidate: candidate, source: .exact(effort), expectedLoss: row.tuning.regret, row: row)
            }
            own = TunedChoice(candidate: candidate, source: .partial(row.effort), expectedLoss: nil, row: row)
        }
        let near = store.neighbours(of: subject, sameClass: true).filter { store.pick($0.subject).map { byName[$0.candidate] != nil } ?? false }
        if let (near, distance) = near.first(where: { isExact($0.subject, among: candidates) }) ?? (own == nil ? near.first : nil),
            let row = store.pick(near), own == nil || !store.isWhole(subject, kernels: [row.kernel])
        {
            return TunedChoice(
                candidate: byName[row.candidate]!, source: .nearest(near), expectedLoss: transferLoss(subject, distance), row: nil)
        }
        if let own { return own }
        if let model, !candidates.isEmpty {
            return TunedChoice(
                candidate: favourite(subject, candidates, model), source: .model, expectedLoss: modelLoss(subject, candidates, model), row: nil)
        }
        let standards = candidates.filter { $0.configuration == $0.kernel.space.standard }
        return (standards.last ?? candidates.last).map { TunedChoice(candidate: $0, source: .standard, expectedLoss: nil, row: nil) }
    }

    /// Whether the case has a pick that all kernels of the candidates have met, those that cannot run it aside.
    public func isExact(_ subject: TuningCase, among candidates: [Candidate]) -> Bool { effort(subject, among: candidates) != nil }

    /// The effort with which the last of those kernels has met the pick; nil where one has not.
    public func effort(_ subject: TuningCase, among candidates: [Candidate]) -> Effort? {
        guard store.pick(subject) != nil else { return nil }
        let able = Dictionary(candidates.map { ($0.kernel.name, $0.kernel) }, uniquingKeysWith: { first, _ in first })
            .filter { $0.value.supports(subject.problem) == .yes }
        let kernels = Set(able.keys)
        return Effort.allCases.reversed().first { $0 > .estimate && store.isWhole(subject, kernels: kernels, effort: $0) }
    }

    /// The mean loss that stored cases show when one runs by the pick of another, those at about this distance weighing most; of
    /// the same class where there are such pairs, otherwise of the layer. nil where no pair was measured.
    func transferLoss(_ subject: TuningCase, _ distance: Double) -> Double? {
        let all = store.decided.filter { $0.problem.layer == subject.problem.layer && $0.threads == subject.threads && $0.regime == subject.regime }
        let own = all.filter { $0.problem.shapeClass == subject.problem.shapeClass }
        return meanLoss(own, distance) ?? meanLoss(all, distance)
    }

    private func meanLoss(_ cases: [TuningCase], _ distance: Double) -> Double? {
        var (sum, weight) = (0.0, 0.0)
        for to in cases {
            let times = Dictionary(store.usable(to).map { ($0.candidate, $0.medianNs!) }, uniquingKeysWith: { first, _ in first })
            guard let best = store.pick(to)?.medianNs else { continue }
            for from in cases where from != to {
                guard let borrowed = store.pick(from)?.candidate, let ns = times[borrowed], let apart = to.problem.distance(to: from.problem)
                else { continue }
                let w = exp(-abs(apart - distance))
                sum += w * max(0, ns / best - 1)
                weight += w
            }
        }
        return weight > 0 ? sum / weight : nil
    }

    /// What the model expects to be the fastest, with what is stored of other problems of the layer.
    private func favourite(_ subject: TuningCase, _ candidates: [Candidate], _ model: CostModel) -> Candidate {
        let observations = store.observations(like: subject)
        let space = SearchSpace(
            subject, candidates: candidates, model: model,
            learned: observations.isEmpty ? nil : LearnedEffects(observations, for: subject.problem))
        return candidates[space.byExpectation[0]]
    }

    /// The mean loss of ``favourite(_:_:_:)`` on the decided cases of the layer, each left out of what the model knows. Counted where
    /// the favourite was measured; nil where it never was.
    private func modelLoss(_ subject: TuningCase, _ candidates: [Candidate], _ model: CostModel) -> Double? {
        let key = ModelLosses.Key(layer: subject.problem.layer, threads: subject.threads, regime: subject.regime)
        if let known = losses.known[key] { return known }
        let alike = store.decided.filter { $0.problem.layer == key.layer && $0.threads == key.threads && $0.regime == key.regime }
        let found = alike.compactMap { other -> Double? in
            let able = candidates.filter { $0.kernel.supports(other.problem) == .yes }
            guard !able.isEmpty, let best = store.pick(other)?.medianNs else { return nil }
            let name = favourite(other, able, model).name
            return store.usable(other).first { $0.candidate == name }.map { max(0, $0.medianNs! / best - 1) }
        }
        let loss = found.isEmpty ? nil : Statistics.mean(found)
        losses.known[key] = .some(loss)
        return loss
    }
}

/// Losses that were found: one costs as much as a choice for every decided case.
private final class ModelLosses {
    struct Key: Hashable {
        let layer: Layer
        let threads: Int
        let regime: MeasurementOptions.Cache
    }

    var known: [Key: Double?] = [:]
}
