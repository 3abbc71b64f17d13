import ConvCore
import FaultyKernels
import Foundation
import Harness
import KernelRegistry
import Testing
import ThreadPool

@Suite struct HarnessTests {
    private let problem = try! Problem(parsing: "dw:c16h12k3d2_relu")
    private var good: Kernel { KernelRegistry(level: .baseline).kernel(named: "dw-tile-baseline")! }

    /// A kernel whose output is that of the good one, with a defect.
    private func outcome(of kernel: Kernel, threads: Int = 1) throws -> Trial.Outcome {
        try Trial(ProblemData(problem, seed: 1), candidates: [Candidate(good), Candidate(kernel)], pool: ThreadPool(threads: threads))
            .run(measuring: MeasurementOptions(minTime: 0.001, rounds: 3))[1].outcome
    }

    @Test(arguments: [1, 2])
    func theRateOfMultiplyAddsIsKeptWithEverySample(threads: Int) throws {
        let probe = KernelRegistry(level: .baseline).probes[0]
        func measured(_ throughput: Throughput?) throws -> Harness.Measurement {
            let trial = try Trial(ProblemData(problem, seed: 1), candidates: [Candidate(good)], pool: ThreadPool(threads: threads))
            guard case .measured(let m) = try trial.run(measuring: MeasurementOptions(minTime: 0.001, rounds: 3), throughput: throughput)[0].outcome
            else { throw CancellationError() }
            return m
        }
        #expect(try measured(nil).multiplyAddGflops == nil)
        // So low a peak that no sample counts as disturbed by it.
        let m = try measured(Throughput(probe, peakGflops: 1e-3))
        let rates = m.samples.compactMap(\.multiplyAddGflops)
        #expect(rates.count == m.samples.count && rates.allSatisfy { $0 > 0 && $0.isFinite })
        #expect(try #require(m.multiplyAddGflops) >= rates.min()! && m.multiplyAddGflops! <= rates.max()!)
    }

    /// Maps and weights of all proportions: each map the larger one, and parts that are no whole units of the loops.
    @Test(arguments: ["dw:c16h12k3d2_relu", "pw:c8o40h9", "pw:c300o7h3w70", "dw:c64h80k3d2"], [1, 2, 3])
    func theCompulsoryBytesAreMovedInTheSameRounds(problem: String, threads: Int) throws {
        let p = try Problem(parsing: problem)
        let registry = KernelRegistry(level: .baseline)
        let tile = try #require(registry.kernel(named: "\(p.layer.rawValue)-tile-baseline"))
        func moved(_ options: MeasurementOptions, _ throughput: Throughput?) throws -> Double? {
            let trial = try Trial(ProblemData(p, seed: 1), candidates: [Candidate(tile)], pool: ThreadPool(threads: threads))
            guard case .measured(let m) = try trial.run(measuring: options, throughput: throughput)[0].outcome else { throw CancellationError() }
            return m.movedGBps
        }
        let throughput = Throughput(registry.probes[0], peakGflops: 1e-3)
        let options = MeasurementOptions(minTime: 0.001, rounds: 3, movesBytes: true)
        let gbps = try #require(try moved(options, throughput))
        #expect(gbps > 0 && gbps.isFinite)
        #expect(try moved(options, nil) == nil)
        #expect(CompulsoryMove.ways(try Problem(parsing: "pw:c1o1h1"), registry.probes[0], threads: 1).isEmpty)
        #expect(try moved(MeasurementOptions(minTime: 0.001, rounds: 3), throughput) == nil)
        // Nothing but dst is written, of that all but the last floats.
        let arena = try Arena(p, cases: [Trial.Case(Candidate(tile), on: ThreadPool(threads: 1))])
        let (src, dst) = (arena.floats(.src), arena.floats(.dst))
        for i in 0..<p.srcCount { src[i] = Float(i % 251) + 2 }
        let ways = CompulsoryMove.ways(p, registry.probes[0], threads: threads)
        #expect(!ways.isEmpty)
        for way in ways {
            // The threads' parts are every float once, but the last ones of each map.
            let parts = (0..<threads).map { way.part(p, index: $0, of: threads) }
            for (ranges, count) in [
                (parts.map(\.weights), p.weightCount), (parts.map(\.copied) + parts.map(\.onlyRead), p.srcCount),
                (parts.map(\.copied) + parts.map(\.onlyWritten), p.dstCount),
            ] {
                #expect(ranges.flatMap { Array($0) } == Array(0..<count / 32 * 32))
            }
            dst.update(repeating: -1, count: p.dstCount)
            let around = [dst[-1], dst[p.dstCount]].map(\.bitPattern)
            way.plan(p, arena: arena, pool: ThreadPool(threads: threads)).run(src, dst)
            let left = (0..<p.dstCount).filter { dst[$0] == -1 }
            #expect(left.count < 8 * 4 && left.allSatisfy { $0 >= p.dstCount - 8 * 4 })
            #expect([dst[-1], dst[p.dstCount]].map(\.bitPattern) == around)
            let copied = min(p.srcCount, p.dstCount) - 8 * 4
            #expect((0..<copied).allSatisfy { dst[$0] == src[$0] })
            #expect(way.bytes(p) <= p.compulsoryBytes && way.bytes(p) > p.compulsoryBytes - Double(4 * (3 * 8 * 4 + p.oc)))
        }
    }

