import ConvCore
import FaultyKernels
import Foundation
import Harness
import KernelRegistry
import Regression
import Results
import Testing
import ThreadPool

/// Rows of another day: what they say of times, and of kernels that are wrong by now.
@Suite struct FileComparisonTests {
    private let problem = try! Problem(parsing: "dw:c16h9k3")

    private func row(_ kernel: String, family: String, ns: Double, run: Int, referenceNs: Double? = 100) -> ResultRow {
        var row = ResultRow()
        (row.run, row.timeUTC, row.commit) = ("run\(run)", String(format: "2024-01-01T00:%02d:00Z", run), "commit")
        (row.problem, row.kernel, row.family, row.threads) = (problem.description, kernel, family, 1)
        (row.medianNs, row.referenceNs, row.verdict) = (ns, referenceNs, "PASSED")
        return row
    }

    @Test func bothYardsticksMustAgree() {
        let old = StoredTimes.Case(ns: 1000, naiveNs: 10_000, referenceNs: 100)
        // The clock was twice as slow: nothing has changed.
        #expect(StoredTimes.Case(ns: 2000, naiveNs: 20_000, referenceNs: 200).change(since: old) == 0)
        // 20 % by one, 10 % by the other: 10 %.
        #expect(abs(StoredTimes.Case(ns: 1200, naiveNs: 10_000, referenceNs: 1200 / 11).change(since: old) - log(1.1)) < 1e-12)
        // One says slower, one faster.
        #expect(StoredTimes.Case(ns: 1000, naiveNs: 9000, referenceNs: 110).change(since: old) == 0)
        // Rows from before the reference loop was stored.
        #expect(abs(StoredTimes.Case(ns: 1000, naiveNs: 8000, referenceNs: nil).change(since: old) - log(1.25)) < 1e-12)
    }

    @Test func theThresholdIsWhatRunsOfOneBuildDifferBy() {
        let few = StoredTimes([row("dw-naive-scalar", family: "naive", ns: 10_000, run: 0), row("dw-a", family: "tiled", ns: 1000, run: 0)])
        #expect(abs(few.leastThreshold - expm1(1.5 * log1p(StoredTimes.usualScatter))) < 1e-12)
        #expect(few.candidates(problem, threads: 1) == ["dw-a"])
        // 60 runs that alternate by a tenth.
        let many = StoredTimes((0..<60).flatMap { run in
            [row("dw-naive-scalar", family: "naive", ns: 10_000, run: run), row("dw-a", family: "tiled", ns: run % 2 == 0 ? 1000 : 1100, run: run)]
        })
        #expect(abs(many.leastThreshold - expm1(1.5 * log(1.1))) < 1e-9)
        // Rows of which nobody knows the build may be of many.
        let unknown = StoredTimes((0..<60).flatMap { run in
            [row("dw-naive-scalar", family: "naive", ns: 10_000, run: run), row("dw-a", family: "tiled", ns: run % 2 == 0 ? 1000 : 1100, run: run)].map {
                var row = $0
                row.commit = "unknown"
                return row
            }
        })
        #expect(unknown.leastThreshold == few.leastThreshold)
    }

    /// A row without its naive kernel says nothing.
    @Test func rowsWithoutAYardstickAreNoCases() {
        #expect(StoredTimes([row("dw-a", family: "tiled", ns: 1000, run: 0)]).newest(problem, "dw-a", threads: 1) == nil)
    }

    private func compare(naive: Kernel, _ kernels: [Kernel]) throws -> CheckReport {
        let rows = [row("dw-naive-scalar", family: "naive", ns: 1e9, run: 0)] + kernels.map { row($0.name, family: "tiled", ns: 1e9, run: 0) }
        let pool = ThreadPool(threads: 1)
        // No time fails: a hundredfold is allowed.
        var comparison = FileComparison(StoredTimes(rows), threshold: 100, seed: 1)
        try comparison.compare(problem, naive: naive, kernels.map { Trial.Case(Candidate($0, $0.space.standard), on: pool) }, alone: pool)
        return comparison.report(build: "./atrous")
    }

    @Test func aKernelThatIsWrongByNowFailsAndTheRestIsCompared() throws {
        let kernels = KernelRegistry(level: .baseline).kernels
        let naive = try #require(kernels.first { $0.layer == .dw && $0.family == .naive })
        let right = try #require(kernels.first { $0.layer == .dw && $0.family != .naive && $0.supports(problem) == .yes })
        let wrong = faultyKernels(breaking: right)[0]
        let plain = Kernel(
            name: "dw-wrong-baseline", layer: .dw, family: .tiled, isa: "baseline", layout: wrong.layout, threaded: false, rounding: wrong.rounding,
            summary: "", space: wrong.space, supports: wrong.supports, memory: wrong.memory, plan: wrong.plan)
        let report = try compare(naive: naive, [right, plain])
        #expect(report.verdict == .regression)
        #expect(report.table.rows.count == 2)
        #expect(report.summary.hasPrefix("REGRESSION: 1 failed"))
        #expect(report.lines.contains { $0.hasPrefix("FAILED") && $0.contains("repeat with: ./atrous verify --problem") && $0.contains("dw-wrong-baseline") })
        #expect(report.junit.contains("tests=\"2\" failures=\"1\""))
        // Without a yardstick nothing can be compared, and that is a failure, too.
        let blind = try compare(naive: plain, [right])
        #expect(blind.verdict == .regression)
        #expect(blind.table.rows.map(\.last) == ["FAILED", "not compared"])
    }
}
