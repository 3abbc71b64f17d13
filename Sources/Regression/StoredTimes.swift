import ConvCore
import Foundation
import Harness
import Results

/// Times that `atrous bench` stored, beside the yardsticks of the run that they come from.
public struct StoredTimes: Sendable {
    /// One case in one run of the command.
    public struct Case: Sendable {
        public let ns: Double
        /// The naive kernel on the same problem: what memory and neighbours did to the run is in it, too.
        public let naiveNs: Double
        /// The chain of dependent multiplications: the clock. nil in rows from before it was stored.
        public let referenceNs: Double?

        public init(ns: Double, naiveNs: Double, referenceNs: Double?) {
            self.ns = ns
            self.naiveNs = naiveNs
            self.referenceNs = referenceNs
        }

        public var ofNaive: Double { ns / naiveNs }
        public var ofReference: Double? { referenceNs.map { ns / $0 } }

        /// Logarithm of what both yardsticks agree on, of the smaller size; 0 where they contradict each other.
        public func change(since old: Case) -> Double {
            let byNaive = log(ofNaive / old.ofNaive)
            guard let now = ofReference, let then = old.ofReference else { return byNaive }
            let byReference = log(now / then)
            guard byNaive.sign == byReference.sign else { return 0 }
            return abs(byNaive) < abs(byReference) ? byNaive : byReference
        }
    }

    /// By key, in the order of the file; the commit tells which runs were of one build.
    private var cases: [Key: [(commit: String, one: Case)]] = [:]
    private struct Key: Hashable {
        let problem, candidate: String
        let threads: Int
    }
    private var dates: Set<String> = []
    private var hasReference = false

    /// Of passing rows that have a naive row of the same run beside them.
    public init(_ rows: [ResultRow]) {
        let rows = rows.filter { $0.verdict == "PASSED" && $0.medianNs != nil }.sorted { $0.timeUTC < $1.timeUTC }
        var naive: [String: Double] = [:]
        for row in rows where row.family == "naive" && row.threads == 1 { naive["\(row.run)|\(row.problem)"] = row.medianNs }
        for row in rows where row.family != "naive" {
            guard let naiveNs = naive["\(row.run)|\(row.problem)"], let text = try? Problem(parsing: row.problem).text else { continue }
            let one = Case(ns: row.medianNs!, naiveNs: naiveNs, referenceNs: row.referenceNs)
            cases[Key(problem: text, candidate: row.candidate, threads: row.threads), default: []].append((row.commit, one))
            hasReference = hasReference || row.referenceNs != nil
            dates.insert(String(row.timeUTC.prefix(10)))
        }
    }

    public func newest(_ problem: Problem, _ candidate: String, threads: Int) -> Case? {
        cases[Key(problem: problem.text, candidate: candidate, threads: threads)]?.last?.one
    }

    /// All that are stored of a problem, in order of name.
    public func candidates(_ problem: Problem, threads: Int) -> [String] {
        cases.keys.filter { $0.problem == problem.text && $0.threads == threads }.map(\.candidate).sorted()
    }

    public var days: String { dates.sorted().suffix(2).joined(separator: ", ") }
    public var yardsticks: String { hasReference ? "the naive kernel and the reference loop" : "the naive kernel" }

    /// How far runs of one commit differ, case by case. Which build a row without one was of, nobody knows.
    private var changes: [Double] {
        cases.values.flatMap { runs in
            zip(runs, runs.dropFirst()).filter { $0.commit == $1.commit && !["", "unknown"].contains($0.commit) }.map { abs($1.one.change(since: $0.one)) }
        }
    }

    /// Fewer pairs than this say nothing of their tail.
    private static let fewestChanges = 50
    /// Beyond the 99th percentile of what equal builds show: a check has some dozens of cases, each measured again when it is a suspect.
    private static let beyond = 1.5
    /// Where a file holds fewer pairs: three runs of the smoke matrix within fifty minutes, two virtual CPUs of a busy host, 72 pairs:
    /// half below 0.5 %, nine in ten below 4.3 %, 99 in 100 below 13 % (by nanoseconds: 0.6, 4.9 and 13.2 %).
    public static let usualScatter = 0.13

    /// The least slow-down that can be told from what two runs of one build differ by.
    public var leastThreshold: Double { expm1(Self.beyond * scatter.value) }
    public var reason: String {
        let (value, count) = scatter
        return String(format: "1.5 times the %.1f %% that 99 in 100 cases stay below between two runs of one build, %@", expm1(value) * 100,
            count > 0 ? "from \(count) pairs of rows in the file" : "as measured when this was written; two runs of `atrous bench` in the file would tell")
    }
    private var scatter: (value: Double, count: Int) {
        let sorted = changes.sorted()
        guard sorted.count >= Self.fewestChanges else { return (log1p(Self.usualScatter), 0) }
        return (sorted[sorted.count * 99 / 100], sorted.count)
    }
}
