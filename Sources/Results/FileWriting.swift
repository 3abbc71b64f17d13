import Foundation

/// Writing that a kill or a full disk cannot leave half done.
public enum FileWriting {
    /// Writes a whole file under a temporary name in the same folder and renames it. Folders are made. A link stays one, and what is
    /// no regular file (a device, a pipe) is written where it is: a rename would put a file in its place.
    public static func replace(_ path: String, with data: Data) throws(ResultError) {
        try makeFolder(of: path)
        guard let target = replaceable(path) else {
            if let failure = failureWriting(path, O_WRONLY, data) { throw .cannotWrite(path, reason: failure) }
            return
        }
        let temporary = temporary(for: target)
        var failure = failureWriting(temporary, O_WRONLY | O_CREAT | O_TRUNC, data)
        if failure == nil, rename(temporary, target) != 0 { failure = reason() }
        if let failure {
            unlink(temporary)
            throw .cannotWrite(path, reason: failure)
        }
    }

    /// The regular file that a path leads to, or is to be; nil for anything else.
    private static func replaceable(_ path: String) -> String? {
        var info = stat()
        guard stat(path, &info) == 0 else { return path }
        guard info.st_mode & S_IFMT == S_IFREG else { return nil }
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }

    /// Why the bytes could not be written; nil where they were.
    private static func failureWriting(_ path: String, _ flags: Int32, _ data: Data) -> String? {
        let file = open(path, flags | O_CLOEXEC, 0o644)
        guard file >= 0 else { return reason() }
        defer { close(file) }
        return writeAll(file, data) ? nil : reason()
    }

    /// The name under which a file is written first.
    private static func temporary(for target: String) -> String {
        let suffix = ".\(ProcessInfo.processInfo.processIdentifier).partial"
        let name = target.utf8.split(separator: UInt8(ascii: "/")).last
        // The longest that file systems take.
        return (name?.count ?? 0) + suffix.utf8.count <= 255 ? target + suffix : beside(target, suffix)
    }

    /// The path of another file in the folder of one.
    public static func beside(_ path: String, _ name: String) -> String {
        let folder = folder(of: path)
        return folder.isEmpty || folder == "/" ? folder + name : "\(folder)/\(name)"
    }

    /// The folder of a file; empty for the current one. Not by Foundation, whose path functions trap on names of one character.
    private static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "" }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Throws what ``replace(_:with:)`` would throw there, before the work whose outcome the file is to hold. Makes the folder.
    public static func require(_ path: String) throws(ResultError) {
        try makeFolder(of: path)
        if isFolder(path) { throw .cannotWrite(path, reason: "it is a folder") }
        guard let target = replaceable(path) else {
            // To open a pipe would wait for its reader.
            guard access(path, W_OK) == 0 else { throw .cannotWrite(path, reason: reason()) }
            return
        }
        let temporary = temporary(for: target)
        let file = open(temporary, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw .cannotWrite(path, reason: reason()) }
        close(file)
        unlink(temporary)
    }

    /// Adds to the end of a file, all or nothing; makes file and folder.
    public static func append(_ path: String, _ data: Data) throws(ResultError) {
        let file = try openForAppending(path)
        defer { close(file) }
        if let failure = failureAppending(file, data) { throw .cannotWrite(path, reason: failure) }
    }

    /// Throws what ``append(_:_:)`` would throw there; makes no file.
    public static func requireAppending(_ path: String) throws(ResultError) {
        guard FileManager.default.fileExists(atPath: path) else { return try require(path) }
        close(try openForAppending(path))
    }

    static func openForAppending(_ path: String) throws(ResultError) -> Int32 {
        try makeFolder(of: path)
        let file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw .cannotWrite(path, reason: reason()) }
        return file
    }

    /// Why bytes could not be added to an open file, which is then as it was; nil where they were.
    static func failureAppending(_ file: Int32, _ data: Data) -> String? {
        let start = lseek(file, 0, SEEK_END)
        guard !writeAll(file, data) else { return nil }
        let reason = reason()
        if start >= 0 { ftruncate(file, start) }
        return reason
    }

    /// Makes the folder that the file is to lie in.
    public static func makeFolder(of path: String) throws(ResultError) {
        guard !path.hasSuffix("/") else { throw .cannotWrite(path, reason: "it names a folder; write the name of a file") }
        let folder = folder(of: path)
        guard folder.isEmpty || isFolder(folder) || made(folder) else {
            let blocked = access(folder, F_OK) == 0
            throw .cannotWrite(path, reason: blocked ? "\(folder) is a file" : "the folder \(folder) cannot be made")
        }
    }

    private static func isFolder(_ path: String) -> Bool {
        var info = stat()
        return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
    }

    /// Whether a folder could be made, with those above it.
    private static func made(_ path: String) -> Bool {
        let above = folder(of: path)
        guard above.isEmpty || isFolder(above) || made(above) else { return false }
        return mkdir(path, 0o777) == 0 || errno == EEXIST && isFolder(path)
    }

    /// Runs `body` while no other process that asks for the same lock runs its own. The lock is a file of its own beside `path`, since
    /// that is replaced; the system frees it when a process ends, however it ends.
    public static func locked<T>(_ path: String, _ body: () throws(ResultError) -> T) throws(ResultError) -> T {
        try makeFolder(of: path)
        let lock = open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard lock >= 0 else { throw .cannotWrite(path, reason: reason()) }
        defer { close(lock) }
        while flock(lock, LOCK_EX) != 0 {
            guard errno == EINTR else { throw .cannotWrite(path, reason: reason()) }
        }
        return try body()
    }

    /// Whether a descriptor took all bytes; ``reason()`` tells why not.
    public static func writeAll(_ file: Int32, _ data: Data) -> Bool {
        data.withUnsafeBytes { buffer in
            var done = 0
            while done < buffer.count {
                let count = write(file, buffer.baseAddress! + done, buffer.count - done)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return false }
                done += count
            }
            return true
        }
    }

    /// Why the last call of the system failed.
    public static func reason() -> String { String(cString: strerror(errno)) }
}

