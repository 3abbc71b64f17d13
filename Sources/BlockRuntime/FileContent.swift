import Foundation

/// Whole files in and out, with the system's own short reason (`No such file or directory`) where that fails.
enum FileContent {
    struct Failure: Error {
        let reason: String

        /// Must be made before anything else can set `errno`.
        static var last: Failure { Failure(reason: String(cString: strerror(errno))) }
    }

    static func read(_ path: String) throws(Failure) -> [UInt8] {
        guard let file = fopen(path, "rb") else { throw .last }
        defer { fclose(file) }
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            guard ferror(file) == 0 else { throw .last }
            guard count > 0 else { return content }
            content.append(contentsOf: chunk[..<count])
        }
    }

    /// Writes under a temporary name and renames, so that no half-written file is left under `path`.
    static func write(_ content: [UInt8], to path: String) throws(Failure) {
        let partial = path + ".partial"
        guard let file = fopen(partial, "wb") else { throw .last }
        let written = fwrite(content, 1, content.count, file)
        var failure = written == content.count ? nil : Failure.last
        if fclose(file) != 0, failure == nil { failure = .last }
        if failure == nil, rename(partial, path) != 0 { failure = .last }
        guard let failure else { return }
        unlink(partial)
        throw failure
    }
}
