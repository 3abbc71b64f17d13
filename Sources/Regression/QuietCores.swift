import Foundation
import Harness
import ThreadPool

/// Finds the CPUs that nobody else uses at the moment: no other process of this system, and, in a virtual machine, no stranger
/// on the other hardware thread of the core, who comes and goes within tenths of a second and takes a third of the speed.
public final class QuietCores {
    public let count = min(16, ThreadPool.usableCPUs)
    /// The shortest that each loop has ever taken.
    private var bestNs = Double.infinity

    /// A stranger shows as 60 %, the clock's steps as a few.
    static let slowdown = 1.15
    /// What a round waits for quiet, at most: rounds that had none are dropped or told apart afterwards.
    private static let waitMs = 5.0

    public init() {
        for _ in 0..<20 { _ = look() }
    }

    /// The CPU for one thread: the quietest, in turn where several are; waits a little while none is. The caller moves out of its
    /// way where another is quiet; beside a stranger it would wait for its turn after every burst.
    ///
    /// `there` is run on the chosen CPU. Without these moves, of driver and workers, a check of ten cases took 15 s beside a CPU that
    /// was busy; with them it takes 3 s, and 2 s where nobody is.
    public func choose(turn: Int, there: () -> Void = {}) -> Int {
        guard count > 1 else { return 0 }
        let deadline = Clock.now() + UInt64(Self.waitMs * 1e6)
        while true {
            let times = look()
            let quiet = times.indices.filter { times[$0] <= bestNs * Self.slowdown }
            if quiet.isEmpty, Clock.now() < deadline {
                usleep(2_000)
                continue
            }
            let chosen = quiet.isEmpty ? times.indices.min { times[$0] < times[$1] }! : quiet[turn % quiet.count]
            ThreadPool.pinCaller(to: chosen)
            there()
            let other = (chosen + 1) % count
            ThreadPool.pinCaller(to: quiet.contains(other) ? other : chosen)
            return chosen
        }
    }

    /// Waits a little until all are quiet, for cases with several threads.
    public func waitForAll() {
        let deadline = Clock.now() + UInt64(Self.waitMs * 1e6)
        while look().contains(where: { $0 > bestNs * Self.slowdown }), Clock.now() < deadline { usleep(2_000) }
    }

    /// The wide loop on each CPU; the better of two, since the first may have been interrupted.
    private func look() -> [Double] {
        (0..<count).map { cpu in
            guard ThreadPool.pinCaller(to: cpu) else { return bestNs }
            let ns = min(ReferenceLoops().wideNs, ReferenceLoops().wideNs)
            bestNs = min(bestNs, ns)
            return ns
        }
    }
}
