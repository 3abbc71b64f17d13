import Foundation
import OptionParsing
import Regression

/// Instruction counts of both builds under callgrind, which repeat exactly.
func checkInstructions(
    _ values: Values, _ files: CheckFiles, session: Session, base: Build, head: Build, _ matrix: CheckMatrix
) throws -> ExitCode {
    guard matrix.cases.contains(where: { $0.threads == 1 }) else { throw UsageError("check: --counter instructions counts one thread; write --threads 1") }
    let threshold = values.string("threshold") == nil ? InstructionComparison.standardThreshold : try values.rule().threshold
    let progress = Progress(total: matrix.cases.count, quiet: session.quiet)
    var comparison = try InstructionComparison(
        matrix.cases, base: base.path, head: head.path, threshold: threshold, patience: try values.patience()
    ) { progress.update(step: $0, $1.name) }
    progress.finish()
    comparison.missing = matrix.missing
    return files.publish(comparison.report, base: base.name, head: head.name)
}

extension InstructionCounter {
    /// Valgrind knows no AVX-512. Before any worker starts: all of them run at the level that is counted.
    static func capLevel() throws {
        guard isAvailable else { throw Failure.noValgrind }
        let level = ProcessInfo.processInfo.environment["ATROUS_ISA"] ?? ""
        if !["baseline", "v3"].contains(level) { setenv("ATROUS_ISA", "v3", 1) }
    }
}
