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

    public func append(_ rows: [HistoryRow]) throws(ResultError) {
        try FileWriting.makeFolder(of: path)
        let file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw .cannotWrite(path, reason: FileWriting.reason()) }
        defer { close(file) }
        let header = CSV.line(Self.names) + "\n"
        let old = FileManager.default.contents(atPath: path) ?? Data()
        guard old.isEmpty || old.starts(with: Data(header.utf8)) else { throw .otherColumns(path) }
        var text = old.isEmpty ? header : old.last == UInt8(ascii: "\n") ? "" : "\n"
        for row in rows {
            text += CSV.line([
                row.timeUTC, row.commit, row.source, row.problem, row.candidate, "\(row.threads)", row.cache,
                String(format: "%.6g", row.medianNs), row.referenceNs.map { String(format: "%.6g", $0) } ?? "",
            ]) + "\n"
        }
        guard FileWriting.writeAll(file, Data(text.utf8)) else { throw .cannotWrite(path, reason: FileWriting.reason()) }
    }

    /// All rows in order, and a warning for every line that does not read.
    public func read() throws(ResultError) -> (rows: [HistoryRow], warnings: [String]) {
        guard FileManager.default.fileExists(atPath: path) else { throw .missing(path) }
        guard let data = FileManager.default.contents(atPath: path) else { throw .unreadable(path) }
        let lines = String(decoding: data, as: UTF8.self).split(whereSeparator: \.isNewline)
        guard lines.first.map(String.init) == CSV.line(Self.names) else { throw .notResults(path) }
        var rows: [HistoryRow] = []
        var warnings: [String] = []
        for (number, line) in lines.enumerated().dropFirst() {
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
