import Foundation

/// Builds of commits, each made once and kept: `CACHE/COMMIT/atrous`. All are built in one worktree, `CACHE/source`, so that
/// from one commit to the next only what changed is compiled, and no path in a program tells two builds apart.
public struct GitBuild {
    public enum Failure: Error, CustomStringConvertible {
        case noRepository
        case unknown(String)
        case checkout(String, reason: String)
        case compiler(String, errors: [String])
        case notWritable(String)

        public var description: String {
            switch self {
            case .noRepository: "no git repository here; run it in a checkout, or give the path of a build"
            case .unknown(let ref): "'\(ref)' is neither a program nor a commit of this repository"
            case .checkout(let ref, let reason): "\(ref) cannot be checked out: \(reason)"
            case .compiler(let ref, let errors): "\(ref) does not build: \(errors.joined(separator: " | "))"
            case .notWritable(let path): "\(path) cannot be written; give --cache another folder"
            }
        }
    }

    public let commit: String
    private let reference: String
    private let repository: String
    private let cache: String

    /// Finds the commit of a reference of the repository around the current folder. `cache`: nil for `.build/check` in it.
    public init(_ reference: String, cache: String?) throws(Failure) {
        let top = Self.run(["git", "rev-parse", "--show-toplevel"])
        guard top.code == 0 else { throw .noRepository }
        repository = top.output.trimmingCharacters(in: .whitespacesAndNewlines)
        let found = Self.run(["git", "-C", repository, "rev-parse", "--verify", "--quiet", "--end-of-options", "\(reference)^{commit}"])
        guard found.code == 0 else { throw .unknown(reference) }
        commit = found.output.trimmingCharacters(in: .whitespacesAndNewlines)
        self.reference = reference
        self.cache = cache ?? "\(repository)/.build/check"
    }

    /// The program's path; `note` is told what takes long.
    public func program(_ note: (String) -> Void) throws(Failure) -> String {
        let program = "\(cache)/\(commit)/atrous"
        if access(program, X_OK) == 0 { return program }
        guard (try? FileManager.default.createDirectory(atPath: "\(cache)/\(commit)", withIntermediateDirectories: true)) != nil else {
            throw .notWritable(cache)
        }
        // One at a time: the worktree is shared.
        let lock = open("\(cache)/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard lock >= 0, flock(lock, LOCK_EX) == 0 else { throw .notWritable(cache) }
        defer { close(lock) }
        if access(program, X_OK) == 0 { return program }
        note("building \(reference) (\(commit.prefix(12))); this is done once")
        try checkOut()
        let built = Self.run(
            ["swift", "build", "-c", "release", "--product", "atrous", "--package-path", "\(cache)/source"])
        guard built.code == 0 else { throw .compiler(reference, errors: Self.errors(built.output)) }
        do {
            let made = "\(cache)/source/.build/release/atrous"
            let temporary = "\(program).partial"
            unlink(temporary)
            try FileManager.default.copyItem(atPath: URL(fileURLWithPath: made).resolvingSymlinksInPath().path, toPath: temporary)
            guard rename(temporary, program) == 0 else { throw Failure.notWritable(program) }
        } catch {
            throw .notWritable(program)
        }
        return program
    }

    private func checkOut() throws(Failure) {
        let source = "\(cache)/source"
        if access("\(source)/.git", F_OK) == 0 {
            let moved = Self.run(["git", "-C", source, "checkout", "--quiet", "--force", "--detach", commit])
            if moved.code == 0 { return }
            // A worktree whose repository has forgotten it.
            _ = Self.run(["git", "-C", repository, "worktree", "remove", "--force", source])
            try? FileManager.default.removeItem(atPath: source)
        }
        _ = Self.run(["git", "-C", repository, "worktree", "prune"])
        let made = Self.run(["git", "-C", repository, "worktree", "add", "--quiet", "--force", "--detach", source, commit])
        guard made.code == 0 else {
            throw .checkout(reference, reason: made.output.split(whereSeparator: \.isNewline).last.map(String.init) ?? "git failed")
        }
    }

    /// The compiler's first errors; the last line where it names none.
    static func errors(_ output: String) -> [String] {
        let lines = output.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
        var seen: Set<String> = []
        let errors = lines.filter { $0.contains("error:") && !$0.hasPrefix("|") && !$0.hasPrefix("`") && seen.insert($0).inserted }
        return errors.isEmpty ? [lines.last ?? "no output"] : Array(errors.prefix(3))
    }

    /// stdout and stderr together, and the exit code.
    private static func run(_ words: [String]) -> (code: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        process.standardInput = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return (127, "\(words[0]) cannot be started") }
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }
}
