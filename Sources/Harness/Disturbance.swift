import ConvCore
import Foundation
import ThreadPool

/// What a sample's threads can do undisturbed: a loop of multiply-adds and the rate that it was seen to reach.
public struct Throughput: Sendable {
    let probe: ISAProbe
    /// Nanoseconds that the reference loop takes on one thread at the measured peak.
    let expectedNs: Double
    /// About 25 µs: long beside a fork and join, short beside a sample.
    static let rounds = 8_000

    /// `probe` is that of the level whose peak the profile holds for one thread.
    public init(_ probe: ISAProbe, peakGflops: Double) {
        self.probe = probe
        expectedNs = Double(Self.rounds * probe.multiplyAddsPerRound * probe.lanes * 2) / peakGflops
    }
}

/// Notices that something else had the processor during a sample: time that the hypervisor took (steal), a forced switch
/// to another process, or a loop of multiply-adds, run on all threads at once, that is slower than it can be: a lower clock,
/// a stranger on the sibling of a core, or, in a virtual machine, two of its CPUs on one core.
struct DisturbanceWatch {
    private let pool: ThreadPool
    private let throughput: Throughput?

    /// A slower loop than this marks a sample: a shared core shows as 100 %, a clock step as 10 % and more.
    static let slowdown = 1.15

    struct Snapshot {
        let stealTicks: Int
        let switches: Int
        let slow: Bool
    }

    init(_ pool: ThreadPool, _ throughput: Throughput?) {
        self.pool = pool
        self.throughput = throughput
    }

    func snapshot() -> Snapshot {
        Snapshot(stealTicks: StealTime.shared.ticks, switches: ThreadPool.forcedSwitches, slow: isSlow())
    }

    func disturbed(from a: Snapshot, to b: Snapshot) -> Bool {
        b.stealTicks != a.stealTicks || b.switches != a.switches || a.slow || b.slow
    }

    /// Waits until all threads reach their rate, at most a quarter of a second; a pause also lets the host place its virtual CPUs
    /// anew.
    func waitForCores() {
        for _ in 0..<5 {
            guard isSlow() else { return }
            usleep(50_000)
        }
    }

    private func isSlow() -> Bool {
        guard let throughput else { return false }
        // The better of two: the first may have woken a sleeping worker.
        return min(time(throughput.probe), time(throughput.probe)) > throughput.expectedNs * Self.slowdown
    }

    private func time(_ probe: ISAProbe) -> Double {
        let start = Clock.now()
        pool.run { _ in keepAlive(probe.multiplyAdds(Throughput.rounds)) }
        return Double(Clock.now() - start)
    }
}
