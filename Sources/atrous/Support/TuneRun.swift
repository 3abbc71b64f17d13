import ConvCore
import Foundation
import Harness
import OptionParsing
import Results
import ThreadPool
import Tuning

/// Tunes cases one after another within the budget.
struct TuneRun {
    let session: Session
    let kernels: KernelSelection
    let machine: MachineProfile
    let store: TuningStore
    let tuner: Tuner
    /// Seconds for all cases together; nil for no limit.
    let budget: Double?
    let trace: TraceFile?

    /// A case that was decided, or why not.
    struct Result {
        let outcome: Tuner.Outcome
        let seconds: Double
    }

    /// Calls `each` with every case's result. Returns whether no candidate was wrong, and the cases that the budget did not reach.
    func run(_ cases: [TuningCase], each: (Result) -> Void) throws -> (passed: Bool, left: [TuningCase]) {
        let progress = Progress(total: cases.count, quiet: session.quiet)
        defer { progress.finish() }
        var pools: [Int: ThreadPool] = [:]
        let start = Clock.now()
        var passed = true
        for (step, subject) in cases.enumerated() {
            var deadline: UInt64?
            if let budget {
                let gone = Double(Clock.now() - start) / 1e9
                guard gone < budget else { return (passed, Array(cases[step...])) }
                // What a case leaves goes to the later ones.
                deadline = Clock.now() + UInt64((budget - gone) / Double(cases.count - step) * 1e9)
            }
            let pool = pools[subject.threads] ?? ThreadPool(threads: subject.threads, pinned: true)
            pools[subject.threads] = pool
            let label = subject.problem.label
            progress.update(step: step, label)
            let began = Clock.now()
            let outcome = try tuner.tune(subject, pool: pool, deadline: deadline) { now in
                progress.update(
                    step: step, fraction: Double(now.evaluations) / Double(max(1, now.evaluations + now.left)),
                    "\(label): \(now.best) \(Format.ms(now.bestNs)) ms, \(now.left) left")
                try trace?.append(subject, now)
            }
            pool.park()
            for (candidate, fault) in outcome.faults {
                passed = false
                let command = session.repeatCommand("verify", candidate, subject.problem, threads: subject.threads, faults: candidate.kernel.isa == "fault")
                Console.error("FAILED \(candidate.name) on \(subject.problem): \(fault); not timed; repeat with: \(command)")
            }
            each(Result(outcome: outcome, seconds: Double(Clock.now() - began) / 1e9))
        }
        return (passed, [])
    }
}

/// One line per measured block of a search: how its best developed.
final class TraceFile {
    private let file: LineWriter
    private let strategy: String

    init(_ path: String, strategy: String) throws {
        self.strategy = strategy
        file = try LineWriter(path, header: "problem,threads,cache,strategy,evaluations,spent_ns,best,best_ns")
    }

    func append(_ subject: TuningCase, _ step: Tuner.Step) throws {
        let fields = [
            subject.problem.text, "\(subject.threads)", subject.regime.rawValue, strategy, "\(step.evaluations)",
            String(format: "%.0f", step.spentNs), step.best, String(format: "%.1f", step.bestNs),
        ]
        try file.append(fields: fields)
    }
}
