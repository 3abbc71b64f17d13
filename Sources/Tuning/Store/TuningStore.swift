import ConvCore
import Foundation
import Harness
import Results

/// The stored measurements of a tuner: one row per candidate that was measured, and on the fastest of a case the mark `pick`.
public final class TuningStore {
    public let file: TuningFile
    public let identity: StoreIdentity
    /// Torn and broken lines, by place.
    public private(set) var warnings: [String] = []
    private var rows: [RowKey: StoredRow] = [:]
    /// In the order in which they were first written.
    private var order: [RowKey] = []
    private var cases: [TuningCase: [RowKey]] = [:]
    /// Of the file when it was last read or written.
    private var seenSize = -1
    /// By what rows say: the problem, and its text without the name.
    private var parsed: [String: (problem: Problem, text: String)] = [:]
    /// Rows that were superseded, and lines that did not read, still in the file.
    private var superseded = 0
    private var broken = 0

    /// A row and whether it may decide here.
    public struct StoredRow: Sendable {
        public let row: ResultRow
        public let subject: TuningCase
        public let validity: RowValidity
    }

    /// Reads the file; one that is not there is an empty store. Throws ``ResultError`` where a newer version wrote it.
    public init(_ path: String, identity: StoreIdentity) throws {
        file = TuningFile(path)
        self.identity = identity
        try load()
    }

    /// Reads again what other processes have written meanwhile.
    public func refresh() throws {
        if file.size != seenSize { try load() }
    }

    private func load() throws {
        seenSize = file.size
        let contents = try file.read()
        (rows, order, cases, superseded) = ([:], [], [:], 0)
        broken = contents.broken.count
        warnings = contents.warnings
        for (row, line) in zip(contents.rows, contents.lines) { add(row, line: line) }
    }

    /// `line`: of the file, for what is said of a row that does not read.
    private func add(_ row: ResultRow, line: Int? = nil) {
        guard !row.saysNothing else {
            superseded += 1
            return
        }
        guard let (subject, problem) = subject(of: row) else {
            let regimes = MeasurementOptions.Cache.allCases.map(\.rawValue).joined(separator: ", ")
            let what =
                MeasurementOptions.Cache(rawValue: row.cache) == nil
                ? "cache '\(row.cache)' is none of \(regimes)" : "problem '\(row.problem)' does not read"
            warnings.append("\(file.path):\(line.map(String.init) ?? "?"): \(what); the row is kept and not used")
            return
        }
        let key = RowKey(row, problem: problem)
        if rows.updateValue(StoredRow(row: row, subject: subject, validity: identity.validity(of: row)), forKey: key) == nil {
            order.append(key)
            cases[subject, default: []].append(key)
        } else {
            superseded += 1
        }
    }

    private func subject(of row: ResultRow) -> (TuningCase, problem: String)? {
        if parsed[row.problem] == nil { parsed[row.problem] = (try? Problem(parsing: row.problem)).map { ($0, $0.text) } }
        guard let (problem, text) = parsed[row.problem], let regime = MeasurementOptions.Cache(rawValue: row.cache) else { return nil }
        return (TuningCase(problem, threads: row.threads, regime: regime), text)
    }

    /// Appends rows to the file, all or none.
    public func append(_ new: [ResultRow]) throws {
        guard !new.isEmpty else { return }
        try refresh()
        try file.append(new)
        seenSize = file.size
        for row in new { add(row) }
    }

    /// Drops superseded rows from the file, and second picks of cases that another process decided at the same time.
    public func compact() throws {
        try refresh()
        guard superseded + broken > 0 else { return }
        try file.rewrite(StoreMerge.reduced)
        try load()
    }
}

extension TuningStore {
    /// All rows, in the order of the file.
    public var all: [StoredRow] { order.compactMap { rows[$0] } }

    public func rows(of subject: TuningCase) -> [StoredRow] { (cases[subject] ?? []).compactMap { rows[$0] } }

