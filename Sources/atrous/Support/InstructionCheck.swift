import Foundation
import OptionParsing
import Regression

/// Instruction counts of both builds under callgrind, one case after another.
struct InstructionCheck {
    private let base, head: Build
    private let threshold: Double
    private let quiet: Bool

    /// Counts repeat exactly; what is left is that a branch may depend on a pointer's alignment.
    private static let standardThreshold = 0.005

    init(_ values: Values, session: Session, base: Build, head: Build) throws {
        self.base = base
        self.head = head
        threshold = values.string("threshold") == nil ? Self.standardThreshold : try values.rule().threshold
        quiet = session.quiet
    }

    /// Valgrind knows no AVX-512.
    static func capLevel() throws {
        guard InstructionCounter.isAvailable else { throw InstructionCounter.Failure.noValgrind }
        let level = ProcessInfo.processInfo.environment["ATROUS_ISA"] ?? ""
        if !["baseline", "v3"].contains(level) { setenv("ATROUS_ISA", "v3", 1) }
    }

    func run(_ cases: [CheckCase]) throws -> ExitCode {
        let cases = cases.filter { $0.threads == 1 }
        guard !cases.isEmpty else { throw UsageError("check: --counter instructions counts one thread; write --threads 1") }
        let (a, b) = (try InstructionCounter(base.path), try InstructionCounter(head.path))
        defer { a.stop(); b.stop() }
        let progress = Progress(total: cases.count, quiet: quiet)
        var rows: [[String]] = []
        var failed: [String] = []
        var worse = 0
        for (id, one) in cases.enumerated() {
            progress.update(step: id, one.name)
            do {
                let (old, new) = (try a.count(one, .base, id: id), try b.count(one, .head, id: id))
                let change = new / old - 1
                if change >= threshold { worse += 1 }
                let word = change >= threshold ? "MORE" : change <= -threshold ? "fewer" : "fine"
                rows.append([one.problem.layer.rawValue, one.problem.name ?? one.problem.text, one.title, Self.number(old), Self.number(new), String(format: "%+.2f %%", change * 100), word])
            } catch let error as WorkerError {
                guard case .refused = error else {
                    throw error
                }
                failed.append("left out \(one.name): \(error)")
            }
        }
        progress.finish()
        print(Console.table(["layer", "problem", "kernel", "base instructions", "head instructions", "change", "verdict"], rows, right: [3, 4, 5]))
        for line in failed { print(line) }
        print(worse == 0 ? "fine: no case runs \(Self.percent(threshold)) or more instructions more (\(rows.count) cases)" : "REGRESSION: \(worse) cases run \(Self.percent(threshold)) or more instructions more")
        return worse == 0 ? .fine : .failed
    }

    private static func number(_ x: Double) -> String { String(format: "%.0f", x) }
    private static func percent(_ x: Double) -> String { String(format: "%.1f %%", x * 100) }
}
