import ConvCore
import Foundation
import Harness
import OptionParsing
import Regression
import ThreadPool

/// Head against base, case by case, in paired bursts of both builds; exit 1 on a regression, 3 where the machine was too noisy.
func runCheck(_ values: Values) throws -> ExitCode {
    let session = try Session(values)
    guard let baseText = values.string("base") else {
        throw UsageError("check: no base given; write for example --base main or --base path/to/an/older/atrous")
    }
    let base = try Build(baseText, flag: "--base")
    let head = try values.string("head").map { try Build($0, flag: "--head") } ?? .running
    let rule = try values.rule()
    let options = try values.launchOptions()
    let matrix = try CheckMatrix(values, base: base.path, head: head.path, session: session)
    for line in matrix.missing { if !session.quiet { Console.note(line) } }
    if values.flag("dry-run") {
        for one in matrix.cases { print("LISTED   \(one.name)") }
        return .fine
    }
    let progress = Progress(total: 1, quiet: session.quiet)
    let survey = try Survey(matrix.cases, base: base.path, head: head.path, options: options) {
        progress.update(step: 0, fraction: $0 * 0.1, "verifying both builds")
    }
    let copy = try base.copied()
    defer { unlink(copy) }
    let check = RegressionCheck(survey, base: base.path, head: head.path, copy: copy, rule: rule, options: options, seed: session.seed)
    check.progress = { launch, done, total in
        progress.update(step: 0, fraction: 0.1 + 0.9 * (1 - pow(0.7, Double(launch - 1) + Double(done) / Double(total))), "launch \(launch)")
    }
    let recorder = try values.string("record").map { try LaunchRecorder($0) }
    if let recorder { check.record = recorder.append }
    let outcome = try check.run()
    progress.finish()
    print(CheckReport.table(outcome))
    for line in CheckReport.lines(outcome, base: base.path, head: head.path) { print(line) }
    return switch outcome.verdict {
    case .fine: .fine
    case .regression: .failed
    case .undecided: .machine
    }
}

/// A build of this tool.
struct Build {
    let path: String

    /// The one that is running.
    static var running: Build { Build(path: "/proc/\(getpid())/exe") }

    private init(path: String) { self.path = path }

    init(_ text: String, flag: String) throws {
        guard access(text, X_OK) == 0, !text.isEmpty else {
            throw UsageError("\(flag) '\(text)' is no program; give the path of a build of atrous")
        }
        path = text.contains("/") ? text : "./" + text
    }

    /// A copy in other pages of the page cache, as another build would be.
    func copied() throws -> String {
        let target = "\(NSTemporaryDirectory())/atrous-copy-\(getpid())"
        unlink(target)
        do {
            try FileManager.default.copyItem(atPath: URL(fileURLWithPath: path).resolvingSymlinksInPath().path, toPath: target)
        } catch {
            throw UsageError("\(path) cannot be copied to \(target)")
        }
        return target
    }
}

/// The cases that both builds have, as the options select them.
struct CheckMatrix {
    var cases: [CheckCase] = []
    /// What one of the builds lacks, a line each.
    var missing: [String] = []

    init(_ values: Values, base: String, head: String, session: Session) throws {
        let selection = try ProblemSelection.nonEmpty(values, command: "check")
        let patterns = try values.strings("kernel").map { try Pattern($0, flag: "--kernel")! }
        let (a, b) = (try WorkerProcess(base), try WorkerProcess(head))
        defer { a.stop(); b.stop() }
        if a.level != b.level {
            throw UsageError("base runs at \(a.level), head at \(b.level); set ATROUS_ISA to the lower of the two")
        }
        let cache = MachineProfile.cacheLevels().first { $0.level == 2 }?.bytes ?? 1 << 20
        for threads in session.threads {
            for problem in selection.problems {
                func wanted(_ name: String) -> Bool {
                    // Library and textbook kernels are not what a change to this project makes slower.
                    patterns.isEmpty
                        ? !name.contains("-naive-") && !name.contains("-im2col-")
                        : patterns.contains { $0.matches(name) }
                }
                let ofBase = try Survey.candidates(problem, threads: threads, a).filter(wanted)
                let ofHead = try Survey.candidates(problem, threads: threads, b).filter(wanted)
                let known = Set(ofHead.map(Self.kernel))
                for name in ofBase where known.contains(Self.kernel(name)) {
                    cases.append(CheckCase(problem, candidate: name, threads: threads, privateCacheBytes: cache))
                }
                let place = "\(problem.name ?? problem.text), \(threads) thread\(threads == 1 ? "" : "s")"
                missing += ofBase.filter { !known.contains(Self.kernel($0)) }.map { "only base has \($0) on \(place)" }
                let old = Set(ofBase.map(Self.kernel))
                missing += ofHead.filter { !old.contains(Self.kernel($0)) }.map { "only head has \($0) on \(place)" }
            }
        }
        guard !cases.isEmpty else {
            throw UsageError("check: no case is left that both builds have; loosen --kernel, --filter or --threads")
        }
    }

    private static func kernel(_ candidate: String) -> Substring { candidate.prefix { $0 != "@" } }
}

extension Values {
    /// `3%` or `0.03`
    func rule() throws -> DecisionRule {
        guard let text = string("threshold") else { return DecisionRule() }
        let percent = text.hasSuffix("%")
        guard let number = Double(text.dropLast(percent ? 1 : 0)), number.isFinite else {
            throw UsageError("--threshold '\(text)' is no share; write for example 3%")
        }
        let share = percent ? number / 100 : number
        guard (0.002...1).contains(share) else { throw UsageError("--threshold \(text) is outside 0.2% … 100%") }
        return DecisionRule(threshold: share)
    }

    func launchOptions() throws -> LaunchOptions {
        var options = LaunchOptions()
        if let rounds = try int("rounds", in: 3...1000) { options.rounds = rounds }
        if let seconds = try seconds("burst", in: 0.0001...1) { options.burstNs = seconds * 1e9 }
        if let pairing = string("pairing").flatMap(Pairing.init) { options.pairing = pairing }
        if let patience = try seconds("patience", in: 1...3600) { options.patience = patience }
        return options
    }
}
