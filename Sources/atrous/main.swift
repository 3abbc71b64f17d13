import ConvCore
import Foundation
import Harness
import KernelRegistry
import ThreadPool

let level = try InstructionSet.usable()
let registry = KernelRegistry(level: level)
let sweep = ProcessInfo.processInfo.environment["SWEEP"]
let threadCounts = sweep == nil ? [1, 2] : [1]
let machine = MachineProfile.measure(probes: registry.probes, threads: threadCounts)

for text in CommandLine.arguments.dropFirst() {
    let p = try Problem(parsing: text)
    let data = ProblemData(p, seed: 1)
    for threads in threadCounts {
        let pool = ThreadPool(threads: threads)
        let cands = registry.split(for: p).able.filter { threads == 1 || $0.threaded }.flatMap { k in sweep.map { k.name.contains($0) ? k.space.all.map { c in Candidate(k, c) } : [] } ?? [Candidate(k)] }
        let arena = try Arena(p, candidates: cands, threads: threads)
        var verified: [Verified] = []
        for c in cands {
            switch Verifier(data, arena: arena, pool: pool).verify(c) {
            case .success(let v): verified.append(v)
            case .failure(let f): print("FAILED", c.name, f)
            }
        }
        let floor = Roofline(machine, threads: threads).floorNs(p)
        for m in try Sampler(data, arena: arena, pool: pool, options: .init()).measure(verified) {
            print(p, threads, m.verified.candidate.name, String(format: "%.1f us [%.1f %.1f] %.1f GF eff %.1f  roof %.2f dist %d/%d err %.2g", m.medianNs/1000, m.intervalNs.lowerBound/1000, m.intervalNs.upperBound/1000, m.nominalGflops, m.effectiveGflops, floor/m.medianNs, m.disturbedCount, m.samples.count, m.verified.maxError))
        }
    }
}
