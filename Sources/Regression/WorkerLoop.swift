import CWorker
import ConvCore
import Foundation
import Harness
import ThreadPool

/// The worker's side of ``WorkerProtocol``: opens cases, verifies them, and times bursts of them in pages that the driver
/// shares with another build. It sleeps between commands.
public final class WorkerLoop {
    /// What the build can run; handed in, so that a test can hand in something else.
    public struct Kernels {
        public var level: String
        /// Of a problem, with so many threads, at their standard configurations.
        public var candidates: (Problem, Int) -> [Candidate]
        public var named: (String) throws -> Candidate
        /// Plans a block and runs it.
        public var plan: (PlanCheck.Block) throws -> PlanPrediction

        public init(
            level: String, candidates: @escaping (Problem, Int) -> [Candidate],
            named: @escaping (String) throws -> Candidate, plan: @escaping (PlanCheck.Block) throws -> PlanPrediction
        ) {
            self.level = level
            self.candidates = candidates
            self.named = named
            self.plan = plan
        }
    }

    private struct Case {
        let problem: Problem
        let trial: Trial.Case
    }
    private struct Place {
        let memory: SharedMemory
        var entered: (one: Case, arena: Arena)?
    }

    private let kernels: Kernels
    private var cases: [Int: Case] = [:]
    private var places: [Int: Place] = [:]
    private var pools: [Int: ThreadPool] = [:]

    /// A burst begins with runs for so long: the code and the branches of this process, which the other one has replaced.
    private static let warmUpNs: UInt64 = 100_000

    public init(_ kernels: Kernels) { self.kernels = kernels }

    /// Answers until `next` gives no more lines.
    public func run(next: () -> String?, answer: (String) -> Void) {
        // A driver that is killed while a worker is at a long run takes it along.
        _ = atrous_die_with_parent()
        answer(WorkerProtocol.line([WorkerProtocol.greeting, "\(WorkerProtocol.version)", kernels.level, "\(harnessVersion)"]))
        while let line = next() {
            let fields = WorkerProtocol.fields(line)
            do {
                answer(WorkerProtocol.line(try reply(fields)))
            } catch {
                answer(WorkerProtocol.line(["error", WorkerProtocol.field("\(error)")]))
            }
        }
    }

    private func reply(_ f: [String]) throws -> [String] {
        func text(_ i: Int) throws -> String { if i < f.count { f[i] } else { throw WorkerError.badCommand(f.joined(separator: " ")) } }
        func int(_ i: Int) throws -> Int {
            guard let value = Int(try text(i)), value >= 0 else { throw WorkerError.badCommand(f.joined(separator: " ")) }
            return value
        }
        switch try text(0) {
        case "cases":
            return ["cases"] + kernels.candidates(try Problem(parsing: text(2)), try int(1)).map(\.name)
        case "open":
            let one = Case(
                problem: try Problem(parsing: text(4)),
                trial: Trial.Case(try kernels.named(text(3)), on: pool(try int(2))))
            let (kernel, configuration) = (one.trial.candidate.kernel, one.trial.candidate.configuration)
            if case .no(let reason) = kernel.supports(one.problem) { throw WorkerError.unsupported(kernel.name, reason: reason) }
            cases[try int(1)] = one
            let memory = kernel.memory(one.problem, configuration, one.trial.pool.threads)
            return ["opened", "\(Arena.bytes(one.problem, cases: [one.trial]))", "\(memory.packed)", "\(memory.scratch)"]
        case "verify":
            let one = try opened(int(1))
            let outcome = try Trial(ProblemData(one.problem, seed: 1), cases: [one.trial]).run(measuring: nil)[0].outcome
            one.trial.pool.park()
            switch outcome {
            case .verified(let verified): return ["verified", "\(verified.maxError)"]
            case .measured(let measurement): return ["verified", "\(measurement.verified.maxError)"]
            case .failed(let fault): return ["fault", WorkerProtocol.field("\(fault)")]
            }
        case "place":
            guard let address = UInt(try text(2), radix: 16) else { throw WorkerError.badCommand(f.joined(separator: " ")) }
            let index = try int(1)
            places[index] = nil
            places[index] = Place(
                memory: try SharedMemory(opening: text(4), bytes: int(3), at: address), entered: nil)
            return ["placed"]
        case "enter":
            let one = try opened(int(1))
            guard let place = places[try int(2)], SharedMemory.stackBytes + Arena.bytes(one.problem, cases: [one.trial]) <= place.memory.bytes else {
                throw WorkerError.badCommand(f.joined(separator: " "))
            }
            let arena = Arena(borrowing: place.memory.start + SharedMemory.stackBytes, one.problem, cases: [one.trial])
            fill(arena, one.problem)
            places[try int(2)]!.entered = (one, arena)
            return ["entered"]
        case "burst":
            guard let place = places[try int(2)], let entered = place.entered else {
                throw WorkerError.badCommand(f.joined(separator: " "))
            }
            let (runs, cpu, shift) = (max(1, try int(1)), try int(3), try int(4) % 4096 / 16 * 16)
            return try onStack(of: place.memory, shift: shift) {
                self.burst(entered.one, entered.arena, runs: runs, cpu: cpu)
            }.fields
        case "plan":
            let prediction = try kernels.plan(PlanCheck.Block(text(4), size: text(2), activation: text(3), threads: int(1)))
            return ["planned", "\(prediction.predictedNs)", "\(prediction.measuredNs)"]
        default: throw WorkerError.badCommand(f.joined(separator: " "))
        }
    }