    @Test func threadsFarFromEachOtherAreTold() throws {
        // So many threads that no other test asks for.
        let threads = 1_000_001
        #expect(!HandOver(ns: 500, threads: threads).isFar)
        let start = Clock.now()
        #expect(!HandOver(ns: 150, threads: threads).isFar && !HandOver(ns: 260, threads: threads).isFar)
        let far = HandOver(ns: 500, threads: threads)
        #expect(far.isFar && far.ns == 500)
        // Patience ends, and grows with the time that has passed.
        func pauses(atSecond second: UInt64) -> Int {
            var count = 0
            while HandOver.takePause(threads: threads, now: start + second * 1_000_000_000) { count += 1 }
            return count
        }
        #expect(pauses(atSecond: 0) > 100 && pauses(atSecond: 0) == 0)
        #expect((19...21).contains(pauses(atSecond: 3)) && pauses(atSecond: 3) == 0)
        #expect(!HandOver.takePause(threads: 1_000_002))
    }

    @Test(arguments: [1, 2])
    func whatHandingOverTakesIsKeptWithEverySample(threads: Int) throws {
        let trial = try Trial(ProblemData(problem, seed: 1), candidates: [Candidate(good)], pool: ThreadPool(threads: threads))
        guard case .measured(let m) = try trial.run(measuring: MeasurementOptions(minTime: 0.001, rounds: 3))[0].outcome else {
            Issue.record("not measured")
            return
        }
        let times = m.samples.compactMap(\.handOverNs)
        #expect(times.count == (threads == 1 ? 0 : m.samples.count) && times.allSatisfy { $0 > 0 && $0.isFinite })
        #expect((m.handOverNs != nil) == (threads > 1))
    }

    @Test func wrongStrayAndSkippingKernelsAreCaughtAndNotTimed() throws {
        let faults = faultyKernels(breaking: good)
        #expect(faults.map(\.name) == ["dw-wrong-fault", "dw-stray-fault", "dw-skipping-fault"])
        guard case .failed(.wrong(let index, _, _, _, let count, let exact)) = try outcome(of: faults[0]) else {
            Issue.record("the wrong kernel passed")
            return
        }
        #expect(index == [0, 15, 11, 11] && count == 1 && exact)
        guard case .failed(.strayWrite("dst", 0)) = try outcome(of: faults[1]) else {
            Issue.record("the stray write passed")
            return
        }
        guard case .failed(.skipped([0, 15, 11, 11], 1)) = try outcome(of: faults[2]) else {
            Issue.record("the skipped element passed")
            return
        }
    }

