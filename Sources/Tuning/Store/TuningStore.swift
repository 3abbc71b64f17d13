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
    private var parsed: [String: Problem] = [:]
    /// Rows that were superseded and are still in the file.
    private var superseded = 0

    /// A row and whether it may decide here.
    public struct StoredRow: Sendable {
        public let row: ResultRow
        public let subject: TuningCase
        public let validity: RowValidity
    }

    /// What makes two rows the same measurement: the later one counts.
    struct RowKey: Hashable {
        let cpu, isa, dtype, kernel, config, fingerprint, harness: String
        let subject: TuningCase

        init(_ row: ResultRow, _ subject: TuningCase) {
            (cpu, isa, dtype) = (row.tuning.cpuID, row.isa, row.dtype)
            (kernel, config, fingerprint, harness) = (row.kernel, row.config, row.tuning.fingerprint, row.tuning.harness)
            self.subject = subject
        }
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
        warnings = contents.warnings
        for row in contents.rows { add(row) }
    }

    private func add(_ row: ResultRow) {
        guard let subject = subject(of: row) else {
            warnings.append("\(file.path): the problem '\(row.problem)' of a row does not read; the row is left out")
            return
        }
        let key = RowKey(row, subject)
        if rows.updateValue(StoredRow(row: row, subject: subject, validity: identity.validity(of: row)), forKey: key) == nil {
            order.append(key)
            cases[subject, default: []].append(key)
        } else {
            superseded += 1
        }
    }

    private func subject(of row: ResultRow) -> TuningCase? {
        if parsed[row.problem] == nil { parsed[row.problem] = try? Problem(parsing: row.problem) }
        guard let problem = parsed[row.problem], let regime = MeasurementOptions.Cache(rawValue: row.cache) else { return nil }
        return TuningCase(problem, threads: row.threads, regime: regime)
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
        guard superseded > 0 || file.size > 0 && !warnings.isEmpty else { return }
        try file.rewrite {
            var rows = Self.newest($0, key: self.key)
            StoreMerge.leaveOnePick(&rows)
            return rows
        }
        try load()
    }

    private func key(_ row: ResultRow) -> RowKey? { subject(of: row).map { RowKey(row, $0) } }

    /// The last row of every key, in the order of their first ones.
    private static func newest(_ rows: [ResultRow], key: (ResultRow) -> RowKey?) -> [ResultRow] {
        var places: [RowKey: Int] = [:]
        var result: [ResultRow] = []
        for row in rows {
            guard let key = key(row) else { continue }
            if let place = places[key] {
                result[place] = row
            } else {
                places[key] = result.count
                result.append(row)
            }
        }
        return result
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

    /// The kernels, each with its code and space, that decisions of at least this effort have seen. A pick whose own kernel has other
    /// code meanwhile still tells of the others.
    func covered(_ subject: TuningCase, effort: Effort) -> Set<String> {
        Set(
            rows(of: subject).filter { stored in
                guard stored.row.tuning.mark == "pick", stored.row.effort >= effort else { return false }
                if case .refused = stored.validity { return false }
                return true
            }.flatMap { $0.row.tuning.covers.split(separator: " ").map(String.init) })
    }

    /// Cases with a pick that may decide here.
    public var decided: [TuningCase] {
        var seen: Set<TuningCase> = []
        return order.map(\.subject).filter { seen.insert($0).inserted && pick($0) != nil }
    }

    /// One line for each kernel and reason that rows are not used for, with their number.
    public var unusedSummary: [String] {
        var counts: [String: (count: Int, level: String)] = [:]
        for stored in all where !stored.validity.reason.isEmpty {
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

extension ResultRow {
    var effort: Effort { Effort(rawValue: tuning.effort) ?? .estimate }
}
