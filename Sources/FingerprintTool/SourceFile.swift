/// A source file, reduced to what is compiled.
struct SourceFile {
    let name: String
    /// The folder under Sources.
    let module: String
    /// Without comments, spaces and summaries; white space is one blank.
    let code: String
    /// Identifiers that occur in it.
    let mentions: Set<String>
    /// Names that other files may use: of top-level declarations and of members of extensions.
    let declares: Set<String>

    init(name: String, module: String, text: String) {
        self.name = name
        self.module = module
        code = Self.withoutCalls(["ConfigurationSpace"], Self.withoutSummaries(Self.withoutComments(text)))
        let words = Self.words(code)
        mentions = Set(words)
        declares = name.hasSuffix(".swift") ? Self.swiftNames(code) : Set(words.filter { $0.hasPrefix("atrous_") || $0.hasPrefix("Vector") })
    }

    /// Blanks for comments and runs of white space; string literals stay.
    private static func withoutComments(_ text: String) -> String {
        var out: [UInt8] = []
        let bytes = Array(text.utf8)
        var i = 0
        var quoted = false
        func at(_ j: Int) -> UInt8 { j < bytes.count ? bytes[j] : 0 }
        while i < bytes.count {
            let b = bytes[i]
            if quoted {
                out.append(b)
                if b == UInt8(ascii: "\\") { i += 1; out.append(at(i)) } else if b == UInt8(ascii: "\"") { quoted = false }
            } else if b == UInt8(ascii: "\"") {
                quoted = true
                out.append(b)
            } else if b == UInt8(ascii: "/"), at(i + 1) == UInt8(ascii: "/") {
                while i < bytes.count, bytes[i] != UInt8(ascii: "\n") { i += 1 }
                continue
            } else if b == UInt8(ascii: "/"), at(i + 1) == UInt8(ascii: "*") {
                while i < bytes.count, !(bytes[i] == UInt8(ascii: "*") && at(i + 1) == UInt8(ascii: "/")) { i += 1 }
                i += 1
            } else if b <= 32 {
                if out.last != 32 { out.append(32) }
            } else {
                out.append(b)
            }
            i += 1
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Without `summary: "…"`.
    private static func withoutSummaries(_ code: String) -> String { code.replacing(/summary: "[^"]*",?/, with: "") }

    /// Without what stands in the parentheses behind these names.
    private static func withoutCalls(_ names: [String], _ code: String) -> String {
        var out = ""
        var rest = code[...]
        while let name = names.first(where: { rest.contains($0 + "(") }), let range = rest.range(of: name + "(") {
            out += rest[..<range.upperBound]
            rest = rest[range.upperBound...]
            var depth = 1
            var quoted = false
            while depth > 0, let c = rest.popFirst() {
                if c == "\"" { quoted.toggle() }
                if !quoted { depth += c == "(" ? 1 : c == ")" ? -1 : 0 }
            }
        }
        return out + rest
    }

    private static func words(_ code: String) -> [String] {
        code.split { !($0.isLetter || $0.isNumber || $0 == "_") }.map(String.init)
    }

    /// Names behind `func`, `let`, … at the top level and directly inside extensions, less those that are private.
    private static func swiftNames(_ code: String) -> Set<String> {
        let keywords: Set = ["func", "let", "var", "struct", "enum", "class", "typealias", "protocol"]
        var names: Set<String> = []
        /// Whether each open brace is an extension's.
        var open: [Bool] = []
        var word = ""
        var previous = ""
        var hidden = false
        var extending = false
        for c in code {
            if c.isLetter || c.isNumber || c == "_" {
                word.append(c)
                continue
            }
            if !word.isEmpty {
                if keywords.contains(previous), open.allSatisfy(\.self) {
                    if !hidden { names.insert(word) }
                    hidden = false
                }
                if word == "private" || word == "fileprivate" { hidden = true }
                if word == "extension" { extending = true }
                previous = word
                word = ""
            }
            if c == "{" {
                open.append(extending)
                extending = false
            } else if c == "}" {
                _ = open.popLast()
                hidden = false
            }
        }
        return names
    }
}

extension SourceFile {
    /// Modules below each one.
    private static let below = [
        "ThreadPool": ["CThreadPool"], "ConvCore": ["ThreadPool", "CThreadPool"],
        "VectorKernels": ["ConvCore", "CVector", "ThreadPool", "CThreadPool"],
        "ScalarKernels": ["ConvCore"], "BLASKernels": ["ConvCore", "ThreadPool", "CThreadPool"],
    ]
    /// What is handed to a file's kernels at run time.
    private static let handed = ["Im2colKernels.swift": ["Epilogue.swift"]]

    /// Whether it mentions a name that the other declares.
    func uses(_ other: SourceFile) -> Bool {
        if Self.handed[name]?.contains(other.name) ?? false { return true }
        guard other.module == module || Self.below[module]?.contains(other.module) ?? false else { return false }
        return !mentions.isDisjoint(with: other.declares)
    }
}

/// The file and all that it uses, directly or not.
func closure(of file: SourceFile, in files: [SourceFile]) -> [SourceFile] {
    var members: [String: SourceFile] = [file.name: file]
    var open = [file]
    while let next = open.popLast() {
        for other in files where members[other.name] == nil && next.uses(other) {
            members[other.name] = other
            open.append(other)
        }
    }
    return Array(members.values)
}

/// FNV-1a, 64 bits.
struct Hash {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325
    mutating func add(_ text: String) { for byte in text.utf8 { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 } }
}
