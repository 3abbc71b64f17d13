import ConvCore
import Harness
import OptionParsing
import ThreadPool

/// A line per case, a summary last; exit 1 on a mismatch.
func runVerify(_ values: Values) throws -> ExitCode {
    let files = values.strings("block").filter(ParameterFile.isMeant)
    if !files.isEmpty {
        guard files.count == values.strings("block").count else {
            throw UsageError("--block: give either files of parameters (.safetensors) or blocks whose layers are verified")
        }
        try BlockVerification.refuseOthers(values)
    }
    let kernels = try KernelSelection(values, everyLevel: true)
    let session = try Session(values)
    if !files.isEmpty { return try verifyBlocks(files, values, session: session, kernels: kernels) }
    try values.refuse(["plan"], for: "verify without --block F.safetensors", why: "a plan is a whole block's")
    let selection = try ProblemSelection.nonEmpty(values, command: "verify")
    for line in selection.skipped { print("SKIPPED  \(line)") }
    var tally = Tally(skipped: selection.skipped.count)
    let progress = Progress(total: selection.problems.count, quiet: session.quiet || values.flag("dry-run"))
    let pools = session.threads.map { ThreadPool(threads: $0) }
    for (step, problem) in selection.problems.enumerated() {
        progress.update(step: step, problem.description)
        let data = try values.flag("dry-run") ? nil : ProblemData(problem, seed: session.seed)
        for pool in pools {
            let (able, unable) = kernels.candidates(for: problem, threads: pool.threads)
            for (name, reason) in unable {
                print("SKIPPED  \(problem)  \(name)  threads \(pool.threads)  \(reason)")
                tally.skipped += 1
            }
            guard let data else {
                for candidate in able { print("LISTED   \(problem)  \(candidate.name)  threads \(pool.threads)") }
                continue
            }
            for (candidate, outcome) in try Trial(data, candidates: able, pool: pool).run(measuring: nil) {
                let name = "\(problem)  \(candidate.name)  threads \(pool.threads)"
                switch outcome {
                case .failed(let fault):
                    let command = session.repeatCommand(
                        "verify", candidate, problem, threads: pool.threads, faults: values.flag("faults"))
                    print("FAILED   \(name)  \(fault); repeat with: \(command)")
                    tally.failed += 1
                case .measured(let measurement):
                    fatalError("measured without being asked: \(measurement.verified.candidate.name)")
                case .verified(let verified):
                    print("PASSED   \(name)  max error \(Float(verified.maxError))")
                    tally.passed += 1
                }
            }
        }
    }
    progress.finish()
    if values.flag("dry-run") { return .fine }
    guard tally.passed + tally.failed + tally.skipped > 0 else { throw KernelSelection.nothingLeft("verify") }
    print("verified \(selection.problems.count) problems: \(tally.passed) passed, \(tally.failed) failed, \(tally.skipped) skipped")
    return tally.failed == 0 ? .fine : .failed
}

/// Whole blocks against the activations that their files hold.
private func verifyBlocks(
    _ files: [String], _ values: Values, session: Session, kernels: KernelSelection
) throws -> ExitCode {
    var verification = try BlockVerification(values, session: session, kernels: kernels)
    let progress = Progress(total: files.count, quiet: session.quiet)
    for (step, file) in files.enumerated() {
        progress.update(step: step, file)
        try verification.verify(file)
    }
    progress.finish()
    if values.flag("dry-run") { return .fine }
    print("verified \(files.count) blocks: \(verification.passed) passed, \(verification.failed) failed" + (verification.skipped > 0 ? ", \(verification.skipped) skipped" : ""))
    return verification.failed == 0 ? .fine : .failed
}

private struct Tally {
    var passed = 0
    var failed = 0
    var skipped = 0
    init(skipped: Int) { self.skipped = skipped }
}