    private func kernel(_ defect: @escaping @Sendable (Kernel.PlanInputs, UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void) -> Kernel {
        let good = self.good
        return Kernel(
            name: "dw-test-defect", layer: .dw, family: .simd, isa: "test", layout: good.layout, threaded: true, summary: "",
            memory: { p, _, threads in good.memory(p, good.space.standard, threads) },
            plan: { p, _, inputs in
                let plan = good.plan(p, good.space.standard, inputs)
                return Kernel.Plan { src, dst in
                    plan.run(src, dst)
                    defect(inputs, src, dst)
                }
            })
    }

    @Test func writesBeforeTheOutputAndIntoInputsAreCaught() throws {
        guard case .failed(.strayWrite("dst", let bytes)) = try outcome(of: kernel { _, _, dst in dst[-1] = 0 }), bytes < 0 else {
            Issue.record("a write before dst passed")
            return
        }
        guard case .failed(.inputChanged("src")) = try outcome(of: kernel { _, src, _ in UnsafeMutablePointer(mutating: src)[3] += 1 }) else {
            Issue.record("a changed src passed")
            return
        }
        guard case .failed(.inputChanged("weights")) = try outcome(of: kernel { inputs, _, _ in UnsafeMutablePointer(mutating: inputs.weights)[0] += 1 }) else {
            Issue.record("changed weights passed")
            return
        }
    }

    @Test func notANumberIsWrong() throws {
        guard case .failed(.wrong) = try outcome(of: kernel { _, _, dst in dst[5] = .nan }) else {
            Issue.record("a NaN passed")
            return
        }
    }

    @Test func anErrorBelowTheBoundOnRealsIsStillCaughtOnIntegers() throws {
        guard case .failed(.wrong(_, _, _, _, _, let exact)) = try outcome(of: kernel { _, _, dst in dst[77] += 0x1p-20 }) else {
            Issue.record("a small error passed")
            return
        }
        #expect(exact)
    }

    @Test func measurementsHoldEveryRoundAndAnInterval() throws {
        let registry = KernelRegistry(level: .baseline)
        let data = try ProblemData(problem, seed: 1)
        for cache in MeasurementOptions.Cache.allCases {
            let candidates = registry.split(for: problem).able.map { Candidate($0) }
            let outcomes = try Trial(data, candidates: candidates, pool: ThreadPool(threads: 1)).run(
                measuring: MeasurementOptions(cache: cache, minTime: 0.002, rounds: 5))
            #expect(outcomes.count == candidates.count)
            for (candidate, outcome) in outcomes {
                guard case .measured(let m) = outcome else {
                    Issue.record("\(candidate.name) was not measured")
                    continue
                }
                // A slow candidate, on a busy machine any, leaves after three rounds.
                #expect(m.samples.count >= 3 && m.samples.map(\.round) == Array(0..<m.samples.count))
                #expect(m.minNs > 0 && m.minNs <= m.medianNs && m.intervalNs.contains(m.medianNs))
                #expect(m.nominalGflops == problem.nominalFLOPs / m.medianNs)
            }
        }
    }

    @Test func statisticsOfKnownValues() {
        #expect(Statistics.median([3, 1, 2]) == 2 && Statistics.median([4, 1, 2, 3]) == 2.5)
        #expect(Statistics.medianAbsoluteDeviation([1, 2, 3, 4, 100]) == 1)
        #expect(Statistics.mean([1, 2, 6]) == 3)
        #expect(abs(Statistics.geometricMean([1, 10, 100]) - 10) < 1e-12)
        #expect(Statistics.median([]).isNaN)
        let interval = Statistics.bootstrapMedianInterval((1...101).map(Double.init), seed: 5)
        #expect(interval.contains(51) && interval.lowerBound > 35 && interval.upperBound < 67)
        #expect(interval == Statistics.bootstrapMedianInterval((1...101).map(Double.init), seed: 5))
        #expect(Statistics.bootstrapMedianInterval([2, 1], seed: 1) == 1...2)
    }

    @Test func theArenaKeepsItsContentInOtherPages() throws {
        let arena = try Arena(src: 4000, weights: 40, bias: 4, dst: 4000, packed: 0, scratch: 100)
        let before = arena.pointer(.src)
        for i in 0..<1000 { arena.floats(.src)[i] = Float(i) }
        try arena.renew()
        #expect(arena.pointer(.src) != before)
        #expect((0..<1000).allSatisfy { arena.floats(.src)[$0] == Float($0) })
        for region in Arena.Region.allCases { #expect(Int(bitPattern: arena.pointer(region)) % 64 == 0) }
    }

    @Test func theRooflineTakesTheSlowerOfComputeAndMemory() throws {
        let levels = ["L1", "L2", "memory"].map {
            "{\"level\": \"\($0)\", \"threads\": 1, \"readGBps\": 50, \"writeGBps\": 20, \"copyGBps\": 40, \"workingSet\": 0}"
        }
        let json = """
            {"cpu": "Test CPU", "cpus": 2, "levels": ["baseline"], "clockStepNs": 1, "pool": [],
             "caches": [{"level": 1, "bytes": 32768, "sharedBy": 1}, {"level": 2, "bytes": 1048576, "sharedBy": 1}],
             "peaks": [{"isa": "baseline", "threads": 1, "gflops": 100}], "bandwidths": [\(levels.joined(separator: ", "))]}
            """
        let machine = try JSONDecoder().decode(MachineProfile.self, from: Data(json.utf8))
        #expect(machine.slug == "test-baseline-2cpu")
        let roofline = Roofline(machine, threads: 1)
        let pointwise = try Problem(parsing: "pw:c256o256h20")
        #expect(roofline.floorNs(pointwise) == pointwise.effectiveFLOPs / 100)
        let copy = try Problem(parsing: "dw:c64h80k1")
        #expect(roofline.floorNs(copy) == copy.compulsoryWriteBytes / 20)
        #expect(roofline.level(1000) == "L1" && roofline.level(500_000) == "L2" && roofline.level(1e8) == "memory")
    }
}

@Suite struct ThreadPoolTests {
    @Test(arguments: [1, 2, 3, 5])
    func everyThreadRunsOncePerFork(threads: Int) {
        let pool = ThreadPool(threads: threads)
        nonisolated(unsafe) let counts = UnsafeMutablePointer<Int>.allocate(capacity: threads * 16)
        counts.initialize(repeating: 0, count: threads * 16)
        defer { counts.deallocate() }
        for round in 0..<2_000 {
            if round % 500 == 0 { pool.park() }
            pool.run { counts[$0 * 16] += 1 }
        }
        for i in 0..<threads { #expect(counts[i * 16] == 2_000) }
    }

    @Test func sharesCoverTheRange() {
        for count in [0, 1, 7, 100] {
            for parts in 1...9 {
                let all = (0..<parts).flatMap { Array(ThreadPool.share(of: count, index: $0, parts: parts)) }
                #expect(all == Array(0..<count))
            }
        }
    }
}
