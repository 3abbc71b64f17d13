import ConvCore
import Foundation
import Harness
import OptionParsing
import Tuning

/// What `bench --tuned` measures beside the standard configurations: the picks that a tuning store holds for the very problem,
/// thread count and state of the caches, among the kernels and configurations that the options admit. No pick of a shape nearby and
/// no guess is one.
struct TunedPicks {
    private var picks: [TuningCase: Candidate] = [:]
    private let regime: MeasurementOptions.Cache
    /// How many cases have a pick, and where they come from.
    let summary: String

    /// nil without `--tuned`. Throws where a store that is named is not there.
    init?(_ values: Values, _ problems: [Problem], session: Session, kernels: KernelSelection, regime: MeasurementOptions.Cache) throws {
        guard let text = values.string("tuned") else { return nil }
        self.regime = regime
        let named = text == "-" ? nil : text
        let store = try Store.openTuned(named, machine: .unmeasured(kernels.registry), registry: kernels.registry, quiet: session.quiet)
        guard named == nil || FileManager.default.fileExists(atPath: store.file.path) else {
            throw UsageError("--tuned '\(text)': there is no \(store.file.path); `atrous tune --store \(text)` makes it")
        }
        let lookup = TunedLookup(store, machine: nil)
        let cases = problems.flatMap { problem in session.threads.map { TuningCase(problem, threads: $0, regime: regime) } }
        var partial = 0
        for subject in cases {
            guard let row = store.pick(subject) else { continue }
            let admitted = kernels.tunable(for: subject.problem, threads: subject.threads)
            guard let candidate = admitted.first(where: { $0.name == row.candidate }) else { continue }
            picks[subject] = candidate
            if !lookup.isExact(subject, among: admitted) { partial += 1 }
        }
        summary = "\(store.file.path) holds a pick of these kernels for \(picks.count) of \(cases.count) problems and thread counts"
            + (partial > 0 ? "; \(partial) of them met only some of these kernels" : "")
    }

    subscript(problem: Problem, threads: Int) -> Candidate? { picks[TuningCase(problem, threads: threads, regime: regime)] }
}
