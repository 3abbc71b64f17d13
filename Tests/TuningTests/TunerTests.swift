import ConvCore
import Foundation
import Harness
import KernelRegistry
import Results
import Testing
import ThreadPool
import Tuning

/// The tuner with a real kernel and a store, as far as no time decides.
@Suite struct TunerTests {
    private let path = NSTemporaryDirectory() + "atrous-tuner-\(UUID().uuidString)/tuning.csv"
    private let kernels: [Kernel]
    private let candidates: [Candidate]
    private let machine: MachineProfile
    private let subject = TuningCase(try! Problem(parsing: "dw:c16h9k3"), threads: 1)

    init() throws {
        let registry = KernelRegistry(level: .baseline)
        kernels = try ["dw-tile-baseline", "dw-direct-baseline"].map { try #require(registry.kernel(named: $0)) }
        var machine = MachineProfile.unmeasured(levels: ["baseline"])
        // Far more than there is: no candidate is left out as hopeless.
        machine.peaks = [try JSONDecoder().decode(MachineProfile.Peak.self, from: Data(#"{"isa": "baseline", "threads": 1, "gflops": 10000}"#.utf8))]
        self.machine = machine
        candidates = kernels.flatMap { kernel in kernel.space.all.map { Candidate(kernel, $0) } }
        try #require(candidates.count > 30)
    }

    private func store() throws -> TuningStore { try TuningStore(path, identity: StoreIdentity(machine, kernels: kernels, library: nil)) }

    /// `kernel`: the only one that is searched.
    private func tuner(_ store: TuningStore, _ effort: Effort, evaluations: Int? = nil, retune: Bool = false, kernel: String? = nil) -> Tuner {
        var limits = effort.limits!
        if let evaluations { limits.evaluations = evaluations }
        // No time is looked at: the shortest samples do.
        limits.sampleSeconds = 0.05e-3
        var settings = Tuner.Settings(effort: effort, limits: limits, strategy: Strategy.named(limits.strategy)!, seed: 1)
        settings.retune = retune
        return Tuner(
            store, machine: machine, throughput: nil, settings: settings, candidates: { _, _ in candidates.filter { kernel == nil || $0.kernel.name == kernel } },
            resolve: { row, _ in candidates.first { $0.name == row.candidate } },
            makeRow: { candidate, subject, measurement in
                var row = ResultRow()
                (row.machine, row.isa, row.layer, row.problem) = (machine.slug, candidate.kernel.isa, "dw", subject.problem.description)
                (row.kernel, row.config) = (candidate.kernel.name, candidate.configuration.description)
                (row.threads, row.cache) = (subject.threads, subject.regime.rawValue)
                if let measurement { (row.medianNs, row.verdict) = (measurement.medianNs, "PASSED") }
                return row
            })
    }

    @Test func aSearchThatIsCutShortTakesNoStoredTimeAway() throws {
        let (store, pool) = (try store(), ThreadPool(threads: 1))
        _ = try tuner(store, .quick, evaluations: 10).tune(subject, pool: pool)
        let before = store.usable(subject).map(\.candidate)
        #expect(before.count >= 10)
        let cut = try tuner(store, .exhaustive).tune(subject, pool: pool, deadline: Clock.now())
        #expect(cut.isCut && cut.evaluations < candidates.count)
        try store.compact()
        #expect(Set(before).isSubset(of: try self.store().usable(subject).map(\.candidate)))
        #expect(store.all.allSatisfy { $0.row.verdict == "PASSED" && $0.row.medianNs != nil })
    }

    private func isExact(_ store: TuningStore) -> Bool { TunedLookup(store, machine: nil).isExact(subject, among: candidates) }

    @Test func fewerEvaluationsThanTheEffortsDecideForWhoAsksForNoMore() throws {
        let (store, pool) = (try store(), ThreadPool(threads: 1))
        let few = try tuner(store, .quick, evaluations: 3).tune(subject, pool: pool)
        #expect(few.isCapped && few.pick != nil && !isExact(store))
        #expect(tuner(store, .quick, evaluations: 3).work(subject).isDecided)
        #expect(tuner(store, .quick, evaluations: 2).work(subject).isDecided)
        #expect(!tuner(store, .quick, evaluations: 5).work(subject).isDecided)
        #expect(!tuner(store, .quick).work(subject).isDecided)
        #expect(!tuner(store, .thorough, evaluations: 3).work(subject).isDecided)
        let whole = try tuner(store, .quick).tune(subject, pool: pool)
        #expect(!whole.isCapped && !whole.stored && isExact(store))
        #expect(tuner(store, .quick, evaluations: 3).work(subject).isDecided)
        // More effort with few evaluations: neither takes the other's place.
        let more = try tuner(store, .thorough, evaluations: 3).tune(subject, pool: pool)
        #expect(more.isCapped && isExact(store))
        #expect(tuner(store, .thorough, evaluations: 3).work(subject).isDecided && tuner(store, .quick).work(subject).isDecided)
        #expect(!tuner(store, .thorough).work(subject).isDecided)
        // Enough for all that there is: nothing was left out.
        let path = path + "2.csv"
        let all = try TuningStore(path, identity: store.identity)
        let outcome = try tuner(all, .exhaustive, evaluations: candidates.count).tune(subject, pool: pool)
        #expect(!outcome.isCapped && isExact(all))
    }

    @Test func aNewKernelCostsItsOwnSearchAndLeavesTheOthersCovered() throws {
        let (store, pool) = (try store(), ThreadPool(threads: 1))
        _ = try tuner(store, .quick, kernel: "dw-tile-baseline").tune(subject, pool: pool)
        #expect(tuner(store, .quick).work(subject).open.allSatisfy { $0.kernel.name == "dw-direct-baseline" })
        _ = try tuner(store, .quick).tune(subject, pool: pool)
        try store.compact()
        #expect(isExact(store) && tuner(store, .quick).work(subject).isDecided)
        // More effort for one of them, cut short: what was decided before is, and its pick is one.
        _ = try tuner(store, .exhaustive, kernel: "dw-tile-baseline").tune(subject, pool: pool, deadline: Clock.now())
        try store.compact()
        #expect(isExact(store) && store.all.count { $0.row.tuning.mark == "pick" } == 1)
        #expect(TunedLookup(store, machine: nil).choose(subject, among: candidates)?.source.description == "exact (quick)")
        #expect(!tuner(store, .exhaustive).work(subject).isDecided)
    }

    @Test func aRetuningThatIsCutShortLeavesTheCaseDecided() throws {
        let (store, pool) = (try store(), ThreadPool(threads: 1))
        let pick = try #require(try tuner(store, .quick).tune(subject, pool: pool).pick)
        let cut = try tuner(store, .quick, retune: true).tune(subject, pool: pool, deadline: Clock.now())
        #expect(cut.isCut && cut.evaluations == 1 && cut.pick?.candidate == pick.candidate)
        #expect(isExact(store) && tuner(store, .quick).work(subject).isDecided)
    }
}