/// Adds rows to a CSV file, each line in one write, so that a kill loses at most the row in flight.
public final class ResultAppender {
    public let path: String
    private let file: Int32
    /// What was repaired on opening.
    public private(set) var warnings: [String] = []

    /// Opens or makes the file. A torn last line (of a run that was killed) is cut off.
    public init(_ path: String) throws(ResultError) {
        self.path = path
        file = try FileWriting.openForAppending(path)
        var info = stat()
        guard fstat(file, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { return }
        if info.st_size > 0 {
            try repair()
        } else {
            try append(ResultFile.header)
        }
    }

    deinit { close(file) }

    public func append(_ row: ResultRow) throws(ResultError) { try append(ResultFile.line(row)) }

    private func append(_ line: String) throws(ResultError) {
        if let failure = FileWriting.failureAppending(file, Data((line + "\n").utf8)) { throw .cannotWrite(path, reason: failure) }
    }

    private func repair() throws(ResultError) {
        guard var data = FileManager.default.contents(atPath: path) else { throw .unreadable(path) }
        // A stranger's file is left alone: only ours begins with the header, or is a header that was cut short.
        let header = Data((ResultFile.header + "\n").utf8)
        if let longer = Self.upgraded(data) {
            try FileWriting.replace(path, with: longer)
            data = longer
            try reopen()
        }
        guard data.starts(with: header) || header.starts(with: data) else { throw .otherColumns(path) }
        if data.last != UInt8(ascii: "\n") {
            let keep = (data.lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
            ftruncate(file, off_t(keep))
            data = data.prefix(keep)
            warnings.append("\(path): the last line was torn by a killed run and is cut off")
        }
        if data.isEmpty { try append(ResultFile.header) }
    }

    /// A file of an earlier version, which had the contract's columns and the first of ours, with the others empty; nil for any other file.
    private static func upgraded(_ data: Data) -> Data? {
        let lines = String(decoding: data, as: UTF8.self).split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        guard lines.count > 1, lines[0].contains(",verdict"), ResultFile.header.hasPrefix(lines[0] + ",") else { return nil }
        let names = ResultFile.header.dropFirst(lines[0].count)
        let commas = String(repeating: ",", count: names.count { $0 == "," })
        // A torn last line stays one.
        let whole = lines.dropLast().enumerated().map { $0.element + ($0.offset == 0 ? String(names) : commas) + "\n" }
        return Data((whole.joined() + lines.last!).utf8)
    }

    /// The file behind the path, after it was replaced.
    private func reopen() throws(ResultError) {
        let new = open(path, O_RDWR | O_APPEND | O_CLOEXEC)
        guard new >= 0 else { throw .cannotWrite(path, reason: FileWriting.reason()) }
        dup2(new, file)
        _ = fcntl(file, F_SETFD, FD_CLOEXEC)
        close(new)
    }
}
