import Foundation

/// Rows in a CSV file.
public enum ResultFile {
    public static let header = CSV.line(Column.results.map(\.name))

    public static func line(_ row: ResultRow) -> String { CSV.line(Column.results.map { $0.write(row) }) }

    /// What a file holds. A line that does not read is left out and named.
    public struct Contents: Sendable {
        public var rows: [ResultRow] = []
        /// The number of each row's line.
        public var lines: [Int] = []
        /// As the file's first line names them.
        public var columns: [String] = []
        /// `file:line: what is wrong`
        public var warnings: [String] = []
        /// The lines that were left out.
        public var broken: [String] = []
        /// Columns that this version does not know.
        public var unknownColumns: [String] = []
    }

    /// Columns that tell a result file from others, raw samples and plans among them.
    private static let needed: Set = ["machine", "kernel", "problem", "median_ns", "verdict"]

    /// Reads one file.
    public static func read(_ path: String) throws(ResultError) -> Contents {
        let text = try text(of: path)
        guard let end = text.firstIndex(where: \.isNewline) ?? (text.isEmpty ? nil : text.endIndex) else {
            throw .empty(path)
        }
        guard let names = CSV.fields(text[..<end]), needed.isSubset(of: names) else { throw .notResults(path) }
        let columns = names.map { name in Column.all.first { $0.name == name } }
        var contents = Contents()
        contents.columns = names
        contents.unknownColumns = zip(names, columns).filter { $0.1 == nil }.map(\.0)
        // The first of the parts is what is left of the first line: nothing.
        for (part, line) in text[end...].split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() where !line.isEmpty {
            let number = part + 1
            guard let fields = CSV.fields(line), fields.count == columns.count else {
                contents.warnings.append("\(path):\(number): the line has not \(columns.count) fields; it is left out")
                contents.broken.append(String(line))
                continue
            }
            var row = ResultRow()
            let bad = zip(columns, fields).first { column, field in !(column?.read(&row, field) ?? true) }
            if let bad {
                contents.warnings.append(
                    "\(path):\(number): \(bad.0?.name ?? "") '\(bad.1)' is no number; the line is left out")
                contents.broken.append(String(line))
            } else {
                contents.rows.append(row)
                contents.lines.append(number)
            }
        }
        return contents
    }

    /// Reads every result file below a folder (or the one file); other CSV files are passed over.
    public static func readFolder(_ path: String) throws(ResultError) -> Contents {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { throw .missing(path) }
        guard isFolder.boolValue else { return try read(path) }
        var all = Contents()
        let files = (FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []).sorted()
        for file in files where file.hasSuffix(".csv") {
            do {
                let contents = try read(path + "/" + file)
                all.rows += contents.rows
                all.warnings += contents.warnings
            } catch .notResults, .empty {
                continue
            }
        }
        guard !all.rows.isEmpty else { throw .noRows(path) }
        return all
    }

    /// Any CSV file with a header, as column → field; lines of another length are left out. Empty where there is no file.
    public static func table(_ path: String) -> [[String: String]] {
        guard let text = try? text(of: path) else { return [] }
        let lines = text.split(whereSeparator: \.isNewline).compactMap { CSV.fields($0) }
        guard let names = lines.first else { return [] }
        return lines.dropFirst().filter { $0.count == names.count }.map {
            Dictionary(zip(names, $0), uniquingKeysWith: { first, _ in first })
        }
    }

    private static func text(of path: String) throws(ResultError) -> String {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { throw .missing(path) }
        guard !isFolder.boolValue, let data = FileManager.default.contents(atPath: path) else { throw .unreadable(path) }
        return String(decoding: data, as: UTF8.self)
    }
}

/// What can go wrong with result files. One line: what, where, and what to do.
public enum ResultError: Error, Equatable, Sendable, CustomStringConvertible {
    case missing(String)
    case unreadable(String)
    case empty(String)
    case notResults(String)
    case notStore(String)
    case noHistory(String)
    case notHistory(String)
    case noRows(String)
    case otherColumns(String)
    case cannotWrite(String, reason: String)
    case newerStore(String, found: String, known: Int)

    public var description: String {
        switch self {
        case .missing(let path): "\(path): no such file or folder; `atrous bench --out \(path)` writes one"
        case .unreadable(let path): "\(path): cannot be read; check its permissions"
        case .empty(let path): "\(path): the file is empty; delete it or run `atrous bench` again"
        case .notResults(let path): "\(path): no result file (its first line lacks columns such as machine, kernel and median_ns)"
        case .notStore(let path):
            "\(path): no tuning store (its first line is not that of one); `atrous tune --store DIR` writes DIR/tuning.csv"
        case .noHistory(let path): "\(path): no such file; `atrous bench --history=\(path)` and `atrous check --history=\(path)` write one"
        case .notHistory(let path):
            "\(path): no history (its first line is not that of one); give `atrous bench --history=FILE` and `atrous check --history=FILE` another name"
        case .noRows(let path): "\(path): no results in it; run `atrous bench --out \(path)/bench.csv` first"
        case .otherColumns(let path):
            "\(path): has other columns than this version writes; give --out another name or move the file away"
        case .cannotWrite(let path, let reason): "\(path): cannot be written (\(reason)); choose another place, or make room there"
        case .newerStore(let path, let found, let known):
            "\(path): written by a newer version (\(found), this one knows schema \(known)); update atrous, or give --store another folder"
        }
    }
}
