import ConvCore
import Foundation
import Harness
import OptionParsing
import Regression
import Results
import ThreadPool

/// This build against the rows of a file that `bench` wrote another day; see ``FileComparison``.
func checkAgainstFile(_ path: String, _ values: Values, _ files: CheckFiles, session: Session) throws -> ExitCode {
    let contents = try ResultFile.readFolder(path)
    for warning in contents.warnings { Console.warning(warning) }
    let kernels = try KernelSelection(values, everyLevel: false)
    let selection = try ProblemSelection.nonEmpty(values, command: "check")
    let machine = MachineProfile.unmeasured(kernels.registry)
    let rows = contents.rows.filter { $0.cache == "warm" && $0.machine == machine.slug }
    if rows.isEmpty { throw UsageError("--base \(path): no row is of this machine (\(machine.slug)); `atrous bench --out \(path)` measures it") }
    var comparison = FileComparison(StoredTimes(rows), threshold: try values.rule().threshold, seed: session.seed)
    let matrix = try FileMatrix(selection.problems, threads: session.threads, kernels, comparison.stored, values)
    comparison.missing = matrix.missing
    guard !matrix.parts.isEmpty else {
        throw UsageError("check: \(path) holds no case of these problems with its naive kernel beside it; run `atrous bench` on them first")
    }
    if values.flag("dry-run") {
        for part in matrix.parts {
            for one in part.cases { print("LISTED   \(CheckCase(part.problem, candidate: one.candidate.name, threads: one.pool.threads).name)") }
        }
        return .fine
    }
    let progress = Progress(total: matrix.parts.count, quiet: session.quiet)
    for (step, part) in matrix.parts.enumerated() {
        progress.update(step: step, part.problem.description)
        try comparison.compare(part.problem, naive: part.naive, part.cases, alone: matrix.alone)
    }
    progress.finish()
    return files.publish(comparison.report(build: Build.running.path), base: path, head: Build.running.name)
}

/// The stored cases that this build has, problem by problem.
private struct FileMatrix {
    var parts: [(problem: Problem, naive: Kernel, cases: [Trial.Case])] = []
    var missing: [CheckOutcome.Missing] = []
    let alone: ThreadPool

    init(_ problems: [Problem], threads: [Int], _ kernels: KernelSelection, _ stored: StoredTimes, _ values: Values) throws {
        let patterns = try values.strings("kernel").map { try Pattern($0, flag: "--kernel")! }
        let pools = threads.map { ThreadPool(threads: $0, pinned: true) }
        alone = pools.first { $0.threads == 1 } ?? ThreadPool(threads: 1)
        for problem in problems {
            guard let naive = kernels.registry.kernels.first(where: { $0.layer == problem.layer && $0.family == .naive }) else { continue }
            var cases: [Trial.Case] = []
            for pool in pools {
                cases += kernels.candidates(for: problem, threads: pool.threads).able
                    .filter { $0.kernel.family != .naive && stored.newest(problem, $0.name, threads: pool.threads) != nil }
                    .map { Trial.Case($0, on: pool) }
                let gone = stored.candidates(problem, threads: pool.threads).filter { candidate in
                    kernels.lacks(String(candidate.prefix { $0 != "@" })) && (patterns.isEmpty || patterns.contains { $0.matches(candidate) })
                }
                missing += gone.map {
                    let one = CheckCase(problem, candidate: $0, threads: pool.threads)
                    return .init(layer: problem.layer.rawValue, name: one.name, has: .base, text: "only the file has \(one.name)")
                }
            }
            if !cases.isEmpty { parts.append((problem, naive, cases)) }
        }
    }
}
