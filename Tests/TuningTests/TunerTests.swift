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
    private let kernel: Kernel
    private let candidates: [Candidate]
    private let machine: MachineProfile
    private let subject = TuningCase(try! Problem(parsing: "dw:c16h9k3"), threads: 1)

    init() throws {
        let kernel = try #require(KernelRegistry(level: .baseline).kernel(named: "dw-tile-baseline"))
        var machine = MachineProfile.unmeasured(levels: ["baseline"])
        machine.peaks = [try JSONDecoder().decode(MachineProfile.Peak.self, from: Data(#"{"isa": "baseline", "threads": 1, "gflops": 10000}"#.utf8))]
        (self.kernel, self.machine) = (kernel, machine)
        candidates = kernel.space.all.map { Candidate(kernel, $0) }
        try #require(candidates.count > 30)
    }

    private func store() throws -> TuningStore { try TuningStore(path, identity: StoreIdentity(machine, kernels: [kernel], library: nil)) }

    private func tuner(_ store: TuningStore, _ effort: Effort, evaluations: Int? = nil, retune: Bool = false) -> Tuner {
        var limits = effort.limits!
        if let evaluations { limits.evaluations = evaluations }
        var settings = Tuner.Settings(effort: effort, limits: limits, strategy: Strategy.named(limits.strategy)!, seed: 1)
        settings.retune = retune
        return Tuner(
            store, machine: machine, throughput: nil, settings: settings, candidates: { _, _ in candidates },
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
}
