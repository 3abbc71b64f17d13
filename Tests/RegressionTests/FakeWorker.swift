import ConvCore
import Foundation
import Regression

/// Workers that make their times up: shell scripts that speak the protocol, so that a test knows what a check should say.
struct FakeWorker {
    enum Fault: String {
        case none = ":"
        case dies = "exit 3"
        case hangs = "sleep 60"
        case lies = "echo 'burst\tsoon'; continue"
    }

    let path: String

    /// `ns`: of one run, by candidate; others take 1000. `chain`: of the loop that tells the clock. `fault` strikes in bursts of `faulty`, once launches have begun. `starts`: how often
    /// it comes to its greeting, and crashes from then on. `place`: what it does when it is to map pages. `harness`: the version that it says it measures by.
    init(_ name: String, ns: [String: Int] = [:], fault: Fault = .none, faulty: String = "dw-bad", missing: String = "", chain: Int = 1000, version: Int = 1, plan: String = "error\\tno such command",
        starts: Int? = nil, place: String = "echo placed", harness: Int? = nil
    ) throws {
        let counter = "\(try Self.folder())/\(name).starts"
        try? FileManager.default.removeItem(atPath: counter)
        let count = starts.map { "echo >>'\(counter)'; [ $(wc -l <'\(counter)') -le \($0) ] || kill -SEGV $$" } ?? ":"
        let greeting = harness.map { "\\t\($0)" } ?? ""
        let times = ns.map { "            \($0.key)) ns=\($0.value) ;;\n" }.joined()
        let text = """
            #!/bin/bash
            declare -A names
            launched=0
            \(count)
            printf 'atrous-worker\\t\(version)\\tv3\(greeting)\\n'
            while IFS=$'\\t' read -r command a b c d; do
                case $command in
                open) if [ "$c" = '\(missing)' ]; then printf 'error\\tno kernel %s\\n' "$c"; else names[$a]=$c; printf 'opened\\t4096\\t0\\t64\\n'; fi ;;
                verify) printf 'verified\\t0.001\\n' ;;
                place) \(place) ;;
                enter) current=${names[$a]}; [ "$b" -gt 0 ] && launched=1; echo entered ;;
                burst)
                    ns=1000
                    case $current in
            \(times)            '\(faulty)') if [ $launched = 1 ]; then \(fault.rawValue); fi ;;
                    esac
                    printf 'burst\\t%s\\t0\\t\(chain)\\t500\\n' $((a * ns)) ;;
                plan) printf '\(plan)\\n' ;;
                *) printf 'error\\tnot understood\\n' ;;
                esac
            done
            """
        try self.init(script: name, text)
    }

    init(script name: String, _ text: String) throws {
        path = "\(try Self.folder())/\(name)"
        try Data((text.hasPrefix("#!") ? text : "#!/bin/bash\n" + text).utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
    }

    private static func folder() throws -> String {
        let folder = "\(NSTemporaryDirectory())/atrous-fake-\(ProcessInfo.processInfo.processIdentifier)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return folder
    }

    /// Few rounds, and no hypervisor that takes time: the workers' times are made up.
    static var options: LaunchOptions {
        var options = LaunchOptions()
        options.rounds = 4
        options.patience = 1
        options.stealTicks = { 0 }
        return options
    }

    /// A check of `head` against `base` on cases of those candidates.
    static func check(
        base: FakeWorker, head: FakeWorker, candidates: [String], options: LaunchOptions = Self.options
    ) throws -> CheckOutcome {
        let problem = try Problem(parsing: "dw:c16h9k3")
        let cases = candidates.map { CheckCase(problem, candidate: $0, threads: 1, privateCacheBytes: 1 << 20) }
        let survey = try Survey(cases, base: base.path, head: head.path, options: options)
        return try RegressionCheck(survey, base: base.path, head: head.path, rule: DecisionRule(), options: options, seed: 1).run()
    }
}
