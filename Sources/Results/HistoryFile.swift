import Foundation

/// One case at one commit.
public struct HistoryRow: Sendable, Equatable {
    public var timeUTC = ""
    public var commit = ""
    /// `bench` or `check`
    public var source = ""
    /// benchdnn text with the name.
    public var problem = ""
    /// Kernel with its configuration.
    public var candidate = ""
    public var threads = 1
    public var cache = ""
    public var medianNs = 0.0
    /// A chain of dependent multiplications beside it: what the clock was that day. Nil where it was not measured.
    public var referenceNs: Double?

    public init() {}

    /// What belongs to one series: `bench` and `check` measure in memory of other kinds, and the step from one to the other is none.
    public var series: String { "\(problem) \(candidate) threads:\(threads) \(cache) \(source)" }
}

/// The history of a machine: rows are only ever added.
public struct HistoryFile: Sendable {
    private static let names = ["time_utc", "commit", "source", "problem", "candidate", "threads", "cache", "median_ns", "reference_ns"]
    public let path: String

    public init(_ path: String) { self.path = path }

    private static let header = CSV.line(names) + "\n"

    /// Throws what ``append(_:)`` would throw, before the work whose outcome is to be added.
    public func require() throws(ResultError) {
        try FileWriting.requireAppending(path)
        _ = try content()
    }

    /// Empty where there is no file.
    private func content() throws(ResultError) -> Data {
        let old = FileManager.default.contents(atPath: path) ?? Data()
        guard old.isEmpty || old.starts(with: Data(Self.header.utf8)) else { throw .notHistory(path) }
        return old
    }

    /// All rows or none.
    public func append(_ rows: [HistoryRow]) throws(ResultError) {
        let old = try content()
        var text = old.isEmpty ? Self.header : old.last == UInt8(ascii: "\n") ? "" : "\n"
        for row in rows {
            text += CSV.line([
                row.timeUTC, row.commit, row.source, row.problem, row.candidate, "\(row.threads)", row.cache,
                String(format: "%.6g", row.medianNs), row.referenceNs.map { String(format: "%.6g", $0) } ?? "",
            ]) + "\n"
        }
        try FileWriting.append(path, Data(text.utf8))
    }

    /// All rows in order, and a warning for every line that does not read.
    public func read() throws(ResultError) -> (rows: [HistoryRow], warnings: [String]) {
        guard FileManager.default.fileExists(atPath: path) else { throw .noHistory(path) }
        guard let data = FileManager.default.contents(atPath: path) else { throw .unreadable(path) }
        let lines = String(decoding: data, as: UTF8.self).split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        guard lines.first.map(String.init) == CSV.line(Self.names) else { throw .notHistory(path) }
        var rows: [HistoryRow] = []
        var warnings: [String] = []
        for (number, line) in lines.enumerated().dropFirst() where !line.isEmpty {
            guard let f = CSV.fields(line), f.count == Self.names.count, let threads = Int(f[5]), let ns = Double(f[7]), ns > 0, ns.isFinite else {
                warnings.append("\(path):\(number + 1): does not read as a row of history; it is left out")
                continue
            }
            var row = HistoryRow()
            (row.timeUTC, row.commit, row.source, row.problem, row.candidate) = (f[0], f[1], f[2], f[3], f[4])
            (row.threads, row.cache, row.medianNs, row.referenceNs) = (threads, f[6], ns, Double(f[8]))
            rows.append(row)
        }
        return (rows, warnings)
    }
}
