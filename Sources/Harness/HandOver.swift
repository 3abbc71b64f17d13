import Foundation
import Synchronization
import ThreadPool

/// How long the threads of a pool take to hand work to each other: an empty fork and join while the workers poll, in which a cache line or
/// two goes from core to core and back.
///
/// Where every thread stays on its core that is one number. A virtual machine's host may move its CPUs, for seconds at a time, between cores
/// that share an L3 and cores that do not: of two CPUs of a Zen 5 it took some five times as long then, and layers whose threads read what
/// the others wrote up to four times, while the rate of multiply-adds stayed the same.
package struct HandOver {
    /// The least of some batches.
    package let ns: Double
    /// Whether it takes far longer than this process has seen it take with as many threads.
    package let isFar: Bool

    /// A longer way than this marks a sample: near, the two CPUs took 86 to 135 ns, far 450 to 800.
    private static let slowdown = 2.5
    private static let batches = 5
    private static let forks = 10

    /// What the process knows of a number of threads.
    private struct Known {
        var nearestNs: Double
        let since = Clock.now()
        var waited = 0.0
    }
    private static let known = Mutex<[Int: Known]>([:])

    /// Seconds that a process waits in all for threads that are far from each other, beside a third of all of its time: the host's choices
    /// hold for some ten seconds, may hold for good, and may change with every pause.
    private static let patience = 20.0
    private static let pause = 0.05

    /// Nil where there is nobody to hand anything to.
    init?(_ pool: ThreadPool) {
        guard pool.threads > 1 else { return nil }
        pool.run { _ in }
        let least = (0..<Self.batches).map { _ in
            let start = Clock.now()
            for _ in 0..<Self.forks { pool.run { _ in } }
            return Double(Clock.now() - start) / Double(Self.forks)
        }.min()!
        self.init(ns: least, threads: pool.threads)
    }

    package init(ns: Double, threads: Int) {
        self.ns = ns
        isFar = Self.known.withLock { known in
            var own = known[threads] ?? Known(nearestNs: ns)
            own.nearestNs = min(own.nearestNs, ns)
            known[threads] = own
            return ns > Self.slowdown * own.nearestNs
        }
    }

    /// Waits until the threads are near each other, as long as the process has patience. Returns whether it waited.
    static func wait(for pool: ThreadPool) -> Bool {
        var waited = false
        while HandOver(pool)?.isFar == true, takePause(threads: pool.threads) {
            usleep(UInt32(pause * 1e6))
            waited = true
        }
        return waited
    }

    /// Whether there is patience left for a pause; it is taken. `now` on ``Clock/now()``.
    package static func takePause(threads: Int, now: UInt64 = Clock.now()) -> Bool {
        known.withLock { known in
            guard let own = known[threads], own.waited + pause <= patience + Double(now - min(now, own.since)) / 3e9 else { return false }
            known[threads]!.waited += pause
            return true
        }
    }
}
