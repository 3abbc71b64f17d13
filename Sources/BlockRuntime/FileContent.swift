import Foundation

/// Whole files, with the system's own short reason (`No such file or directory`) where that fails.
enum FileContent {
    struct Failure: Error {
        let reason: String

        /// Must be made before anything else can set `errno`.
        static var last: Failure { Failure(reason: String(cString: strerror(errno))) }
    }

    /// The lines of a text, empty ones too, without the byte order mark that some editors and spreadsheets write.
    static func lines(_ text: String) -> [Substring] {
        (text.hasPrefix("\u{FEFF}") ? text.dropFirst() : text[...])
            .split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    }

    static func read(_ path: String) throws(Failure) -> [UInt8] {
        guard let file = fopen(path, "rb") else { throw .last }
        defer { fclose(file) }
        var info = stat()
        // Some have no end.
        guard fstat(fileno(file), &info) == 0, info.st_mode & S_IFMT != S_IFCHR else { throw Failure(reason: "it is a device and no file") }
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            guard ferror(file) == 0 else { throw .last }
            guard count > 0 else { return content }
            content.append(contentsOf: chunk[..<count])
        }
    }
}
