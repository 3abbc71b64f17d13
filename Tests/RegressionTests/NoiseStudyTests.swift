import ConvCore
import Foundation
import Regression
import Testing

/// What a study of made-up launches advises.
@Suite struct NoiseStudyTests {
    /// Ten cases whose launches scatter by that much, and of that the share that comes from the rounds.
    private func study(scatter: Double, ofRounds: Double, rounds: Int = 20, wide: Bool = false) -> NoiseStudy {
        // Quantiles of the normal distribution, as 1.4826 × the median absolute deviation expects them.
        let shape = [-1.64, -1.04, -0.67, -0.67, -0.39, -0.13, 0.13, 0.39, 0.67, 0.67, 1.04, 1.64]
        let one = NoiseStudy.CaseNoise(wide: wide, logRatios: shape.map { $0 * scatter }, errors: shape.map { _ in scatter * ofRounds.squareRoot() })
        return NoiseStudy(pairing: .alternating, cases: Array(repeating: one, count: 10), rounds: rounds, launches: shape.count, secondsPerLaunch: 2, lost: 0)
    }

    @Test func aQuietMachineNeedsNothingMore() {
        let advice = study(scatter: 0.002, ofRounds: 1).advice(threshold: 0.03, seed: 1)
        #expect(advice.suffices)
        #expect(advice.rounds == 20)
        #expect(advice.confirmingLaunches == 12)
        #expect(advice.found! <= 0.045)
        #expect(advice.falseAlarms == 0)
        #expect(advice.seconds == advice.launches * 2)
    }

    /// Scatter of the rounds shrinks with more of them, and the seconds grow.
    @Test func roundsAreAddedUntilTwiceTheThresholdIsFound() {
        let advice = study(scatter: 0.015, ofRounds: 1).advice(threshold: 0.01, seed: 1)
        #expect(advice.suffices)
        #expect(advice.rounds > 20)
        #expect(advice.power >= 0.9 && advice.found! <= 0.02)
        #expect(abs(advice.seconds - advice.launches * 2 * Double(advice.rounds) / 20) < 0.1)
    }

    /// What a launch adds to all its rounds stays, however many there are: the advice says so, and how far it has looked.
    @Test func noRoundsHelpAgainstTheScatterOfLaunches() {
        let advice = study(scatter: 0.1, ofRounds: 0).advice(threshold: 0.01, seed: 1)
        #expect(!advice.suffices)
        #expect(advice.power < 0.9)
        #expect(advice.largest == 0.1)
    }

    /// Streaming and brief cases have five thirds of the threshold.
    @Test func wideCasesAreJudgedByTheWideThreshold() {
        let narrow = study(scatter: 0.001, ofRounds: 1).advice(threshold: 0.03, seed: 1).found!
        let wide = study(scatter: 0.001, ofRounds: 1, wide: true).advice(threshold: 0.03, seed: 1).found!
        #expect(narrow < 0.045)
        #expect(wide > 0.045)
    }

    @Test func theFileTellsThePairing() throws {
        let path = NSTemporaryDirectory() + "atrous-noise-\(UUID().uuidString).json"
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(NoiseFile(path).bestPairing == .alternating)
        let duet = NoiseStudy(pairing: .duet, cases: study(scatter: 0.01, ofRounds: 1).cases, rounds: 20, launches: 8, secondsPerLaunch: 1, lost: 0)
        try NoiseFile(path).write([duet], best: duet, commit: "c", timeUTC: "t")
        #expect(NoiseFile(path).bestPairing == .duet)
    }
}

// Beside the other tests that write programs and start them: see PlanCheckTests.
extension WorkerTests {
    @Suite struct FailingNoiseTests {
        @Test func aCaseThatFailsIsNamedAndTheRestGoesOn() throws {
            let build = try FakeWorker("noisy", fault: .dies)
            let problem = try Problem(parsing: "dw:c16h9k3")
            let cases = ["dw-a", "dw-bad", "dw-c"].map { CheckCase(problem, candidate: $0, threads: 1) }
            let survey = try Survey(cases, base: build.path, head: build.path, options: FakeWorker.options)
            let study = try NoiseStudy(survey, build: build.path, options: FakeWorker.options, rule: DecisionRule(), launches: 2, seed: 1) { _ in }
            #expect(study.cases.count == 2 && study.cases.allSatisfy { $0.logRatios.allSatisfy { $0 == 0 } })
            #expect(study.failed.count == 1)
            #expect(study.failed[0].contains("dw-bad") && study.failed[0].contains("died") && study.failed[0].contains("repeat with: \(build.path) verify"))
        }
    }
}
