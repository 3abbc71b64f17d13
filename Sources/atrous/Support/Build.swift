import Foundation
import OptionParsing
import Regression

/// One side of a comparison: a build of this tool, as a file or made from a commit.
struct Build {
    let path: String
    /// What reports call it.
    let name: String
    /// nil for a program of which only the path is known.
    let commit: String?

    static let runningPath = URL(fileURLWithPath: "/proc/\(getpid())/exe").resolvingSymlinksInPath().path
    /// The one that is running.
    static var running: Build {
        Build(path: runningPath, name: "this build", commit: Session.commit)
    }

    private init(path: String, name: String, commit: String? = nil) {
        self.path = path
        self.name = name
        self.commit = commit
    }

    /// A program's path, or else a reference of git's.
    init(_ text: String, flag: String, cache: String?, quiet: Bool) throws {
        var isFolder: ObjCBool = false
        let exists = FileManager.default.fileExists(atPath: text, isDirectory: &isFolder)
        if exists, !isFolder.boolValue, access(text, X_OK) == 0 {
            self.init(path: text.contains("/") ? text : "./" + text, name: text)
            return
        }
        guard !exists || isFolder.boolValue else { throw UsageError("\(flag) '\(text)' is no program; give the path of a build of atrous, or a commit") }
        do {
            let build = try GitBuild(text, cache: cache)
            let path = try build.program { if !quiet { Console.note($0) } }
            let commit = String(build.commit.prefix(12))
            self.init(path: path, name: "\(text) (\(commit))", commit: commit)
        } catch {
            // The text may have been meant as a path.
            throw UsageError("\(flag) '\(text)' is no program; as a commit: \(error)")
        }
    }
}
