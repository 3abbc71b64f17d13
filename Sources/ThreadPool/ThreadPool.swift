import CThreadPool
import Foundation
import Synchronization

/// Takes a closure apart that is not to outlive the call in which it is used; see `atrous_call_job`.
@_silgen_name("atrous_keep_job")
private func keep(_ body: (_ index: Int) -> Void, in job: UnsafeMutablePointer<atrous_job>)

/// A persistent fork-join pool: `threads − 1` workers and the calling thread. A fork allocates nothing.
///
/// A fork is one store to an epoch that the workers poll, a join is one counter that the caller polls, so that both cost
/// about a cache-line transfer each (`atrous machine` prints it). A worker that has found no work for `spinBudget` polls
/// goes to sleep on a condition; the next fork wakes it, at the price of a system call. Measuring code therefore calls
/// ``park()`` before it times anything that uses fewer threads: a polling worker takes power and, where cores share an
/// execution unit, speed.
///
/// One caller at a time may use a pool; the pool is not re-entrant.
public final class ThreadPool: @unchecked Sendable {
    /// Threads that take part in a ``run(_:)``, the caller included; at least 1. Fewer than were asked for where the system
    /// started no more.
    public let threads: Int

    /// CPUs that this process may run on.
    public static var usableCPUs: Int { max(1, Int(atrous_usable_cpus())) }

    /// The system's number of the calling thread.
    public static var callerID: Int { Int(atrous_thread_id()) }
    /// How often a thread of this process was taken off its CPU against its will.
    public static var forcedSwitches: Int { atrous_forced_switches() }

    private let state: State

    /// Polls before a worker sleeps: about 50–100 µs, longer than the serial gaps between the layers of a block.
    private static let spinBudget = 2_000

    /// Starts `threads − 1` workers. With `pinned`, worker `i` is bound to the process's CPU `i`; the caller binds itself
    /// to CPU 0 with ``withPinnedCaller(_:)``. Without, a system may wake a sleeping worker on the caller's own CPU and leave
    /// the two there for as long as the work comes in short pieces: what measures, pins.
    public init(threads: Int, pinned: Bool = false) {
        precondition(threads >= 1, "a pool needs at least one thread")
        state = State()
        _ = Self.usableCPUs  // read before anything is pinned
        var started = 1
        while started < threads, Worker.start(state, index: started, pinned: pinned) { started += 1 }
        self.threads = started
    }

    /// What a thread begins with.
    private final class Worker {
        let state: State
        let index: Int
        let pinned: Bool

        private init(_ state: State, index: Int, pinned: Bool) {
            self.state = state
            self.index = index
            self.pinned = pinned
        }

        /// Whether the system started it.
        static func start(_ state: State, index: Int, pinned: Bool) -> Bool {
            let worker = Unmanaged.passRetained(Worker(state, index: index, pinned: pinned))
            let failure = atrous_start_thread(
                8 << 20, { Unmanaged<Worker>.fromOpaque($0!).takeRetainedValue().run() }, worker.toOpaque())
            if failure != 0 { worker.release() }
            return failure == 0
        }

        private func run() {
            if pinned { _ = atrous_pin_thread(Int32(index)) }
            state.work(index: index, spinBudget: ThreadPool.spinBudget)
            state.exited.add(1, ordering: .acquiringAndReleasing)
        }
    }

    deinit {
        state.stop.store(true, ordering: .releasing)
        state.wakeAll()
        while state.exited.load(ordering: .acquiring) < threads - 1 { sched_yield() }
    }

    /// Runs `body` with the calling thread bound to the process's first CPU. A thread that is started inside inherits that.
    public static func withPinnedCaller<T>(_ body: () throws -> T) rethrows -> T {
        _ = usableCPUs
        _ = atrous_pin_thread(0)
        defer { _ = atrous_unpin_thread() }
        return try body()
    }

