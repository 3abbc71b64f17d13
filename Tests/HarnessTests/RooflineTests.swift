import ConvCore
import Foundation
import Harness
import KernelRegistry
import Testing

/// Bandwidths behind the private caches, on profiles that are made up.
@Suite struct RooflineTests {
    private static let mib = 1 << 20

    /// One thread, 1 MiB of L2, 32 MiB of L3; reads at 100 GB/s in L2, 90 in L3 and 30 in memory, all else at a tenth.
    private func machine(sweep: [(mib: Int, readGBps: Double)]?) throws -> MachineProfile {
        func row(_ level: String, _ mib: Int, _ gbps: Double) -> String {
            "{\"level\": \"\(level)\", \"threads\": 1, \"readGBps\": \(gbps), \"writeGBps\": \(gbps / 10), \"copyGBps\": \(gbps / 10), \"workingSet\": \(mib << 20)}"
        }
        let levels = [row("L1", 0, 200), row("L2", 0, 100), row("L3", 8, 90), row("memory", 128, 30)].joined(separator: ", ")
        let extra = sweep.map { ", \"sweep\": [\($0.map { row("between", $0.mib, $0.readGBps) }.joined(separator: ", "))]" } ?? ""
        let json = """
            {"cpu": "Test CPU", "cpus": 2, "levels": ["baseline"], "clockStepNs": 1, "pool": [],
             "caches": [{"level": 1, "bytes": 32768, "sharedBy": 1}, {"level": 2, "bytes": 1048576, "sharedBy": 1}, {"level": 3, "bytes": 33554432, "sharedBy": 2}],
             "peaks": [{"isa": "baseline", "threads": 1, "gflops": 100}], "bandwidths": [\(levels)]\(extra)}
            """
        return try JSONDecoder().decode(MachineProfile.self, from: Data(json.utf8))
    }

    private func reads(_ machine: MachineProfile, _ mib: Double) -> Double {
        Roofline(machine, threads: 1).bandwidth(mib * Double(Self.mib))?.readGBps ?? .nan
    }

    @Test func withoutASweepTheBandwidthStepsAtTheCaches() throws {
        let old = try machine(sweep: nil)
        #expect(old.sweep == nil)
        for (mib, gbps) in [(0.01, 200), (0.5, 100), (1, 100), (1.1, 90), (31, 90), (33, 30), (500, 30)] as [(Double, Double)] {
            #expect(reads(old, mib) == gbps)
        }
    }

    @Test func aSweepIsReadBetweenItsSetsByTheLogarithm() throws {
        let machine = try machine(sweep: [(2, 96), (32, 60), (64, 40)])
        for (mib, gbps) in [(0.5, 100), (1, 100), (2, 96), (8, 90), (32, 60), (64, 40), (128, 30), (1000, 30)] as [(Double, Double)] {
            #expect(reads(machine, mib) == gbps)
        }
        #expect(abs(reads(machine, 16) - 75) < 1e-9 && abs(reads(machine, 4) - 93) < 1e-9)
        let whole = Roofline(machine, threads: 1).bandwidth(Double(16 * Self.mib))
        #expect(whole.map { abs($0.writeGBps - 7.5) < 1e-9 && abs($0.copyGBps - 7.5) < 1e-9 } == true)
        let curve = stride(from: 0.01, to: 300, by: 0.37).map { reads(machine, $0) }
        #expect(zip(curve, curve.dropFirst()).allSatisfy { $0 >= $1 })
    }

    /// A set that was measured beside a busy neighbour.
    @Test func whatALargerSetHadCountsForASmallerOne() throws {
        let machine = try machine(sweep: [(16, 20), (32, 60)])
        #expect(reads(machine, 16) == 60 && reads(machine, 24) == 60 && reads(machine, 8) == 90)
    }

    @Test func aProblemIsHeldAgainstItsOwnSize() throws {
        let machine = try machine(sweep: [(32, 60)])
        let problem = try Problem(parsing: "dw:c512h80k1")
        #expect((8..<32).contains(problem.compulsoryBytes / Double(Self.mib)))
        let roofline = Roofline(machine, threads: 1)
        let own = try #require(roofline.bandwidth(problem.compulsoryBytes))
        #expect(own.writeGBps < 9 && own.writeGBps > 6)
        #expect(roofline.floorNs(problem) == problem.compulsoryWriteBytes / own.writeGBps)
        #expect(roofline.floorNs(problem, cold: true) == problem.compulsoryWriteBytes / 3)
    }

    @Test func aMeasuredProfileHoldsItsSweep() {
        let machine = MachineProfile.measure(probes: KernelRegistry(level: .baseline).probes, threads: [1])
        let sets = machine.sweepSets(threads: 1)
        #expect(machine.sweep?.map(\.level) == sets.map(\.level) && machine.sweep?.map(\.workingSet) == sets.map(\.bytes))
        for row in machine.bandwidths + (machine.sweep ?? []) {
            for rate in [row.readGBps, row.writeGBps, row.copyGBps] { #expect(rate > 0 && rate.isFinite) }
        }
    }

    @Test func theSweepLiesBetweenTheMeasuredLevels() throws {
        let machine = try machine(sweep: nil)
        let sets = machine.sweepSets(threads: 1)
        #expect(sets.map { Double($0.bytes) / Double(Self.mib) } == [1.125, 1.25, 1.5, 2, 4, 16, 24, 32, 48, 64])
        #expect(sets.map(\.level) == Array(repeating: "L2 to L3", count: 5) + Array(repeating: "L3 to memory", count: 5))
        // Nothing was measured with two threads.
        #expect(machine.sweepSets(threads: 2).isEmpty)
        var flat = machine
        flat.caches.removeLast()
        #expect(flat.sweepSets(threads: 1).isEmpty && reads(flat, 4) == 30)
    }
}
