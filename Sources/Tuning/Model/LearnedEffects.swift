import ConvCore
import Foundation
import Harness

/// What stored measurements of similar problems say of a kernel's configurations.
///
/// A row's *loss* is the logarithm of its time over the best of its case. What a candidate is expected to lose on a new problem is
/// the mean loss of the same candidate on stored ones, nearer ones weighing more; for a configuration that was not measured, the
/// sum of what its parameters' values lost on average (main effects, as in an analysis of variance).
public struct LearnedEffects: Sendable {
    private var exact: [String: (sum: Double, weight: Double)] = [:]
    private var effects: [String: (sum: Double, weight: Double)] = [:]
    private var kernels: [String: (sum: Double, weight: Double)] = [:]

    /// One stored time.
    public struct Observation: Sendable {
        public let problem: Problem
        public let kernel: String
        public let configuration: Configuration
        /// log(time / the case's best)
        public let loss: Double

        public init(problem: Problem, kernel: String, configuration: Configuration, loss: Double) {
            self.problem = problem
            self.kernel = kernel
            self.configuration = configuration
            self.loss = loss
        }
    }

    /// A case this many doublings away weighs e⁻¹.
    private static let reach = 2.0
    /// Losses beyond this say only that something is bad.
    private static let mostLoss = 1.5

    public init(_ observations: [Observation], for problem: Problem) {
        for o in observations {
            guard let distance = problem.distance(to: o.problem) else { continue }
            let weight = exp(-distance / Self.reach)
            let loss = min(o.loss, Self.mostLoss)
            Self.add(&exact, "\(o.kernel)@\(o.configuration)", loss, weight)
            Self.add(&kernels, o.kernel, loss, weight)
            for entry in o.configuration.entries { Self.add(&effects, "\(o.kernel) \(entry.name)\(entry.value)", loss, weight) }
        }
    }

    private static func add(_ table: inout [String: (sum: Double, weight: Double)], _ key: String, _ value: Double, _ weight: Double) {
        table[key, default: (0, 0)].sum += value * weight
        table[key, default: (0, 0)].weight += weight
    }

    /// The expected loss of a candidate and how much evidence it rests on; nil where its kernel was never measured nearby.
    public func loss(_ c: Candidate) -> (loss: Double, weight: Double)? {
        guard let kernel = kernels[c.kernel.name], kernel.weight > 0.05 else { return nil }
        let mean = kernel.sum / kernel.weight
        // Main effects, each drawn towards the kernel's mean by one observation's weight.
        var predicted = mean
        for entry in c.configuration.entries {
            guard let effect = effects["\(c.kernel.name) \(entry.name)\(entry.value)"] else { continue }
            predicted += (effect.sum - mean * effect.weight) / (effect.weight + 1)
        }
        guard let own = exact["\(c.kernel.name)@\(c.configuration)"] else { return (predicted, kernel.weight) }
        // Its own losses count as they are, the effects as one distant observation.
        let prior = 0.2
        return ((own.sum + prior * predicted) / (own.weight + prior), kernel.weight)
    }
}

extension SearchSpace {
    /// The space of a case. Where measurements of similar problems are stored, they order the candidates; elsewhere the model does.
    public init(_ subject: TuningCase, candidates: [Candidate], model: CostModel, learned: LearnedEffects?) {
        let modelled = candidates.map { model.expectedNs($0, subject) }
        var expected = modelled
        if let learned {
            // What the best is expected to take, so that losses and times compare.
            let losses = candidates.map { learned.loss($0) }
            let known = candidates.indices.filter { losses[$0] != nil }
            if let floor = known.map({ log(modelled[$0]) - losses[$0]!.loss }).sorted().middle {
                for i in known {
                    let (loss, weight) = losses[i]!
                    let share = weight / (weight + 0.3)
                    expected[i] = exp(share * (floor + loss) + (1 - share) * log(modelled[i]))
                }
            }
        }
        self.init(
            subject, candidates: candidates, expectedNs: expected, boundNs: candidates.map { model.boundNs($0, subject) })
    }
}

extension [Double] {
    fileprivate var middle: Double? { isEmpty ? nil : self[count / 2] }
}
