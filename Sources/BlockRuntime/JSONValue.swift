/// A JSON text as a value. Unlike Foundation's reader it keeps numbers as written, keeps the order of keys, tells
/// booleans from numbers, and refuses duplicate keys, so that a file has one reading only.
enum JSONValue: Equatable {
    case null
    case bool(Bool)
    /// As written: `1`, `-2.5e3`.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([Member])

    struct Member: Equatable {
        let key: String
        let value: JSONValue
    }

    /// A whole number in Int's range; nil for anything else, `1.0` included.
    var integer: Int? {
        guard case .number(let text) = self else { return nil }
        return Int(text)
    }

    var real: Double? {
        guard case .number(let text) = self else { return nil }
        return Double(text)
    }

    /// What stands there, for an error's text.
    var summary: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(let text): text
        case .string(let text): "\"\(text.prefix(40))\""
        case .array: "a list"
        case .object: "an object"
        }
    }

    /// Reads a whole text; white space may follow. Throws ``JSONError``.
    init(parsing bytes: ArraySlice<UInt8>) throws(JSONError) {
        var parser = JSONParser(bytes)
        self = try parser.document()
    }

    init(parsing text: String) throws(JSONError) { try self.init(parsing: Array(text.utf8)[...]) }

    /// `text` between quotes, escaped.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case "\r": result += "\\r"
            case _ where scalar.value < 0x20:
                let hex = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// Where and why a text is not JSON.
enum JSONError: Error, Equatable {
    /// `line` and `column` count from 1.
    case syntax(String, line: Int, column: Int)
    case duplicateKey(String, line: Int, column: Int)

    /// `line 3, column 7: expected ':' after a key`
    var text: String {
        switch self {
        case .syntax(let message, let line, let column): "line \(line), column \(column): \(message)"
        case .duplicateKey(let key, let line, let column):
            "line \(line), column \(column): the key \"\(key)\" stands there twice; keep one"
        }
    }
}
