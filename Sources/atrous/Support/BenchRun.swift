import ConvCore
import Foundation
import Harness
import OptionParsing
import Results
import ThreadPool

/// Verifies and measures problems one after another and hands every row on as soon as it exists.
struct BenchRun {
    let session: Session
    let options: MeasurementOptions
    let kernels: KernelSelection
    let faults: Bool
    /// Candidates that take part besides those that the options choose.
    var extra: (_ problem: Problem, _ threads: Int) -> [Candidate] = { _, _ in [] }

    init(_ values: Values, session: Session, kernels: KernelSelection) throws {
        self.session = session
        self.kernels = kernels
        faults = values.flag("faults")
        options = MeasurementOptions(
            cache: .init(rawValue: values.string("cache") ?? "warm")!,
            minTime: try values.seconds("min-time", in: 0.0001...600) ?? 0.05,
            rounds: try values.int("rounds", in: 1...10_000) ?? 11, seed: session.seed, movesBytes: true)
    }

    /// The cases of each problem, as they would run.
    func cases(_ problem: Problem) -> [(threads: Int, candidates: [Candidate], unable: [(name: String, reason: String)])] {
        session.threads.map { threads in
            let (able, unable) = candidates(problem, threads: threads)
            return (threads, able, unable)
        }
    }

    func candidates(_ problem: Problem, threads: Int) -> (able: [Candidate], unable: [(name: String, reason: String)]) {
        let (able, unable) = kernels.candidates(for: problem, threads: threads)
        return (able + extra(problem, threads).filter { one in !able.contains { $0.name == one.name } }, unable)
    }

    /// Throws where the options leave no kernel for any of the problems.
    func requireCases(_ problems: [Problem], command: String) throws {
        guard problems.contains(where: { cases($0).contains { !$0.candidates.isEmpty || !$0.unable.isEmpty } }) else {
            throw KernelSelection.nothingLeft(command)
        }
    }

    /// Measures the machine, once per call of the command, and keeps the profile beside the results.
    func profile() -> MachineProfile {
        if !session.quiet { Console.note("measuring this machine's peaks") }
        let profile = MachineProfile.measure(probes: kernels.registry.probes, threads: session.threads)
        if !profile.scales {
            Console.warning(
                "the threads together stay below 80 % of their share of the FMA peak: something else uses this machine, and figures with several threads will mislead")
        }
        return profile
    }

    /// Calls `emit` for every row and `raw` for every measurement's samples. Returns whether all candidates passed.
    func run(
        _ problems: [Problem], machine: MachineProfile, emit: (ResultRow) throws -> Void,
        raw: (ResultRow, [Sample]) throws -> Void = { _, _ in }
    ) throws -> Bool {
        let progress = Progress(total: problems.count, quiet: session.quiet)
        defer { progress.finish() }
        let pools = session.threads.map { ThreadPool(threads: $0, pinned: true) }
        let throughput = Throughput(kernels.registry.probes, on: machine)
        var allPassed = true
        for (step, problem) in problems.enumerated() {
            progress.update(step: step, problem.description)
            let data = try ProblemData(problem, seed: session.seed)
            var cases: [Trial.Case] = []
            for pool in pools {
                let (able, unable) = candidates(problem, threads: pool.threads)
                cases += able.map { Trial.Case($0, on: pool) }
                for (name, reason) in unable where !session.quiet {
                    Console.note("skipped \(name) on \(problem): \(reason)")
                }
            }
            var clock = ClockWatch()
            let outcomes = try Trial(data, cases: cases).run(measuring: options, throughput: throughput) {
                clock.look()
                progress.update(step: step, fraction: $0, problem.description)
            }
            for (one, (candidate, outcome)) in zip(cases, outcomes) {
                let threads = one.pool.threads
                var row = session.row(candidate, problem, threads: threads, machine: machine, cache: options.cache)
                switch outcome {
                case .measured(let measurement):
                    row.fill(
                        measurement, roofline: Roofline(machine, threads: threads), cold: options.cache == .cold)
                    row.referenceNs = clock.medianNs
                    if row.disturbed! * 2 > measurement.samples.count, !session.quiet {
                        Console.warning(
                            "\(candidate.name) on \(problem): \(row.disturbed!) of \(measurement.samples.count) samples were disturbed; repeat on a quieter machine")
                    }
                    try raw(row, measurement.samples)
                case .failed(let fault):
                    allPassed = false
                    row.verdict = "FAILED"
                    let command = session.repeatCommand("verify", candidate, problem, threads: threads, faults: faults)
                    Console.error(
                        "FAILED \(candidate.name) on \(problem): \(fault); not timed; repeat with: \(command)")
                case .verified: break
                }
                try emit(row)
            }
        }
        return allPassed
    }
}

/// Where rows go: the CSV, the raw samples beside it, and memory.
final class ResultSink {
    private let appender: ResultAppender
    private let rawFile: LineWriter?
    private(set) var rows: [ResultRow] = []
    var path: String { appender.path }

    init(_ path: String, raw: String?) throws {
        appender = try ResultAppender(path)
        for warning in appender.warnings { Console.warning(warning) }
        rawFile = try raw.map { try LineWriter($0, header: "problem,kernel,config,threads,round,runs,ns,disturbed") }
    }

    func append(_ row: ResultRow) throws {
        try appender.append(row)
        rows.append(row)
    }

    func append(_ row: ResultRow, _ samples: [Sample]) throws {
        guard let rawFile else { return }
        let problem = row.problem.replacing("\"", with: "\"\"")
        try rawFile.append(samples.map { s in
            "\"\(problem)\",\(row.kernel),\(row.config),\(row.threads),\(s.round),\(s.runs),\(s.ns),\(s.disturbed ? 1 : 0)"
        })
    }
}
