import Foundation
import Regression
import Testing

/// The driver against workers that misbehave.
@Suite(.serialized) struct WorkerTests {
    private let good = ["dw-a", "dw-b", "dw-c", "dw-d"]

    @Test func equalBuildsAreFine() throws {
        let worker = try FakeWorker("equal")
        let outcome = try FakeWorker.check(base: worker, head: worker, candidates: good)
        #expect(outcome.verdict == .fine)
        #expect(outcome.cases.allSatisfy { $0.judgement == .fine && $0.change == 0 && $0.launches == 2 })
        #expect(outcome.suite == .fine)
        #expect(CheckReport.junit(outcome, head: "head").contains("tests=\"5\" failures=\"0\" skipped=\"0\""))
    }

    @Test func theSlowerAndTheFasterCaseAreNamedAndNoOther() throws {
        let outcome = try FakeWorker.check(
            base: try FakeWorker("base"), head: try FakeWorker("head", ns: ["dw-b": 1100, "dw-d": 900]), candidates: good)
        #expect(outcome.verdict == .regression)
        #expect(outcome.cases.map(\.judgement) == [.fine, .slower, .fine, .faster])
        #expect(abs(outcome.cases[1].change! - log(1.1)) < 1e-3)
        #expect(outcome.suite == .fine)
        #expect(CheckReport.markdown(outcome, base: "base", head: "head").contains("| SLOWER |"))
        #expect(CheckReport.annotations(outcome, head: "head").contains { $0.hasPrefix("::error title=dw/") && $0.contains("+10.0 %25") })
        #expect(CheckReport.junit(outcome, head: "head").contains("failures=\"1\""))
    }

    /// Between margin and threshold.
    @Test func aSmallChangeIsAmbiguousAndDoesNotFail() throws {
        let outcome = try FakeWorker.check(base: try FakeWorker("base"), head: try FakeWorker("head", ns: ["dw-b": 1025]), candidates: good)
        #expect(outcome.cases[1].judgement == .ambiguous(.slower))
        #expect(outcome.verdict == .fine)
    }

    @Test(arguments: [(FakeWorker.Fault.dies, "died"), (.hangs, "no answer"), (.lies, "answered")])
    func aBrokenCaseFailsAndTheRestGoesOn(fault: FakeWorker.Fault, word: String) throws {
        let outcome = try FakeWorker.check(
            base: try FakeWorker("base"), head: try FakeWorker("head", ns: ["dw-b": 1100], fault: fault), candidates: good + ["dw-bad"])
        #expect(outcome.cases.map(\.judgement).dropLast() == [.fine, .slower, .fine, .fine])
        #expect(outcome.cases[4].failure?.contains(word) == true)
        #expect(outcome.verdict == .regression)
        let line = CheckReport.lines(outcome, base: "base", head: "head").first { $0.hasPrefix("FAILED") }
        #expect(line?.contains("repeat with: head verify --problem") == true)
    }

    @Test func whatOneBuildLacksIsLeftOut() throws {
        let outcome = try FakeWorker.check(base: try FakeWorker("base"), head: try FakeWorker("head", missing: "dw-c"), candidates: good)
        #expect(outcome.cases.map(\.one.candidate) == ["dw-a", "dw-b", "dw-d"])
        #expect(outcome.leftOut.map(\.one.candidate) == ["dw-c"])
        #expect(outcome.verdict == .fine)
    }

    @Test func strangersAndOtherVersionsAreNamed() throws {
        #expect(throws: WorkerError.noWorker("/bin/true")) { try WorkerProcess("/bin/true") }
        let old = try FakeWorker("old", version: 0)
        #expect(throws: WorkerError.otherVersion(old.path, found: "0")) { try WorkerProcess(old.path) }
        #expect(throws: WorkerError.self) { try WorkerProcess("/nosuch/atrous") }
    }
}
