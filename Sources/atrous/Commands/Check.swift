import ConvCore
import Foundation
import Harness
import OptionParsing
import Regression

/// Head against base, case by case; exit 1 on a regression, 3 where the machine was too noisy to say.
func runCheck(_ values: Values) throws -> ExitCode {
    Leftovers.remove()
    let session = try Session(values)
    guard let text = values.string("base") else {
        throw UsageError("check: no base given; write for example --base main, --base path/to/an/older/atrous or --base results/machine/bench.csv")
    }
    let way: Way = text.hasSuffix(".csv") ? .file : values.string("counter") == "instructions" ? .instructions : .times
    for (flag, reason) in way.unused where values.flag(flag) { throw UsageError("check: --\(flag) \(reason); leave it out") }
    let files = try CheckFiles(values)
    if way == .file { return try checkAgainstFile(text, values, files, session: session) }
    if way == .instructions { try InstructionCounter.capLevel() }
    let cache = values.string("builds")
    let plans = try values.plannedBlocks(threads: session.threads)
    let base = try Build(text, flag: "--base", cache: cache, quiet: session.quiet)
    let head = try values.string("head").map { try Build($0, flag: "--head", cache: cache, quiet: session.quiet) } ?? .running
    // Whatever base is: a head that does not even start has failed.
    do {
        if let error = WorkerProcess.crash(of: head.path) { throw SideError(.head, error) }
        return try compare(values, way, files, session: session, base: base, head: head, plans)
    } catch let error as SideError where error.isHeadsEnd {
        return files.publish(CheckReport(error, head: head.path), base: base.name, head: head.name)
    }
}

/// Two builds of which both have started. Throws ``SideError`` where one of them fails outside any case.
private func compare(
    _ values: Values, _ way: Way, _ files: CheckFiles, session: Session, base: Build, head: Build, _ plans: [PlanCheck.Block]
) throws -> ExitCode {
    let stored = try StoredPicks(values)
    let matrix = try CheckMatrix(values, command: "check", base: base.path, head: head.path, session: session, stored: stored)
    if values.flag("dry-run") {
        for one in matrix.cases { print("LISTED   \(one.name)") }
        for block in plans { print("LISTED   plan of \(block.title)") }
        return .fine
    }
    return way == .instructions
        ? try checkInstructions(values, files, session: session, base: base, head: head, matrix)
        : try checkTimes(values, files, session: session, base: base, head: head, matrix, stored, plans)
}

/// What is compared.
private enum Way {
    case times, instructions, file

    /// Options that it has no use for, with the reason: who gives one waits for a file that is never written, or believes in a
    /// measurement that was not made.
    var unused: [(flag: String, reason: String)] {
        let ofTimes = ["json", "history", "record", "plans", "launches", "rounds", "burst", "pairing", "results", "most-steal"]
        switch self {
        case .times: return []
        case .instructions: return (ofTimes + ["store"]).map { ($0, "is for times, and --counter instructions takes none") }
        case .file:
            return [("head", "has no place beside a CSV as --base: the build that runs is the head")]
                + (ofTimes + ["counter", "store", "patience", "builds"]).map { ($0, "needs two builds, and --base is a CSV") }
        }
    }
}

private func checkTimes(
    _ values: Values, _ files: CheckFiles, session: Session, base: Build, head: Build, _ matrix: CheckMatrix, _ stored: StoredPicks,
    _ plans: [PlanCheck.Block]
) throws -> ExitCode {
    let rule = try values.rule()
    let options = try values.launchOptions()
    // Before minutes of measuring.
    let recorder = try values.string("record").map { try LaunchRecorder($0) }
    let progress = Progress(total: 1, quiet: session.quiet)
    let survey = try Survey(matrix.cases, base: base.path, head: head.path, options: options) {
        progress.update(step: 0, fraction: $0 * 0.1, "verifying both builds")
    }
    let check = RegressionCheck(survey, base: base.path, head: head.path, rule: rule, options: options, seed: session.seed)
    check.progress = { launch, done, total in
        // Most cases are done after two launches.
        let through = 1 - pow(0.4, Double(launch - 1) + Double(done) / Double(total))
        progress.update(step: 0, fraction: 0.1 + 0.9 * through, "launch \(launch)")
    }
    if let recorder { check.record = recorder.append }
    var outcome = try check.run()
    outcome.missing = matrix.missing
    // A head that is no more plans no block.
    outcome.plans = outcome.end != nil ? [] : PlanCheck.run(plans, base: base.path, head: head.path) { progress.update(step: 0, fraction: 0.99, "planning \(plans[$0].name)") }
    progress.finish()
    outcome.stale = stored.judged(outcome)
    return files.publish(outcome.report, base: base.name, head: head.name, times: .init(outcome: outcome, base: base, head: head))
}

extension Values {
    /// The blocks of `--plans`, each with every thread count.
    fileprivate func plannedBlocks(threads: [Int]) throws -> [PlanCheck.Block] {
        try (string("plans") ?? "").split(separator: ",").flatMap { name in
            let block = try BlockSelection(String(name), self)
            return threads.map {
                PlanCheck.Block(String(name), size: block.size.description, activation: string("activation") ?? "", threads: $0)
            }
        }
    }

    /// `3%` or `0.03`
    private func share(_ name: String, from least: Double) throws -> Double? {
        guard let text = string(name) else { return nil }
        let percent = text.hasSuffix("%")
        guard let number = Double(text.dropLast(percent ? 1 : 0)), number.isFinite else {
            throw UsageError("--\(name) '\(text)' is no share; write for example 3%")
        }
        // One who writes 1 may mean 1 %.
        if !percent, number >= 1 { throw UsageError("--\(name) \(text): a share below 1, or a percentage; write for example \(text)%") }
        let share = percent ? number / 100 : number
        guard (least...1).contains(share) else { throw UsageError("--\(name) \(text) is outside \(least == 0 ? "0%" : "0.2%") … 100%") }
        return share
    }

    func rule() throws -> DecisionRule {
        var rule = DecisionRule(threshold: try share("threshold", from: 0.002) ?? 0.03)
        if let share = try share("most-steal", from: 0) { rule.mostSteal = share }
        if let launches = try int("launches", in: 12...1000) { rule.fewestConfirming = launches }
        return rule
    }

    func patience() throws -> Double? { try seconds("patience", in: 1...3600) }

    func launchOptions() throws -> LaunchOptions {
        var options = LaunchOptions()
        if let rounds = try int("rounds", in: LaunchOptions.roundsRange) { options.rounds = rounds }
        if let seconds = try seconds("burst", in: 0.0001...1) { options.burstNs = seconds * 1e9 }
        options.pairing = string("pairing").flatMap(Pairing.init) ?? NoiseFile(MachineFolder.path("noise.json", in: string("results") ?? "results")).bestPairing
        if let patience = try patience() { options.patience = patience }
        // Who allows all of it wants a verdict whatever the hypervisor does: no round is dropped for it either.
        if try share("most-steal", from: 0) == 1 { options.stealTicks = { 0 } }
        return options
    }
}
