import ConvCore

/// Why a block file does not read. The text names the file, the key and what to write.
public enum BlockFileError: Error, Equatable, CustomStringConvertible {
    case unreadable(file: String, reason: String)
    case notJSON(file: String, reason: String)
    case unknownKey(file: String, key: String, known: [String])
    case missingKey(file: String, key: String)
    case wrongValue(file: String, key: String, value: String, expected: String)
    case invalid(file: String, BlockError)

    public var description: String { text.onOneLine }

    private var text: String {
        switch self {
        case .unreadable(let file, let reason): "\(file): cannot be read: \(reason)"
        case .notJSON(let file, let reason): "\(file): not JSON: \(reason)\(file.hasSuffix(".json") ? "" : "; parameters end in .safetensors, a block file is JSON")"
        case .unknownKey(let file, let key, let known):
            "\(file): unknown key \(key); the keys here are \(known.joined(separator: ", "))"
        case .missingKey(let file, let key): "\(file): has no \(key); write it"
        case .wrongValue(let file, let key, let value, let expected):
            "\(file): \(key) is \(value); write \(expected)"
        case .invalid(let file, let error): "\(file): \(error)"
        }
    }
}
