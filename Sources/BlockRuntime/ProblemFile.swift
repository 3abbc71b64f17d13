import ConvCore

/// The problems of a file in benchdnn's form: `#` starts a comment, problems stand one or more to a line.
package struct ProblemFile: Sendable {
    package struct Entry: Sendable {
        package let problem: Problem
        /// From 1.
        package let line: Int
    }

    /// A word that is not run, and why.
    package struct Skipped: Sendable, Equatable {
        package let line: Int
        package let text: String
        package let reason: String
    }

    /// The name that messages carry.
    package let path: String
    package let entries: [Entry]
    /// 3-D convolutions.
    package let skipped: [Skipped]
    /// benchdnn's options, which have no effect here.
    package let ignoredOptions: [Skipped]

    package var problems: [Problem] { entries.map(\.problem) }

    /// One line per word that was left out, such as `F:3: skipped '…': only 2-D is supported`.
    package var warnings: [String] {
        (skipped.map { ($0, "skipped") } + ignoredOptions.map { ($0, "ignored") })
            .sorted { $0.0.line < $1.0.line }
            .map { "\(path):\($0.line): \($1) '\($0.text)': \($0.reason)" }
    }

    /// Throws ``ProblemFileError`` with file and line at the first word that is not a problem.
    package static func read(_ path: String) throws(ProblemFileError) -> ProblemFile {
        let bytes: [UInt8]
        do throws(FileContent.Failure) {
            bytes = try FileContent.read(path)
        } catch {
            throw .unreadable(file: path, reason: error.reason)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .unreadable(file: path, reason: "it is not UTF-8 text")
        }
        return try ProblemFile(text: text, path: path)
    }

    /// The same from the file's content.
    package init(text: String, path: String) throws(ProblemFileError) {
        var entries: [Entry] = []
        var skipped: [Skipped] = []
        var options: [Skipped] = []
        for (index, line) in FileContent.lines(text).enumerated() {
            for word in Self.words(line) {
                let number = index + 1
                func skip(_ reason: String) -> Skipped { Skipped(line: number, text: word, reason: reason) }
                if word.hasPrefix("--") {
                    options.append(skip("an option of benchdnn, without effect here"))
                    continue
                }
                do {
                    entries.append(Entry(problem: try Problem(parsing: word), line: number))
                } catch ProblemError.threeDimensional {
                    skipped.append(skip("a 3-D convolution; only 2-D is supported"))
                } catch {
                    throw .badLine(file: path, line: number, reason: "\(error)")
                }
            }
        }
        guard !entries.isEmpty || !skipped.isEmpty else { throw .noProblems(file: path) }
        self.path = path
        self.entries = entries
        self.skipped = skipped
        ignoredOptions = options
    }

    /// Splits at white space and ends at `#`, except between double quotes, where a name stands.
    private static func words(_ line: Substring) -> [String] {
        var words: [String] = []
        var word = ""
        var isQuoted = false
        for c in line {
            if c == "#", !isQuoted { break }
            if c.isWhitespace, !isQuoted {
                if !word.isEmpty { words.append(word) }
                word = ""
                continue
            }
            if c == "\"" { isQuoted.toggle() }
            word.append(c)
        }
        return word.isEmpty ? words : words + [word]
    }
}

package enum ProblemFileError: Error, Equatable, CustomStringConvertible {
    case unreadable(file: String, reason: String)
    case badLine(file: String, line: Int, reason: String)
    case noProblems(file: String)

    package var description: String {
        switch self {
        case .unreadable(let file, let reason): "\(file): cannot be read: \(reason)"
        case .badLine(let file, let line, let reason): "\(file):\(line): \(reason)"
        case .noProblems(let file):
            "\(file): has no problems; write one a line, such as g64ic64ih80oc64oh80kh5dh4 or dw:c64h80k5d5"
        }
    }
}
