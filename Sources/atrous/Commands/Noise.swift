import Foundation
import Harness

import OptionParsing
import Regression

/// This host's launch scatter, and what a check could find here at what cost, before anyone spends time on it.
func runNoise(_ values: Values) throws -> ExitCode {
    Leftovers.remove()
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
    // Both sides are one build: what is said of base says it all.
    let leftOut = survey.leftOut.filter { $0.side == .base }.map { "\($0.one.name): \($0.detail(build.path))" }
    guard !survey.shared.isEmpty else { throw UsageError("noise: no case could be measured; \(leftOut.first ?? "none is left")") }
    for text in leftOut { Console.warning("left out \(text)") }
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
    for study in studies { for text in study.failed { Console.warning("left out (\(study.pairing.rawValue)) \(text)") } }
    if studies.allSatisfy({ $0.cases.isEmpty }), let first = studies.lazy.compactMap(\.failed.first).first {
        throw UsageError("noise: no case could be measured; \(first)")
    }
    guard let best = studies.filter({ !$0.cases.isEmpty }).min(by: { $0.highScatter < $1.highScatter }) else {
        throw MachineError("noise: no launch was undisturbed; try again on a quieter machine")
    }
    print("scatter of a launch's value (standard deviation over \(launches) launches of equal builds, \(best.cases.count) cases, \(options.rounds) rounds):\n")
    print(
        Console.table(
            ["pairing", "middle case", "nine in ten below", "launches lost", "seconds a launch"],
            studies.map { [$0.pairing.rawValue, percent($0.scatter), percent($0.highScatter), "\($0.lost)", Format.number($0.secondsPerLaunch, digits: 2)] },
            right: [1, 2, 3, 4]))
    print("\nwhat a check of these cases would find (\(best.pairing.rawValue)), with the options that find twice the threshold in nine of ten checks:\n")
    let advice = [0.01, 0.015, 0.02, 0.03, 0.05, 0.07].map { best.advice(threshold: $0, seed: session.seed) }
    print(
        Console.table(
            ["--threshold", "--rounds", "--launches", "found in 9 of 10", "false alarms", "launches, nothing changed", "seconds", ""], advice.map(row),
            right: [0, 1, 2, 3, 4, 5, 6]))
    let path = values.string("out") ?? MachineFolder.path("noise.json", in: values.string("results") ?? "results")
    try NoiseFile(path).write(studies, best: best, commit: Session.commit, timeUTC: Session.now)
    if !session.quiet { Console.note("\(path) says \(best.pairing.rawValue); `atrous check` reads it there") }
    return .fine
}

private func row(_ advice: NoiseStudy.Advice) -> [String] {
    [
        percent(advice.threshold), "\(advice.rounds)", "\(advice.confirmingLaunches)",
        advice.found.map { "from \(percent($0))" } ?? "nothing up to \(percent(advice.largest))", percent(advice.falseAlarms),
        Format.number(advice.launches, digits: 2), Format.number(advice.seconds, digits: 2), advice.suffices ? "" : "too noisy for it",
    ]
}

private func percent(_ share: Double) -> String { String(format: share < 0.01 && share > 0 ? "%.2f %%" : "%.1f %%", share * 100) }
