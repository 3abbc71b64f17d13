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
        /// A pick of this very case.
        case exact(Effort)
        /// The pick of the nearest tuned shape with the same kernel, stride and dilation.
        case nearest(TuningCase)
        /// The model's favourite.
        case model
        /// The standard configuration of the last kernel in the list that can.
        case standard

        public var description: String {
            switch self {
            case .exact(let effort): "exact (\(effort.rawValue))"
            case .nearest(let subject): "nearest (\(subject.problem.name ?? subject.problem.text))"
            case .model: "model"
            case .standard: "default"
            }
        }

        public var isExact: Bool { if case .exact = self { true } else { false } }
    }

    public var lossText: String { expectedLoss.map { String(format: "%.1f %%", 100 * $0) } ?? "unknown" }
}

/// Answers for any case, without measuring: exact pick, nearest shape of the same class, model, default, in this order.
public struct TunedLookup {
    private let store: TuningStore
    private let model: CostModel?

    /// Without a machine profile there is no model, and the default answers.
    public init(_ store: TuningStore, machine: MachineProfile?) {
        self.store = store
        model = machine.map(CostModel.init)
    }

    /// One of the candidates, all of which must support the problem; nil where there are none. A stored pick that is not among
    /// them is passed over.
    public func choose(_ subject: TuningCase, among candidates: [Candidate]) -> TunedChoice? {
        let byName = Dictionary(candidates.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        if let row = store.pick(subject), let candidate = byName[row.candidate] {
            return TunedChoice(candidate: candidate, source: .exact(row.effort), expectedLoss: row.tuning.regret, row: row)
        }
        for (near, distance) in store.neighbours(of: subject, sameClass: true) {
            guard let row = store.pick(near), let candidate = byName[row.candidate] else { continue }
            return TunedChoice(
                candidate: candidate, source: .nearest(near), expectedLoss: transferLoss(subject, distance), row: nil)
        }
        if let model, !candidates.isEmpty {
            let observations = store.observations(like: subject)
            let space = SearchSpace(
                subject, candidates: candidates, model: model,
                learned: observations.isEmpty ? nil : LearnedEffects(observations, for: subject.problem))
            return TunedChoice(candidate: candidates[space.byExpectation[0]], source: .model, expectedLoss: modelLoss(subject, candidates), row: nil)
        }
        let standards = candidates.filter { $0.configuration == $0.kernel.space.standard }
        return (standards.last ?? candidates.last).map { TunedChoice(candidate: $0, source: .standard, expectedLoss: nil, row: nil) }
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

    /// The mean loss of the model's favourite among what was measured of stored cases of the layer.
    private func modelLoss(_ subject: TuningCase, _ candidates: [Candidate]) -> Double? {
        guard let model else { return nil }
        let losses = store.decided.filter { $0.problem.layer == subject.problem.layer && $0.threads == subject.threads && $0.regime == subject.regime }
            .compactMap { other -> Double? in
                let rows = store.usable(other)
                let times = Dictionary(rows.map { ($0.candidate, $0.medianNs!) }, uniquingKeysWith: { first, _ in first })
                let favourite = candidates.filter { times[$0.name] != nil }.min {
                    (model.expectedNs($0, other), $0.name) < (model.expectedNs($1, other), $1.name)
                }
                guard let best = store.pick(other)?.medianNs, let favourite else { return nil }
                return max(0, times[favourite.name]! / best - 1)
            }
        return losses.isEmpty ? nil : Statistics.mean(losses)
    }
}
