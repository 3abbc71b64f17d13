import Foundation
import Regression
import Synchronization
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
        #expect(outcome.report.junit.contains("tests=\"5\" failures=\"0\" skipped=\"0\""))
    }

    @Test func aProgramThatIsStillBeingWrittenIsWaitedFor() throws {
        let worker = try FakeWorker("unfinished")
        let writer = open(worker.path, O_WRONLY | O_APPEND)
        try #require(writer >= 0)
        Thread.detachNewThread {
            usleep(50_000)
            close(writer)
        }
        #expect(try FakeWorker.check(base: worker, head: worker, candidates: good).verdict == .fine)
    }

    @Test func theSlowerAndTheFasterCaseAreNamedAndNoOther() throws {
        let outcome = try FakeWorker.check(
            base: try FakeWorker("base"), head: try FakeWorker("head", ns: ["dw-b": 1100, "dw-d": 900]), candidates: good)
        #expect(outcome.verdict == .regression)
        #expect(outcome.cases.map(\.judgement) == [.fine, .slower, .fine, .faster])
        #expect(abs(outcome.cases[1].change! - log(1.1)) < 1e-3)
        #expect(outcome.suite == .fine)
        #expect(outcome.report.markdown(base: "base", head: "head").contains("| SLOWER |"))
        let second = outcome.report.lines.filter { $0.contains("Hodges and Lehmann") }
        #expect(second.count == 2 && second[0].contains("dw-b/threads:1: +10.0 % by Hodges and Lehmann over 12 fresh launches (95 %: +10.0 % … +10.0 %)"))
        #expect(second[0].contains("adjusted for 2 suspects: 0.00"))
        #expect(outcome.report.annotations.contains { $0.hasPrefix("::error title=dw/") && $0.contains("+10.0 %25") })
        #expect(outcome.report.junit.contains("failures=\"1\""))
    }

    /// The launches that confirm the suite are no opinion of its cases.
    @Test func aSlowerSuiteMakesNoCaseASuspect() throws {
        let names = ["dw-a", "dw-b", "dw-c", "dw-d", "dw-e", "dw-f"]
        let head = try FakeWorker("head", ns: Dictionary(uniqueKeysWithValues: names.map { ($0, 1018) }))
        let outcome = try FakeWorker.check(base: try FakeWorker("base"), head: head, candidates: names)
        #expect(outcome.suite == .slower && outcome.verdict == .regression)
        #expect(outcome.cases.allSatisfy { $0.judgement == .fine && $0.launches > 2 && $0.confirming.isEmpty })
        #expect(!outcome.report.lines.contains { $0.contains("Hodges and Lehmann") })
    }

    /// Builds whose harness differs are compared, and it is said.
    @Test func anotherWayOfMeasuringIsTold() throws {
        let (first, second) = (try FakeWorker("base", harness: 1), try FakeWorker("head", harness: 2))
        let outcome = try FakeWorker.check(base: first, head: second, candidates: good)
        #expect(outcome.verdict == .fine)
        #expect(outcome.report.lines.contains { $0.hasPrefix("harness: base measures by version 1, head by version 2; ") })
        let unnamed = try FakeWorker.check(base: try FakeWorker("old"), head: second, candidates: good)
        #expect(unnamed.report.lines.contains { $0.hasPrefix("harness: base measures in a way that it does not name, head by version 2; ") })
        let equal = try FakeWorker.check(base: second, head: second, candidates: good)
        #expect(!equal.report.lines.contains { $0.hasPrefix("harness") })
        #expect(outcome.report.annotations.contains { $0.hasPrefix("::warning") && $0.contains("by version 1") })
    }

    /// Between margin and threshold.
    @Test func aSmallChangeIsAmbiguousAndDoesNotFail() throws {
        let outcome = try FakeWorker.check(base: try FakeWorker("base"), head: try FakeWorker("head", ns: ["dw-b": 1025]), candidates: good)
        #expect(outcome.cases[1].judgement == .ambiguous(.slower))
        #expect(outcome.verdict == .fine)
    }

    @Test(arguments: [(FakeWorker.Fault.dies, "died"), (.hangs, "no answer"), (.lies, "answered")])
    func aBrokenCaseFailsAndTheRestGoesOn(fault: FakeWorker.Fault, word: String) throws {
        let head = try FakeWorker("head", ns: ["dw-b": 1100], fault: fault)
        let outcome = try FakeWorker.check(base: try FakeWorker("base"), head: head, candidates: good + ["dw-bad"])
        #expect(outcome.cases.map(\.judgement).dropLast() == [.fine, .slower, .fine, .fine])
        #expect(outcome.cases[4].failure?.side == .head)
        #expect(outcome.cases[4].failure?.text.contains(word) == true)
        #expect(outcome.verdict == .regression)
        let line = outcome.report.lines.first { $0.hasPrefix("FAILED") }
        #expect(line?.contains("repeat with: \(head.path) verify --problem") == true)
    }

    /// What base cannot do is told, and is not head's fault; the sentinel that runs the same case in base ends alone.
    @Test(arguments: [FakeWorker.Fault.dies, .hangs])
    func aBaseThatFailsIsNotHeldAgainstHead(fault: FakeWorker.Fault) throws {
        let base = try FakeWorker("broken-base", fault: fault)
        let outcome = try FakeWorker.check(base: base, head: try FakeWorker("head"), candidates: ["dw-a", "dw-b", "dw-bad", "dw-c", "dw-d"])
        #expect(outcome.cases[2].failure?.side == .base)
        #expect(outcome.cases.filter { $0.failure == nil }.map(\.judgement) == [.fine, .fine, .fine, .fine])
        #expect(outcome.sentinels.count == 1)
        #expect(outcome.verdict == .fine)
        let report = outcome.report
        #expect(report.lines.contains { $0.hasPrefix("FAILED in base dw/") && $0.contains("repeat with: \(base.path) verify") })
        #expect(report.junit.contains("tests=\"6\" failures=\"0\" skipped=\"1\""))
        #expect(!report.annotations.contains { $0.hasPrefix("::error") })
    }

    /// It comes up for the survey and the first launch, and not for the second.
    @Test func aHeadThatStartsNoMoreIsARegressionAndKeepsItsTable() throws {
        let good = try FakeWorker("base")
        let head = try FakeWorker("tired", starts: 2)
        let outcome = try FakeWorker.check(base: good, head: head, candidates: self.good)
        #expect(outcome.verdict == .regression && outcome.end?.side == .head)
        #expect(outcome.cases.allSatisfy { $0.values.count == 1 && $0.headNs == 1000 && $0.judgement == .undecided })
        let report = outcome.report
        #expect(report.summary.hasPrefix("REGRESSION: head does not start (4 cases, 2 launches"))
        #expect(report.lines.first == "FAILED: \(head.path): its worker died at 'start': signal 11; repeat with: \(head.path) worker </dev/null")
        #expect(report.table.rows.count == 4 && report.junit.contains("failures=\"1\""))
        // Base's own end is none of head's.
        let base = try FakeWorker("tired-base", starts: 3)
        let error = #expect(throws: SideError.self) { try FakeWorker.check(base: base, head: good, candidates: self.good) }
        #expect(error?.side != .head && error?.isHeadsEnd == false)
    }

    /// No pages in the survey, or only in a launch: neither build's fault.
    @Test func aMappingThatIsRefusedIsTheMachines() throws {
        let refusal = "printf 'error\\tno shared memory: 1 MiB cannot be mapped\\n'"
        let good = try FakeWorker("base")
        let never = try FakeWorker("unmapped", place: refusal)
        #expect(throws: WorkerError.noMemory("\(never.path): 1 MiB cannot be mapped")) { try FakeWorker.check(base: good, head: never, candidates: self.good) }
        let later = try FakeWorker("unmapped-later", place: "if [ $a = 0 ]; then echo placed; else \(refusal); fi")
        let error = #expect(throws: SideError.self) { try FakeWorker.check(base: good, head: later, candidates: self.good) }
        #expect(error?.cause.isMachines == true && error?.isHeadsEnd == false)
    }

    /// Clocks that differ between the sides: no time can be believed, and a worker that dies has died all the same.
    @Test func anUnfitMachineExcusesTimesAndNotFailures() throws {
        let base = try FakeWorker("base")
        let slow = try FakeWorker.check(base: base, head: try FakeWorker("head", ns: ["dw-b": 1100], chain: 1050), candidates: good)
        #expect(slow.cases[1].judgement == .slower)
        #expect(slow.verdict == .undecided)
        #expect(slow.report.summary.hasPrefix("cannot decide: the clock differed"))
        #expect(slow.report.junit.contains("failures=\"0\""))
        #expect(!slow.report.annotations.contains { $0.hasPrefix("::error") })
        let broken = try FakeWorker.check(
            base: base, head: try FakeWorker("head", ns: ["dw-b": 1100], fault: .dies, chain: 1050), candidates: good + ["dw-bad"])
        #expect(broken.verdict == .regression)
        #expect(broken.report.summary.hasPrefix("REGRESSION: 1 failed; times cannot be judged: the clock differed"))
        #expect(broken.report.junit.contains("failures=\"1\""))
    }

    /// Every round is dropped, and the check runs once more.
    @Test func whereTheHypervisorTakesTimeNothingIsJudged() throws {
        let ticks = Mutex(0)
        var options = FakeWorker.options
        options.stealTicks = { ticks.withLock { $0 += 100; return $0 } }
        let outcome = try FakeWorker.check(
            base: try FakeWorker("base"), head: try FakeWorker("head", ns: ["dw-b": 1100]), candidates: good, options: options)
        #expect(outcome.verdict == .undecided && outcome.attempts == 2)
        #expect(outcome.cases.allSatisfy { $0.values.isEmpty })
        #expect(outcome.report.summary.hasPrefix("cannot decide: the hypervisor took "))
    }

    @Test func whatOneBuildLacksAndStalePicksAreInEveryReport() throws {
        let worker = try FakeWorker("equal")
        var outcome = try FakeWorker.check(base: worker, head: worker, candidates: good)
        outcome.missing = [.init(layer: "dw", name: "dw/gone", has: .base, text: "only base has dw-gone on dw:c16h9k3")]
        outcome.stale = [.init(.stale, explained: false, "dw:c16h9k3", "the stored dw-a takes +9.0 % beside dw-b")]
        #expect(outcome.verdict == .fine)
        let report = outcome.report
        for text in ["only base has dw-gone", "pick stale, dw:c16h9k3: the stored dw-a"] {
            #expect(report.lines.contains { $0.hasPrefix(text) })
            #expect(report.markdown(base: "base", head: "head").contains(text))
            #expect(report.junit.contains(text))
            #expect(report.annotations.contains { $0.hasPrefix("::warning") && $0.contains(text) })
        }
    }

    /// What a worker says may hold anything.
    @Test func whatAWorkerSaysLeavesTheReportWellFormed() throws {
        let worker = try FakeWorker("equal")
        var outcome = try FakeWorker.check(base: worker, head: worker, candidates: good)
        outcome.missing = [.init(layer: "dw", name: "dw/\u{1B}[31m", has: .base, text: "a \u{1}\u{7F}\u{FFFE} & <b>\ntwo")]
        let text = outcome.report.junit
        #expect(text.contains("dw/\\u{1b}[31m") && text.contains("a \\u{1}\\u{7f}\\u{fffe} &amp; &lt;b&gt;\\u{a}two"))
        #expect(text.unicodeScalars.allSatisfy { $0 == "\n" || $0.properties.generalCategory != .control && $0 != "\u{FFFE}" })
        // Its last words on stderr.
        let loud = try FakeWorker(script: "loud", "printf 'no \\033[31m\\377 such\\n' >&2; exit 2")
        let error = #expect(throws: WorkerError.self) { try WorkerProcess(loud.path) }
        #expect("\(error!)".contains("it said 'no \\u{1b}[31m\u{FFFD} such'"))
    }

    /// Only a case that is known to have changed explains a choice that did.
    @Test func aPickThatChangesWithoutAChangedCaseIsToldOf() throws {
        let base = try FakeWorker("picking", ns: ["dw-b": 990])
        // Slower by 6 %: the pick goes to the next. By 2.5 %, and the next faster by as much: nobody has changed for sure.
        for (ns, explained) in [(["dw-b": 1050], true), (["dw-b": 1015, "dw-a": 975, "dw-c": 975, "dw-d": 975], false)] {
            let outcome = try FakeWorker.check(base: base, head: try FakeWorker("picking-head", ns: ns), candidates: good)
            let picks = PickJudgement.all(outcome)
            #expect(picks.count == 1 && picks[0].explained == explained, "\(picks) \(outcome.cases.map(\.judgement))")
            let stale = PickJudgement.stale("dw-b", problem: outcome.cases[0].one.problem.text, threads: 1, in: outcome)
            #expect(stale?.explained == explained)
        }
    }

    /// Memory is this machine's: what it lacks is not held against a build.
    @Test func sharedPagesComeFromTheFirstFolderThatHasThem() throws {
        let pages = try SharedMemory(bytes: 5000, in: ["/nosuch", NSTemporaryDirectory()])
        #expect(pages.bytes == 8192)
        let error = #expect(throws: WorkerError.self) { try SharedMemory(bytes: 5000, in: ["/nosuch"]) }
        #expect(error?.isMachines == true)
        #expect("\(error!)".contains("/nosuch") && "\(error!)".contains("--shm-size"))
    }

    @Test func theDoubtSaysWhatWouldHelp() throws {
        let all = try FakeWorker.check(base: try FakeWorker("base", fault: .dies, faulty: "dw-a"), head: try FakeWorker("head"), candidates: ["dw-a"])
        #expect(all.verdict == .undecided)
        #expect(all.report.summary.hasPrefix("cannot decide: no case could be measured"))
    }

    @Test func whatOneBuildLacksIsLeftOut() throws {
        let outcome = try FakeWorker.check(base: try FakeWorker("base"), head: try FakeWorker("head", missing: "dw-c"), candidates: good)
        #expect(outcome.cases.map(\.one.candidate) == ["dw-a", "dw-b", "dw-d"])
        #expect(outcome.leftOut.map(\.one.candidate) == ["dw-c"])
        #expect(outcome.verdict == .fine)
    }

    @Test func strangersAndOtherVersionsAreNamed() throws {
        #expect(throws: WorkerError.noWorker("/bin/true", last: "")) { try WorkerProcess("/bin/true") }
        let old = try FakeWorker("old", version: 0)
        #expect(throws: WorkerError.otherVersion(old.path, found: "0")) { try WorkerProcess(old.path) }
        #expect(throws: WorkerError.self) { try WorkerProcess("/nosuch/atrous") }
        // A program that says why it is none, and a build whose worker crashes.
        let stranger = try FakeWorker(script: "stranger", "echo 'no such command' >&2; exit 2")
        #expect(throws: WorkerError.noWorker(stranger.path, last: "no such command")) { try WorkerProcess(stranger.path) }
        let crashed = try FakeWorker(script: "crashed", "kill -SEGV $$")
        #expect(throws: WorkerError.died(crashed.path, command: "start", last: "signal 11")) { try WorkerProcess(crashed.path) }
    }
}
