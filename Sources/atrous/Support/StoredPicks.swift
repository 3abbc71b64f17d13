import ConvCore
import Harness
import KernelRegistry
import OptionParsing
import Regression
import Tuning

/// What a tuning store chose for the problems of a check.
struct StoredPicks {
    private let store: TuningStore?

    /// Empty without `--store`.
    init(_ values: Values) throws {
        guard let folder = values.string("store") else {
            store = nil
            return
        }
        let registry = KernelRegistry(level: try InstructionSet.usable())
        let machine = MachineProfile.unmeasured(levels: registry.probes.map(\.name))
        store = try TuningStore(
            StorePlace.file(folder), identity: StoreIdentity(machine, kernels: registry.kernels, library: registry.openBLAS))
        if store!.decided.isEmpty, !values.flag("quiet") {
            Console.warning("\(StorePlace.file(folder)): no pick in it is for this machine and these kernels; `atrous tune --store \(folder)` makes them")
        }
    }

    /// Kernel and configuration; nil where nothing was chosen.
    func pick(_ problem: Problem, threads: Int) -> String? { store?.pick(TuningCase(problem, threads: threads), stale: true)?.candidate }
}

/// Every stored choice that head no longer runs, or that is no longer the fastest there.
func staleChoices(_ values: Values, _ outcome: CheckOutcome) throws -> [PickJudgement] {
    guard values.string("store") != nil else { return [] }
    let picks = try StoredPicks(values)
    var found: [PickJudgement] = []
    var seen: Set<String> = []
    for c in outcome.cases {
        guard seen.insert("\(c.one.problem.text) \(c.one.threads)").inserted, let stored = picks.pick(c.one.problem, threads: c.one.threads)
        else { continue }
        if let judgement = PickJudgement.stale(stored, problem: c.one.problem.text, threads: c.one.threads, in: outcome) { found.append(judgement) }
    }
    for out in outcome.leftOut where picks.pick(out.one.problem, threads: out.one.threads) == out.one.candidate {
        found.append(PickJudgement(
            .stale, explained: false, "\(out.one.problem.label), threads \(out.one.threads)",
            "the stored \(out.one.candidate) does not run in \(out.side): \(out.reason)"))
    }
    return found
}