    /// Rows of the case that passed and may decide, the fastest first.
    public func usable(_ subject: TuningCase) -> [ResultRow] {
        rows(of: subject).filter { $0.validity.decides && $0.row.verdict == "PASSED" && $0.row.medianNs != nil }.map(\.row)
            .sorted { ($0.medianNs!, $0.candidate) < ($1.medianNs!, $1.candidate) }
    }

    /// The pick of a case: of the highest effort, then the latest. `stale` also admits one whose kernel has other code.
    public func pick(_ subject: TuningCase, stale: Bool = false) -> ResultRow? {
        rows(of: subject).filter { stored in
            guard stored.row.tuning.mark == "pick" else { return false }
            if case .stale = stored.validity { return stale }
            return stored.validity.decides
        }.map(\.row).max { ($0.effort, $0.timeUTC) < ($1.effort, $1.timeUTC) }
    }

    /// The kernels that decisions have seen whole. A pick whose own kernel has other code meanwhile still tells of the others.
    func covers(_ subject: TuningCase) -> [Cover] {
        rows(of: subject).filter { stored in
            if case .refused = stored.validity { return false }
            return stored.row.tuning.mark == "pick"
        }.flatMap { Cover.all(of: $0.row) }
    }

    /// Those of ``covers(_:)`` that serve a search of this effort, with no more than so many evaluations where it is given, as
    /// ``StoreIdentity/covers`` writes them.
    func covered(_ subject: TuningCase, effort: Effort, evaluations: Int? = nil) -> Set<String> {
        Set(covers(subject).filter { $0.serves(effort, evaluations: evaluations) }.map(\.key))
    }

    /// Whether a case's pick has met every one of these kernels, as it is now and whole, in searches of that effort or more.
    func isWhole(_ subject: TuningCase, kernels: Set<String>, effort: Effort = .quick) -> Bool {
        let covered = covered(subject, effort: effort)
        return kernels.allSatisfy { covered.contains(identity.covers[$0] ?? "") }
    }

    /// Cases with a pick that may decide here.
    public var decided: [TuningCase] {
        var seen: Set<TuningCase> = []
        return order.compactMap { rows[$0]?.subject }.filter { seen.insert($0).inserted && pick($0) != nil }
    }

    /// One line for each kernel and reason that rows are not used for, with their number.
    public var unusedSummary: [String] {
        var counts: [String: (count: Int, level: String)] = [:]
        let current = Set(all.filter(\.validity.decides).map { Measured($0.row.candidate, $0.subject) })
        var whole: [Measured: Bool] = [:]
        for stored in all where !stored.validity.reason.isEmpty {
            if case .stale = stored.validity {
                // Nothing is left to measure again where the candidate has a row of today's code, or today's code took part in a decision.
                // Such rows stay, for a build of the code before.
                let kernel = Measured(stored.row.kernel, stored.subject)
                if current.contains(Measured(stored.row.candidate, stored.subject)) { continue }
                if whole[kernel] == nil { whole[kernel] = isWhole(stored.subject, kernels: [stored.row.kernel]) }
                if whole[kernel]! { continue }
            }
            let level =
                switch stored.validity {
                case .refused: "not used"
                case .stale: "measured again before they count"
                default: "used"
                }
            // What retires a kernel is said by kernel, what retires all is said once.
            var what = "rows"
            if case .stale = stored.validity { what = "rows of \(stored.row.kernel)" }
            counts["\(what)|\(stored.validity.reason)", default: (0, level)].count += 1
        }
        return counts.sorted { $0.key < $1.key }.map { key, value in
            let parts = key.split(separator: "|", maxSplits: 1)
            return "\(file.path): \(value.count) \(parts[0]) \(value.level): \(parts[1])"
        }
    }
}

/// A candidate, or a kernel, on a case, whatever the code.
private struct Measured: Hashable {
    let name: String
    let subject: TuningCase

    init(_ name: String, _ subject: TuningCase) { (self.name, self.subject) = (name, subject) }
}

extension ResultRow {
    /// Neither a time nor a verdict: earlier versions wrote such rows where the time of a search was over.
    var saysNothing: Bool { verdict.isEmpty && medianNs == nil }
    var effort: Effort { Effort(rawValue: tuning.effort) ?? .estimate }
}
