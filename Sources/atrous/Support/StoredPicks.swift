import ConvCore
import Harness
import KernelRegistry
import OptionParsing
import Regression
import Tuning

/// What a tuning store chose for the problems of a check.
struct StoredPicks {
    private let store: TuningStore?

    /// Of no store.
    static var none: StoredPicks { StoredPicks(store: nil) }

    private init(store: TuningStore?) { self.store = store }

    /// Empty without `--store`. What of the store does not read is told.
    init(_ values: Values) throws {
        guard let folder = values.string("store") else {
            self = .none
            return
        }
        let registry = KernelRegistry(level: try InstructionSet.usable())
        let store = try TuningStore(StorePlace.file(folder), .unmeasured(registry), registry)
        for warning in store.warnings { Console.warning(warning) }
        if store.decided.isEmpty, !values.flag("quiet") {
            Console.warning("\(StorePlace.file(folder)): no pick in it is for this machine and these kernels; `atrous tune --store \(folder)` makes them")
        }
        self.store = store
    }

    /// Kernel and configuration; nil where nothing was chosen.
    func pick(_ problem: Problem, threads: Int) -> String? { store?.pick(TuningCase(problem, threads: threads), stale: true)?.candidate }

    /// Every stored choice that head no longer runs, that is no longer the fastest there, or that may not be used at all.
    func judged(_ outcome: CheckOutcome) -> [PickJudgement] {
        guard store != nil else { return [] }
        var found: [PickJudgement] = []
        var seen: Set<String> = []
        for one in outcome.cases.map(\.one) + outcome.leftOut.map(\.one) where seen.insert("\(one.problem.text) \(one.threads)").inserted {
            let judgement = pick(one.problem, threads: one.threads).map { PickJudgement.stale($0, problem: one.problem.text, threads: one.threads, in: outcome) }
            if let judgement = judgement ?? refused(one) { found.append(judgement) }
        }
        for out in outcome.leftOut where pick(out.one.problem, threads: out.one.threads) == out.one.candidate {
            found.append(PickJudgement(
                .stale, explained: false, "\(out.one.problem.label), threads \(out.one.threads)",
                "the stored \(out.one.candidate) does not run in \(out.side): \(out.reason)"))
        }
        return found
    }

    /// Of a case that was decided, and for something else than what runs here.
    private func refused(_ one: CheckCase) -> PickJudgement? {
        let stored = store?.rows(of: TuningCase(one.problem, threads: one.threads)).last { $0.row.tuning.mark == "pick" }
        return stored.map {
            PickJudgement(
                .stale, explained: false, "\(one.problem.label), threads \(one.threads)",
                "the stored \($0.row.candidate) is not used: \($0.validity.reason); tune again")
        }
    }
}
