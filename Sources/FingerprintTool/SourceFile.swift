/// A source file, reduced to what is compiled and cut into its top-level declarations.
struct SourceFile {
    let name: String
    /// The folder under Sources.
    let module: String
    let declarations: [Declaration]

    init(name: String, module: String, text: String) {
        self.name = name
        self.module = module
        let code = Self.withoutCalls(["ConfigurationSpace"], Self.withoutSummaries(Self.withoutComments(text)))
        declarations = (name.hasSuffix(".swift") ? Self.pieces(code) : [code]).enumerated().map { place, piece in
            Declaration(id: .init(file: name, place: place), module: module, code: piece, isSwift: name.hasSuffix(".swift"))
        }
    }

    /// Cut before every line that begins at its first column with a letter or an attribute, where all braces are closed. A line of
    /// conditional compilation there keeps the file whole. Where the layout of a file hides a beginning, two declarations are one:
    /// more is hashed than need be, never less.
    private static func pieces(_ code: String) -> [String] {
        let lines = code.split(separator: "\n", omittingEmptySubsequences: false)
        guard !lines.contains(where: { $0.hasPrefix("#") }) else { return [code] }
        var pieces: [String] = []
        var depth = 0
        var isBegun = false
        for line in lines {
            let starts = depth == 0 && line.first.map { $0.isLetter || $0 == "@" } ?? false
            if starts, isBegun || pieces.isEmpty {
                pieces.append("")
                isBegun = false
            }
            // An attribute on a line of its own belongs to what follows.
            if starts, !Declaration.words(String(line)).allSatisfy({ !Declaration.keywords.contains($0) && $0 != "extension" }) { isBegun = true }
            if pieces.isEmpty { pieces.append("") }
            pieces[pieces.count - 1] += line + "\n"
            var quoted = false
            for c in line {
                if c == "\"" { quoted.toggle() }
                if !quoted { depth += "({[".contains(c) ? 1 : ")}]".contains(c) ? -1 : 0 }
            }
        }
        return pieces
    }

    /// Blanks for comments and runs of white space, but for the ends of lines and the indents behind them; string literals stay.
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
            } else if b == UInt8(ascii: "\n") {
                while out.last == 32 { out.removeLast() }
                if out.last != b { out.append(b) }
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
            out += ")"
        }
        return out + rest
    }
}
