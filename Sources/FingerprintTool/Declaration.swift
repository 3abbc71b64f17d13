/// A top-level declaration, or a C file.
struct Declaration {
    struct ID: Hashable, Comparable {
        let file: String
        let place: Int
        static func < (a: ID, b: ID) -> Bool { (a.file, a.place) < (b.file, b.place) }
    }

    let id: ID
    let module: String
    /// Without comments and summaries.
    let code: String
    /// Identifiers that occur in it.
    let mentions: Set<String>
    /// What others use it by: its name, or those of an extension's members. Of an extension that adds an initialiser, a subscript or a
    /// conformance, which are used without a name of their own, also that of the type. Operators of our own there are none.
    let names: Set<String>
    /// Of these, the ones that its file alone may use.
    let hidden: Set<String>

    static let keywords: Set = ["func", "let", "var", "struct", "enum", "class", "actor", "typealias", "protocol"]

    init(id: ID, module: String, code: String, isSwift: Bool) {
        self.id = id
        self.module = module
        self.code = code
        let words = Self.words(code)
        mentions = Set(words)
        (names, hidden) = isSwift ? Self.swiftNames(code) : (Set(words.filter { $0.hasPrefix("atrous_") || $0.hasPrefix("Vector") }), [])
    }

    static func words(_ code: String) -> [String] {
        code.split { !($0.isLetter || $0.isNumber || $0 == "_") }.map(String.init)
    }

    /// Names behind `func`, `let`, … at the top level and directly inside extensions.
    private static func swiftNames(_ code: String) -> (all: Set<String>, hidden: Set<String>) {
        var names: Set<String> = []
        var hidden: Set<String> = []
        /// Whether each open brace is an extension's.
        var open: [Bool] = []
        var word = ""
        var previous = ""
        /// What stands before the word: `<` or a comma make `let` a value generic's.
        var before: Character = " "
        var isGeneric = false
        var isHidden = false
        var extending = false
        /// From `extension` to its brace.
        var header = ""
        for c in code {
            if extending { header.append(c) }
            if c.isLetter || c.isNumber || c == "_" {
                if word.isEmpty { isGeneric = "<,".contains(before) }
                word.append(c)
                continue
            }
            if !word.isEmpty {
                if open.allSatisfy(\.self) {
                    if keywords.contains(previous) {
                        names.insert(word)
                        if isHidden { hidden.insert(word) }
                        isHidden = false
                    } else if !open.isEmpty, word == "init" || word == "subscript" {
                        names.formUnion(words(header))
                    }
                }
                if word == "private" || word == "fileprivate" { isHidden = true }
                if word == "extension" {
                    extending = true
                    header = ""
                }
                previous = isGeneric ? "" : word
                word = ""
            }
            if !c.isWhitespace { before = c }
            if c == "{" {
                if extending, header.contains(":") { names.formUnion(words(header)) }
                open.append(extending)
                extending = false
            } else if c == "}" {
                _ = open.popLast()
                isHidden = false
            }
        }
        return (names, hidden)
    }
}

extension Declaration {
    /// Modules below each one.
    private static let below = [
        "ThreadPool": ["CThreadPool"], "ConvCore": ["ThreadPool", "CThreadPool"],
        "VectorKernels": ["ConvCore", "CVector", "ThreadPool", "CThreadPool"],
        "ScalarKernels": ["ConvCore"], "BLASKernels": ["ConvCore", "ThreadPool", "CThreadPool"],
    ]
    /// What is handed to a file's kernels at run time.
    private static let handed = ["Im2colKernels.swift": "finishRow"]

    /// Whether it mentions a name that the other declares and it can see.
    func uses(_ other: Declaration) -> Bool {
        if id.file == other.id.file { return !mentions.isDisjoint(with: other.names) }
        let visible = other.names.subtracting(other.hidden)
        if let name = Self.handed[id.file], visible.contains(name) { return true }
        guard other.module == module || Self.below[module]?.contains(other.module) ?? false else { return false }
        return !mentions.isDisjoint(with: visible)
    }
}

/// The declarations of a file and all that they use, directly or not.
func closure(of file: SourceFile, in all: [Declaration]) -> [Declaration] {
    var members = Dictionary(uniqueKeysWithValues: file.declarations.map { ($0.id, $0) })
    var open = file.declarations
    while let next = open.popLast() {
        for other in all where members[other.id] == nil && next.uses(other) {
            members[other.id] = other
            open.append(other)
        }
    }
    return members.values.sorted { $0.id < $1.id }
}

/// FNV-1a, 64 bits.
struct Hash {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325
    mutating func add(_ text: String) { for byte in text.utf8 { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 } }
}
