import Foundation

/// Builds of commits, each made once by each compiler and kept: `CACHE/COMMIT-COMPILER/atrous`. All that are built here are in one worktree,
/// `CACHE/source`, so that from one commit to the next only what changed is compiled, and no path in a program tells two builds apart
/// (`scripts/check-last` puts builds of CI's own checkout beside them).
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
            case .notWritable(let path): "\(path) cannot be written; give --builds another folder"
            }
        }
    }

    public let commit: String
    private let reference: String
    private let repository: String
    private let cache: String

    /// Finds the commit of a reference of the repository around the current folder. `cache`: nil for `.build/check` in it.
    public init(_ reference: String, cache: String?) throws(Failure) {
        let top = Subprocess.run(["git", "rev-parse", "--show-toplevel"])
        guard top.code == 0 else { throw .noRepository }
        repository = top.output.trimmingCharacters(in: .whitespacesAndNewlines)
        let found = Subprocess.run(["git", "-C", repository, "rev-parse", "--verify", "--quiet", "--end-of-options", "\(reference)^{commit}"])
        guard found.code == 0 else { throw .unknown(reference) }
        commit = found.output.trimmingCharacters(in: .whitespacesAndNewlines)
        self.reference = reference
        // git and swift are told other folders to work in.
        self.cache = cache.map { URL(fileURLWithPath: $0).standardizedFileURL.path } ?? "\(repository)/.build/check"
    }

    /// The program's path; `note` is told what takes long.
    public func program(_ note: (String) -> Void) throws(Failure) -> String {
        let folder = "\(cache)/\(commit)-\(Self.compiler)"
        let program = "\(folder)/atrous"
        if access(program, X_OK) == 0 { return program }
        guard (try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)) != nil else {
            throw .notWritable(cache)
        }
        // One at a time: the worktree is shared. The compiler holds the lock, too, should this process be killed beside it.
        let lock = open("\(cache)/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard lock >= 0, flock(lock, LOCK_EX) == 0 else { throw .notWritable(cache) }
        defer { close(lock) }
        if access(program, X_OK) == 0 { return program }
        note("building \(reference) (\(commit.prefix(12))); this is done once")
        try checkOut()
        let built = Subprocess.run(
            ["swift", "build", "-c", "release", "--product", "atrous", "--package-path", "\(cache)/source"], keeping: lock)
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
            let moved = Subprocess.run(["git", "-C", source, "checkout", "--quiet", "--force", "--detach", commit])
            if moved.code == 0 { return }
            // A worktree whose repository has forgotten it.
            _ = Subprocess.run(["git", "-C", repository, "worktree", "remove", "--force", source])
            try? FileManager.default.removeItem(atPath: source)
        }
        _ = Subprocess.run(["git", "-C", repository, "worktree", "prune"])
        let made = Subprocess.run(["git", "-C", repository, "worktree", "add", "--quiet", "--force", "--detach", source, commit])
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

    /// `swift-6.3.1-RELEASE`: another compiler makes another program of the same commit.
    private static var compiler: String {
        let output = Subprocess.run(["swift", "--version"]).output
        let name = output.firstMatch(of: /Swift version [^(\n]*\(([^) ]+)/).map { String($0.1) }
        return (name ?? "swift").replacing(/[^A-Za-z0-9.+-]/, with: "_")
    }
}
