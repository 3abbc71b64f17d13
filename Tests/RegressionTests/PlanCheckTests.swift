import Foundation
import Regression
import Testing

// Beside the other tests that write programs and start them: one that is being written while another is started counts as busy for a while.
extension WorkerTests {
    /// What is said of plans whose times are made up.
    @Suite struct PlanCheckTests {
        private func outcome(base: String, head: String, headVersion: Int = 2) throws -> PlanCheck.Outcome {
            let (a, b) = (try FakeWorker("plan-base", version: 2, plan: base), try FakeWorker("plan-head", version: headVersion, plan: head))
            return PlanCheck.run([.init("listing", size: "1x64x20x20", activation: "", threads: 1)], base: a.path, head: b.path)[0]
        }
        private let good = "planned\\t1000000\\t1040000"

        @Test func aPredictionHoldsWithinItsBound() throws {
            for head in ["planned\\t1000000\\t1140000", "planned\\t1000000\\t880000"] {
                #expect(try outcome(base: good, head: head).verdict == .holds)
            }
            #expect(try outcome(base: good, head: good).text.contains("predicted 1 ms, measured 1.04 ms (+4.0 %; base +4.0 %): holds"))
        }

        @Test func onlyWhatHeadBroughtIsARegression() throws {
            let bad = "planned\\t1000000\\t1200000"
            #expect(try outcome(base: good, head: bad).verdict == .off)
            #expect(try outcome(base: bad, head: bad).verdict == .offInBoth)
            #expect(try outcome(base: good, head: "error\\tthe block is wrong").verdict == .failed)
            #expect(try outcome(base: "error\\tthe block is wrong", head: "error\\tthe block is wrong").verdict == .unknown)
            #expect(try outcome(base: good, head: good, headVersion: 1).verdict == .unknown)
        }

        @Test func reportsNameIt() throws {
            let worker = try FakeWorker("plan-kernels")
            var check = try FakeWorker.check(base: worker, head: worker, candidates: ["dw-a", "dw-b", "dw-c", "dw-d"])
            check.plans = [try outcome(base: good, head: "planned\\t1000000\\t1200000")]
            #expect(check.verdict == .regression)
            #expect(check.report.summary.hasPrefix("REGRESSION: 1 plan prediction off"))
            #expect(check.report.junit.contains("tests=\"6\" failures=\"1\""))
            #expect(check.report.annotations.contains { $0.hasPrefix("::error title=plan of listing") })
        }
    }
}
