import Foundation

/// The file of a tuning store. Rows are appended whole lines at a time under a lock, so that several processes may share it
/// and a kill loses at most the row in flight; a later row of a key supersedes an earlier one, and ``rewrite(_:)`` drops those
/// that were superseded by replacing the file at once.
public struct TuningFile: Sendable {
    public let path: String

    /// Of the rows that this version writes and the highest that it reads.
    public static let schema = 1
    public static let header = CSV.line(Column.stored.map(\.name))

    public static func line(_ row: ResultRow) -> String { CSV.line(Column.stored.map { $0.write(row) }) }

    public init(_ path: String) { self.path = path }

    /// The rows in the order in which they were written; none where there is no file. Throws where a newer version wrote it.
    public func read() throws(ResultError) -> ResultFile.Contents {
        guard FileManager.default.fileExists(atPath: path) else { return ResultFile.Contents() }
        let contents: ResultFile.Contents
        do {
            contents = try ResultFile.read(path)
        } catch {
            // A process that was killed before its header was whole has stored nothing.
            guard let data = FileManager.default.contents(atPath: path), Data(Self.header.utf8).starts(with: data) else { throw error }
            return ResultFile.Contents()
        }
        let own = Column.stored.map(\.name)
        if contents.columns.starts(with: own), contents.columns.count > own.count {
            throw .newerStore(path, found: "column \(contents.columns[own.count])", known: Self.schema)
        }
        guard own.starts(with: contents.columns), contents.columns.contains("schema") else { throw .notStore(path) }
        if let row = contents.rows.first(where: { $0.tuning.schema > Self.schema }) {
            throw .newerStore(path, found: "schema \(row.tuning.schema)", known: Self.schema)
        }
        return contents
    }

    /// The file's size in bytes; 0 where there is none.
    public var size: Int {
        var info = stat()
        return stat(path, &info) == 0 ? Int(info.st_size) : 0
    }

    /// Makes folder and file where they are missing, so that what cannot be written is said before anything is measured. Cuts off
    /// the torn last line of a killed process; true where there was one.
    @discardableResult
    public func prepare() throws(ResultError) -> Bool {
        try locked { () throws(ResultError) -> Bool in
            let (file, torn) = try open()
            close(file)
            return torn
        }
    }

    /// Adds rows, all or none.
    public func append(_ rows: [ResultRow]) throws(ResultError) {
        try locked { () throws(ResultError) in
            let (file, _) = try open()
            defer { close(file) }
            let text = rows.map { Self.line($0) + "\n" }.joined()
            if let failure = FileWriting.failureAppending(file, Data(text.utf8)) { throw .cannotWrite(path, reason: failure) }
        }
    }

    /// Replaces the file by what `change` makes of its rows. Lines that did not read are kept in a file beside it.
    public func rewrite(_ change: ([ResultRow]) -> [ResultRow]) throws(ResultError) {
        try locked { () throws(ResultError) in try replace(change) }
    }

    private func replace(_ change: ([ResultRow]) -> [ResultRow]) throws(ResultError) {
        let contents = try read()
        if !contents.broken.isEmpty {
            let old = FileManager.default.contents(atPath: path + ".broken") ?? Data()
            try FileWriting.replace(path + ".broken", with: old + Data((contents.broken.joined(separator: "\n") + "\n").utf8))
        }
        let lines = [Self.header] + change(contents.rows).map(Self.line)
        try FileWriting.replace(path, with: Data((lines.joined(separator: "\n") + "\n").utf8))
    }

    /// The file, open for appending, with a header of this version and a whole last line. The lock is held. Nothing is cut off before
    /// the first line has shown that the file is a store.
    private func open() throws(ResultError) -> (file: Int32, torn: Bool) {
        let file = try FileWriting.openForAppending(path)
        let header = Data((Self.header + "\n").utf8)
        let head = Self.firstBytes(file, header.count)
        if head == header {
            let size = lseek(file, 0, SEEK_END)
            guard let keep = Self.wholeLines(file, size), keep < size else { return (file, false) }
            ftruncate(file, keep)
            return (file, true)
        }
        if header.starts(with: head) {
            // A new file, or a header that a kill tore.
            ftruncate(file, 0)
            if let failure = FileWriting.failureAppending(file, header) {
                close(file)
                throw .cannotWrite(path, reason: failure)
            }
            return (file, !head.isEmpty)
        }
        // An older version's columns, or a stranger's file, which reading refuses.
        close(file)
        try replace { $0 }
        return (try FileWriting.openForAppending(path), false)
    }

    /// Bytes up to the end of the last whole line; nil where that is not to be found.
    private static func wholeLines(_ file: Int32, _ size: off_t) -> off_t? {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let start = max(0, size - off_t(buffer.count))
        let count = pread(file, &buffer, buffer.count, start)
        guard count > 0 else { return nil }
        if let end = buffer[0..<count].lastIndex(of: UInt8(ascii: "\n")) { return start + off_t(end) + 1 }
        return start == 0 ? 0 : nil
    }

    private static func firstBytes(_ file: Int32, _ count: Int) -> Data {
        var buffer = [UInt8](repeating: 0, count: count)
        let got = pread(file, &buffer, count, 0)
        return Data(buffer.prefix(max(0, got)))
    }

    private func locked<T>(_ body: () throws(ResultError) -> T) throws(ResultError) -> T { try FileWriting.locked(path, body) }
}