    private func opened(_ id: Int) throws -> Case {
        guard let one = cases[id] else { throw WorkerError.badCommand("no case \(id) is open") }
        return one
    }

    private func pool(_ threads: Int) -> ThreadPool {
        if let pool = pools[threads] { return pool }
        let pool = ThreadPool(threads: threads, pinned: true)
        pool.park()
        pools[threads] = pool
        return pool
    }

    /// The same values in both builds, whatever the layout: they do not matter for the time.
    private func fill(_ arena: Arena, _ p: Problem) {
        var random = RandomSource(seed: 1)
        for (region, count) in [(Arena.Region.src, p.srcCount), (.weights, p.weightCount), (.bias, p.biasCount)] {
            let floats = arena.floats(region)
            for i in 0..<count { floats[i] = random.nextReal() }
        }
    }

    /// Runs `body` on the stack in the shared pages. A kernel's spills and its buffers get in each other's way or not, and that
    /// hangs on their addresses modulo a page and on their physical pages: with stacks of their own two equal workers differed by
    /// up to 10 %, and by other amounts in each new arena.
    private func onStack(of memory: SharedMemory, shift: Int, _ body: () -> Burst) throws -> Burst {
        var result: Burst?
        var error: Int32 = 0
        withoutActuallyEscaping({ result = body() }) { escaping in
            var job: () -> Void = escaping
            withUnsafeMutablePointer(to: &job) { pointer in
                error = atrous_run_on_stack(
                    memory.start, UInt(SharedMemory.stackBytes - shift),
                    { $0!.assumingMemoryBound(to: (() -> Void).self).pointee() }, pointer)
            }
        }
        guard let result else { throw WorkerError.noMemory("no thread on the shared stack (\(String(cString: strerror(error))))") }
        return result
    }

    /// Planning comes before every burst, since the other build has packed its own weights into the same pages meanwhile.
    /// With several threads the pool holds worker `i` on CPU `i`, and this thread is bound to CPU 0.
    private func burst(_ one: Case, _ arena: Arena, runs: Int, cpu wanted: Int) -> Burst {
        let target = one.trial.pool.threads > 1 ? 0 : wanted
        ThreadPool.pinCaller(to: target)
        let plan = one.trial.candidate.plan(one.problem, arena: arena, pool: one.trial.pool)
        let (src, dst) = (UnsafePointer(arena.floats(.src)), arena.floats(.dst))
        let before = ReferenceLoops()
        let warmStart = Clock.now()
        repeat { plan.run(src, dst) } while Clock.now() - warmStart < Self.warmUpNs
        let switches = ThreadPool.forcedSwitches
        let start = Clock.now()
        measuredBurst(plan, src, dst, runs)
        let ns = Clock.now() - start
        let switched = ThreadPool.forcedSwitches - switches
        let after = ReferenceLoops()
        one.trial.pool.park()
        return Burst(
            ns: Double(max(ns, 1)), switches: switched, chainNs: max(before.chainNs, after.chainNs),
            wideNs: max(before.wideNs, after.wideNs))
    }
}

/// What is timed, under a name that an instruction counter finds.
@_silgen_name("atrous_measured_burst") @inline(never)
func measuredBurst(_ plan: Kernel.Plan, _ src: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>, _ runs: Int) {
    for _ in 0..<runs { plan.run(src, dst) }
}
