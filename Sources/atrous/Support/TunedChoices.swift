import ConvCore
import Harness
import Tuning

/// What a tuner's store says of each problem, among the kernels that the options admit.
final class TunedChoices {
    private let lookup: TunedLookup
    private let kernels: KernelSelection
    private let regime: MeasurementOptions.Cache
    /// Looking one up goes through the whole store.
    private var known: [TuningCase: TunedChoice?] = [:]

    init(lookup: TunedLookup, kernels: KernelSelection, regime: MeasurementOptions.Cache) {
        self.lookup = lookup
        self.kernels = kernels
        self.regime = regime
    }

    subscript(problem: Problem, threads: Int) -> TunedChoice? { choose(problem, threads, regime) }

    /// For a layer of a block: what was tuned behind a neighbour where there is such a pick.
    func inBlock(_ problem: Problem, _ threads: Int) -> TunedChoice? {
        guard let chained = choose(problem, threads, .chain), chained.source.isExact else { return self[problem, threads] }
        return chained
    }

    /// Cases that no pick answers.
    func inexact(_ problems: [Problem], _ threads: [Int]) -> [TuningCase] {
        threads.flatMap { count in
            problems.filter { !(self[$0, count]?.source.isExact ?? true) }.map { TuningCase($0, threads: count, regime: regime) }
        }
    }

    private func choose(_ problem: Problem, _ threads: Int, _ regime: MeasurementOptions.Cache) -> TunedChoice? {
        let subject = TuningCase(problem, threads: threads, regime: regime)
        if let choice = known[subject] { return choice }
        let choice = lookup.choose(subject, among: kernels.tunable(for: problem, threads: threads))
        known[subject] = .some(choice)
        return choice
    }
}

/// Answers without a measurement: which source each comes from, and what it may cost.
func estimateTable(_ cases: [TuningCase], _ choice: (TuningCase) -> TunedChoice?) -> String {
    Console.table(
        ["layer", "shape", "threads", "pick", "source", "expected loss"],
        cases.map { subject in
            let head = [subject.problem.layer.rawValue, subject.problem.label, "\(subject.threads)"]
            guard let choice = choice(subject) else { return head + ["-", "-", "-"] }
            return head + [choice.candidate.name, choice.source.description, choice.lossText]
        }, right: [2])
}
