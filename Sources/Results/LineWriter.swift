import Foundation

/// A file that is begun anew and grows by whole lines: traces and raw samples, which are worth something unfinished.
public final class LineWriter {
    public let path: String
    private let file: Int32

    /// Begins the file with a header. Folders are made; devices and pipes are written like files.
    public init(_ path: String, header: String) throws(ResultError) {
        self.path = path
        try FileWriting.makeFolder(of: path)
        file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw .cannotWrite(path, reason: FileWriting.reason()) }
        try append([header])
    }

    deinit { close(file) }

    public func append(_ lines: [String]) throws(ResultError) {
        let text = lines.map { $0 + "\n" }.joined()
        if let failure = FileWriting.failureAppending(file, Data(text.utf8)) { throw .cannotWrite(path, reason: failure) }
    }

    /// One line of fields, quoted where they need it.
    public func append(fields: [String]) throws(ResultError) { try append([CSV.line(fields)]) }
}
