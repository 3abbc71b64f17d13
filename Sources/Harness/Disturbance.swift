import ConvCore
import Foundation
import ThreadPool

/// What a sample's threads can do undisturbed: a loop of multiply-adds and the rate that it was seen to reach.
public struct Throughput: Sendable {
    let probe: ISAProbe
    /// Nanoseconds that the reference loop takes on one thread at the measured peak.
    let expectedNs: Double
    let flops: Double
    /// About 25 µs: long beside a fork and join, short beside a sample.
    static let rounds = 8_000

    /// At the last of the levels that a profile was measured with.
    public init(_ probes: [ISAProbe], on machine: MachineProfile) {
        self.init(probes.last!, peakGflops: machine.peakGflops(isa: probes.last!.name))
    }

    /// `peakGflops` is of one thread.
    package init(_ probe: ISAProbe, peakGflops: Double) {
        self.probe = probe
        flops = Double(Self.rounds * probe.multiplyAddsPerRound * probe.lanes * 2)
        expectedNs = flops / peakGflops
    }
}

/// Notices that something else had the processor during a sample: time that the hypervisor took (steal), a forced switch
/// to another process, or a loop of multiply-adds, run on all threads at once, that is slower than it can be: a lower clock,
/// a stranger on the sibling of a core, or, in a virtual machine, two of its CPUs on one core. Or the threads are further from each other than
/// they can be (``HandOver``).
public struct DisturbanceWatch {
    private let pool: ThreadPool
    private let throughput: Throughput?

    /// A slower loop than this marks a sample: a shared core shows as 100 %, a clock step as 10 % and more.
    static let slowdown = 1.15

    public struct Snapshot {
        let stealTicks: Int
        let switches: Int
        let slow: Bool
        /// GFLOP/s of all threads together in the loop of multiply-adds.
        let gflops: Double?
        let handOver: HandOver?
    }

    /// Without `throughput` a slow core goes unnoticed.
    public init(_ pool: ThreadPool, _ throughput: Throughput?) {
        self.pool = pool
        self.throughput = throughput
    }

    public func snapshot() -> Snapshot {
        let rate = rate()
        return Snapshot(
            stealTicks: StealTime.shared.ticks, switches: ThreadPool.forcedSwitches, slow: rate?.slow ?? false, gflops: rate?.gflops,
            handOver: HandOver(pool))
    }

    func disturbed(from a: Snapshot, to b: Snapshot) -> Bool {
        b.stealTicks != a.stealTicks || b.switches != a.switches || [a, b].contains { $0.slow || $0.handOver?.isFar == true }
    }

    /// A batch of so many runs between two snapshots.
    public func sample(round: Int, ns: Double, runs: Int, from a: Snapshot, to b: Snapshot) -> Sample {
        func mean(_ value: (Snapshot) -> Double?) -> Double? { value(a).flatMap { before in value(b).map { (before + $0) / 2 } } }
        return Sample(
            round: round, ns: ns, runs: runs, disturbed: disturbed(from: a, to: b), multiplyAddGflops: mean(\.gflops),
            handOverNs: mean { $0.handOver?.ns })
    }

    /// Waits until all threads reach their rate, at most a quarter of a second, and are near each other; a pause also lets the host place its
    /// virtual CPUs anew. Without a throughput it does not wait. Returns whether it did, in which the caches may have been lost.
    @discardableResult
    public func waitForCores() -> Bool {
        guard throughput != nil else { return false }
        var waited = false
        for _ in 0..<5 {
            guard rate()?.slow == true else { break }
            usleep(50_000)
            waited = true
        }
        return HandOver.wait(for: pool) || waited
    }

    /// Whether the threads are slower than they can be, and what they reach, each by its own clock: fork and join do not count there.
    /// Nil where nothing is known of what they can do.
    private func rate() -> (slow: Bool, gflops: Double)? {
        guard let throughput else { return nil }
        // The better of two: the first may have woken a sleeping worker.
        let (a, b) = (time(throughput), time(throughput))
        return (min(a.ns, b.ns) > throughput.expectedNs * Self.slowdown, max(a.gflops, b.gflops))
    }

    private func time(_ throughput: Throughput) -> (ns: Double, gflops: Double) {
        withUnsafeTemporaryAllocation(of: Double.self, capacity: pool.threads) { own in
            let start = Clock.now()
            pool.run { index in
                let start = Clock.now()
                keepAlive(throughput.probe.multiplyAdds(Throughput.rounds))
                own[index] = Double(Clock.now() - start)
            }
            let ns = Double(Clock.now() - start)
            return (ns, (0..<pool.threads).reduce(0) { $0 + throughput.flops / own[$1] })
        }
    }
}
