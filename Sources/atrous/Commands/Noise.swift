import Foundation
import Harness

import OptionParsing
import Regression
import Results

/// This host's launch scatter, and what a check could find here at what cost, before anyone spends time on it.
func runNoise(_ values: Values) throws -> ExitCode {
    let session = try Session(values)
    let build = try values.string("base").map { try Build($0, flag: "--base", cache: values.string("builds"), quiet: session.quiet) } ?? .running
    let matrix = try CheckMatrix(values, command: "noise", base: build.path, head: build.path, session: session)
    if values.flag("dry-run") {
        for one in matrix.cases { print("LISTED   \(one.name)") }
        return .fine
    }
    let launches = try values.int("launches", in: 3...1000) ?? 8
    let pairings = values.string("pairing").flatMap(Pairing.init).map { [$0] } ?? Pairing.allCases
    var options = try values.launchOptions()
    let survey = try Survey(matrix.cases, base: build.path, head: build.path, options: options)
    let progress = Progress(total: pairings.count, quiet: session.quiet)
    var studies: [NoiseStudy] = []
    for (step, pairing) in pairings.enumerated() {
        options.pairing = pairing
        studies.append(
            try NoiseStudy(survey, build: build.path, options: options, rule: DecisionRule(), launches: launches, seed: session.seed) {
                progress.update(step: step, fraction: $0, pairing.rawValue)
            })
    }
    progress.finish()
    guard let best = studies.filter({ !$0.cases.isEmpty }).min(by: { $0.highScatter < $1.highScatter }) else {
        throw MachineError("noise: no launch was undisturbed; try again on a quieter machine")
    }
    print("scatter of a launch's value (standard deviation over \(launches) launches of equal builds, \(best.cases.count) cases, \(options.rounds) rounds):\n")
    print(
        Console.table(
            ["pairing", "middle case", "nine in ten below", "launches lost", "seconds a launch"],
            studies.map { [$0.pairing.rawValue, percent($0.scatter), percent($0.highScatter), "\($0.lost)", Format.number($0.secondsPerLaunch, digits: 2)] },
            right: [1, 2, 3, 4]))
    print("\nwhat a check of these cases would find (\(best.pairing.rawValue)):\n")
    let rows = [0.01, 0.015, 0.02, 0.03, 0.05, 0.07].map { threshold -> [String] in
        let reach = best.reach(DecisionRule(threshold: threshold), seed: session.seed)
        let rule = DecisionRule(threshold: threshold)
        return [
            percent(threshold), reach.found.map { "from \(percent($0))" } ?? "nothing below 50 %", percent(reach.falseAlarms),
            Format.number(reach.launches, digits: 2), Format.number(reach.launches * best.secondsPerLaunch, digits: 2),
            "\(rounds(best, rule, options.rounds))", "\(rule.fewestConfirming)",
        ]
    }
    print(
        Console.table(
            ["--threshold", "found in 9 of 10", "false alarms", "launches, nothing changed", "seconds", "--rounds", "--launches"], rows,
            right: [0, 1, 2, 3, 4, 5, 6]))
    let path = values.string("out") ?? MachineFolder.path("noise.json")
    try NoiseFile.write(studies, best: best, to: path)
    if !session.quiet { Console.note("\(path) says \(best.pairing.rawValue); `atrous check` reads it there") }
    return .fine
}

private func percent(_ share: Double) -> String { String(format: share < 0.01 && share > 0 ? "%.2f %%" : "%.1f %%", share * 100) }

/// Rounds a launch at which nine in ten cases scatter so little that two deviations fit between margin and threshold.
private func rounds(_ study: NoiseStudy, _ rule: DecisionRule, _ rounds: Int) -> Int {
    let ratio = study.highScatter / rule.wantedError(rule.threshold)
    return max(rounds, Int((Double(rounds) * ratio * ratio).rounded(.up)))
}

/// What `atrous noise` found, beside the machine's results: how a check pairs its bursts.
enum NoiseFile {
    private struct Contents: Codable {
        struct Entry: Codable {
            let pairing: String
            let scatter, highScatter, secondsPerLaunch: Double
            let launches: Int
        }
        let best: String
        let commit: String
        let timeUTC: String
        let studies: [Entry]
    }

    static func write(_ studies: [NoiseStudy], best: NoiseStudy, to path: String) throws {
        let contents = Contents(
            best: best.pairing.rawValue, commit: Session.commit, timeUTC: Session.now,
            studies: studies.map {
                .init(pairing: $0.pairing.rawValue, scatter: $0.scatter, highScatter: $0.highScatter, secondsPerLaunch: $0.secondsPerLaunch, launches: $0.launches)
            })
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try FileWriting.replace(path, with: try encoder.encode(contents))
    }

    /// One after the other where nothing was measured.
    static func bestPairing(results: String) -> Pairing {
        guard let data = FileManager.default.contents(atPath: MachineFolder.path("noise.json", in: results)),
            let contents = try? JSONDecoder().decode(Contents.self, from: data)
        else { return .alternating }
        return Pairing(rawValue: contents.best) ?? .alternating
    }
}
