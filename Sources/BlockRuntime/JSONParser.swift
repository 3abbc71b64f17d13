/// Recursive descent over UTF-8 bytes; depth is limited, so that no input can overflow the stack.
/// Source of the grammar: RFC 8259.
struct JSONParser {
    private let bytes: ArraySlice<UInt8>
    private var position: Int
    private static let deepest = 64

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    mutating func document() throws(JSONError) -> JSONValue {
        let result = try value(depth: 0)
        skipSpace()
        guard peek == nil else { throw failure("something follows the end of the JSON text") }
        return result
    }

    private var peek: UInt8? { position < bytes.endIndex ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let c = peek, c == 0x20 || c == 0x09 || c == 0x0A || c == 0x0D { position += 1 }
    }

    private func failure(_ message: String) -> JSONError {
        let (line, column) = place(position)
        return .syntax(message, line: line, column: column)
    }

    private func place(_ position: Int) -> (line: Int, column: Int) {
        let before = bytes[bytes.startIndex..<position]
        let line = before.reduce(1) { $1 == 0x0A ? $0 + 1 : $0 }
        let lineStart = before.lastIndex(of: 0x0A).map { $0 + 1 } ?? bytes.startIndex
        return (line, position - lineStart + 1)
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        guard depth < Self.deepest else { throw failure("nested deeper than \(Self.deepest) levels") }
        skipSpace()
        switch peek {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case nil: throw failure("the text ends where a value should stand")
        default: return .number(try number())
        }
    }

    private mutating func word(_ text: String, _ value: JSONValue) throws(JSONError) -> JSONValue {
        guard bytes[position...].starts(with: text.utf8) else { throw failure("expected a JSON value") }
        position += text.utf8.count
        return value
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
        position += 1
        var members: [JSONValue.Member] = []
        var keys: Set<String> = []
        skipSpace()
        if peek == UInt8(ascii: "}") {
            position += 1
            return .object([])
        }
        while true {
            skipSpace()
            guard peek == UInt8(ascii: "\"") else { throw failure("expected a key in double quotes") }
            let start = position
            let key = try string()
            guard keys.insert(key).inserted else {
                let (line, column) = place(start)
                throw .duplicateKey(key, line: line, column: column)
            }
            skipSpace()
            guard peek == UInt8(ascii: ":") else { throw failure("expected ':' after a key") }
            position += 1
            members.append(.init(key: key, value: try value(depth: depth + 1)))
            guard try another(closing: "}") else { return .object(members) }
        }
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
        position += 1
        var values: [JSONValue] = []
        skipSpace()
        if peek == UInt8(ascii: "]") {
            position += 1
            return .array([])
        }
        while true {
            values.append(try value(depth: depth + 1))
            guard try another(closing: "]") else { return .array(values) }
        }
    }

    /// Reads the comma (true) or the closing bracket (false) behind an element.
    private mutating func another(closing: Unicode.Scalar) throws(JSONError) -> Bool {
        skipSpace()
        let c = peek
        guard c == UInt8(ascii: ",") || c == UInt8(ascii: closing) else {
            throw failure("expected ',' or '\(closing)'")
        }
        position += 1
        return c == UInt8(ascii: ",")
    }

    private mutating func number() throws(JSONError) -> String {
        let start = position
        func isDigit(_ c: UInt8?) -> Bool { c.map { $0 >= 0x30 && $0 <= 0x39 } ?? false }
        if peek == UInt8(ascii: "-") { position += 1 }
        guard isDigit(peek) else { throw failure("expected a JSON value") }
        if peek == 0x30 { position += 1 } else { while isDigit(peek) { position += 1 } }
        if peek == UInt8(ascii: ".") {
            position += 1
            guard isDigit(peek) else { throw failure("expected a digit after the decimal point") }
            while isDigit(peek) { position += 1 }
        }
        if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
            position += 1
            if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { position += 1 }
            guard isDigit(peek) else { throw failure("expected a digit in the exponent") }
            while isDigit(peek) { position += 1 }
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func string() throws(JSONError) -> String {
        position += 1
        var content: [UInt8] = []
        while let c = peek {
            switch c {
            case UInt8(ascii: "\""):
                guard let text = String(validating: content, as: UTF8.self) else { throw failure("not valid UTF-8") }
                position += 1
                return text
            case UInt8(ascii: "\\"):
                position += 1
                content += try escape()
            case 0..<0x20: throw failure("a control character in a string; escape it")
            default:
                content.append(c)
                position += 1
            }
        }
        throw failure("the text ends inside a string")
    }

    private static let simpleEscapes: [UInt8: UInt8] = [
        UInt8(ascii: "\""): 0x22, UInt8(ascii: "\\"): 0x5C, UInt8(ascii: "/"): 0x2F, UInt8(ascii: "b"): 0x08,
        UInt8(ascii: "f"): 0x0C, UInt8(ascii: "n"): 0x0A, UInt8(ascii: "r"): 0x0D, UInt8(ascii: "t"): 0x09,
    ]

    private mutating func escape() throws(JSONError) -> [UInt8] {
        guard let c = peek else { throw failure("the text ends inside a string") }
        if let plain = Self.simpleEscapes[c] {
            position += 1
            return [plain]
        }
        guard c == UInt8(ascii: "u") else { throw failure("unknown escape in a string") }
        var code = try hexUnit()
        if (0xD800..<0xDC00).contains(code) {
            guard peek == UInt8(ascii: "\\"), position + 1 < bytes.endIndex, bytes[position + 1] == UInt8(ascii: "u")
            else { throw failure("half of a surrogate pair in a string") }
            position += 1
            let low = try hexUnit()
            guard (0xDC00..<0xE000).contains(low) else { throw failure("half of a surrogate pair in a string") }
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw failure("half of a surrogate pair in a string") }
        return Array(String(Character(scalar)).utf8)
    }

    /// Stands at the `u`; reads it and the four digits behind it.
    private mutating func hexUnit() throws(JSONError) -> UInt32 {
        position += 1
        guard bytes.endIndex - position >= 4 else { throw failure("the text ends inside a string") }
        var code: UInt32 = 0
        for c in bytes[position..<(position + 4)] {
            guard let digit = Character(Unicode.Scalar(c)).hexDigitValue, c < 0x80 else {
                throw failure("\\u needs four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
        }
        position += 4
        return code
    }
}