    /// What the system calls the process's CPU number `cpu`; -1 where it does not tell.
    public static func systemNumber(ofCPU cpu: Int) -> Int { Int(atrous_system_cpu(Int32(cpu))) }

    /// Binds the calling thread to the process's CPU number `cpu` for good. Returns whether the system did.
    @discardableResult
    public static func pinCaller(to cpu: Int) -> Bool { atrous_pin_thread(Int32(cpu)) == 0 }

    /// Lets the calling thread run on every CPU of the process again.
    public static func unpinCaller() { _ = atrous_unpin_thread() }

    /// Runs `body(index)` once for every `index` in `0 ..< threads`, each on its own thread, and returns when all are
    /// done. `body(0)` runs on the calling thread.
    public func run(_ body: (_ index: Int) -> Void) {
        guard threads > 1 else { return body(0) }
        keep(body, in: state.job)
        state.remaining.store(threads - 1, ordering: .relaxed)
        state.epoch.add(1, ordering: .sequentiallyConsistent)
        if state.sleepers.load(ordering: .sequentiallyConsistent) > 0 { state.wakeAll() }
        body(0)
        while state.remaining.load(ordering: .acquiring) > 0 { atrous_spin_hint() }
    }

    /// Splits `0 ..< count` into `parts` of nearly equal length and returns part `index`.
    @inlinable
    public static func share(of count: Int, index: Int, parts: Int) -> Range<Int> {
        (count * index / parts)..<(count * (index + 1) / parts)
    }

    /// Sends the workers to sleep and returns when they are asleep.
    public func park() {
        state.parking.store(true, ordering: .releasing)
        while state.sleepers.load(ordering: .acquiring) < threads - 1 { sched_yield() }
        state.parking.store(false, ordering: .releasing)
    }

    /// What caller and workers share. The hot words lie 128 bytes apart (two lines: the adjacent-line prefetcher pairs
    /// them), so that polling one does not disturb another.
    private final class State: @unchecked Sendable {
        let epoch = Atomic<Int>(0)
        private let padding0: (SIMD16<Double>, SIMD16<Double>) = (.zero, .zero)
        let remaining = Atomic<Int>(0)
        private let padding1: (SIMD16<Double>, SIMD16<Double>) = (.zero, .zero)
        let sleepers = Atomic<Int>(0)
        let stop = Atomic<Bool>(false)
        let parking = Atomic<Bool>(false)
        let exited = Atomic<Int>(0)
        /// The job; written before `epoch` is raised and read after it is seen raised.
        let job = UnsafeMutablePointer<atrous_job>.allocate(capacity: 1)
        private let condition = NSCondition()

        deinit { job.deallocate() }

        func work(index: Int, spinBudget: Int) {
            var seen = 0
            while true {
                var polls = 0
                while epoch.load(ordering: .acquiring) == seen {
                    if stop.load(ordering: .relaxed) { return }
                    polls += 1
                    if polls > spinBudget || parking.load(ordering: .relaxed) {
                        sleep(while: seen)
                        polls = 0
                    }
                    atrous_spin_hint()
                }
                seen += 1
                atrous_call_job(job, index)
                remaining.subtract(1, ordering: .acquiringAndReleasing)
            }
        }

        /// Blocks while no fork has come. `sleepers` is raised before the epoch is read again, and the caller raises the
        /// epoch before it reads `sleepers`, both sequentially consistent, so one of the two sees the other.
        private func sleep(while seen: Int) {
            condition.lock()
            sleepers.add(1, ordering: .sequentiallyConsistent)
            while epoch.load(ordering: .sequentiallyConsistent) == seen && !stop.load(ordering: .relaxed) {
                condition.wait()
            }
            sleepers.subtract(1, ordering: .sequentiallyConsistent)
            condition.unlock()
        }

        func wakeAll() {
            condition.lock()
            condition.broadcast()
            condition.unlock()
        }
    }
}
