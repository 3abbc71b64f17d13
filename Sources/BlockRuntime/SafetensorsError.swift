import ConvCore

/// Why a safetensors file cannot be used. The text is one line that names the file and, where it is one's fault, the
/// tensor.
public enum SafetensorsError: Error, Equatable, CustomStringConvertible {
    case unreadable(file: String, reason: String)
    case truncated(file: String, bytes: Int)
    case headerTooLong(file: String, header: UInt64, limit: Int)
    case headerBeyondFile(file: String, header: UInt64, bytes: Int)
    case headerNotJSON(file: String, reason: String)
    case headerNotObject(file: String)
    case duplicateTensor(file: String, tensor: String)
    case badMetadata(file: String)
    case badEntry(file: String, tensor: String, reason: String)
    case unknownType(file: String, tensor: String, type: String)
    case offsetsOutOfRange(file: String, tensor: String, begin: Int, end: Int, data: Int)
    case sizeMismatch(file: String, tensor: String, shape: [Int], type: String, bytes: Int)
    case sizeOverflow(file: String, tensor: String, shape: [Int])
    case overlap(file: String, tensor: String, other: String)
    case hole(file: String, tensor: String?, begin: Int, end: Int)
    case noTensor(file: String, tensor: String)
    case notFloat(file: String, tensor: String, type: String)
    case badContent(tensor: String, shape: [Int], count: Int)

    public var description: String { text.onOneLine }

    private var text: String {
        switch self {
        case .unreadable(let file, let reason): "\(file): cannot be read: \(reason)"
        case .truncated(let file, let bytes):
            "\(file): \(bytes) bytes are too few for a safetensors file, which starts with 8 bytes of header length; "
                + "export it anew"
        case .headerTooLong(let file, let header, let limit):
            "\(file): a header of \(header) bytes is over the limit of \(limit); this is not a safetensors file"
        case .headerBeyondFile(let file, let header, let bytes):
            "\(file): the header says it has \(header) bytes and the file has \(bytes); "
                + "it is cut off or not safetensors"
        case .headerNotJSON(let file, let reason): "\(file): the header is not JSON: \(reason)"
        case .headerNotObject(let file): "\(file): the header must be a JSON object from tensor names to their places"
        case .duplicateTensor(let file, let tensor): "\(file): the key '\(tensor)' stands in the header twice; keep one"
        case .badMetadata(let file): "\(file): __metadata__ must be an object from strings to strings"
        case .badEntry(let file, let tensor, let reason): "\(file): tensor '\(tensor)': \(reason)"
        case .unknownType(let file, let tensor, let type):
            "\(file): tensor '\(tensor)': unknown dtype \(type); save it as F32 or F64"
        case .offsetsOutOfRange(let file, let tensor, let begin, let end, let data):
            "\(file): tensor '\(tensor)': data_offsets [\(begin), \(end)] do not lie, in order, within the "
                + "\(data) bytes of data; the file is cut off or damaged"
        case .sizeMismatch(let file, let tensor, let shape, let type, let bytes):
            "\(file): tensor '\(tensor)': shape \(shape) of \(type) does not fill its \(bytes) bytes"
        case .sizeOverflow(let file, let tensor, let shape): "\(file): tensor '\(tensor)': shape \(shape) is too large"
        case .overlap(let file, let tensor, let other): "\(file): tensor '\(tensor)' overlaps tensor '\(other)'"
        case .hole(let file, let tensor, let begin, let end):
            "\(file): bytes \(begin) to \(end) of the data belong to no tensor"
                + (tensor.map { " (before tensor '\($0)')" } ?? " (behind the last one)")
        case .noTensor(let file, let tensor): "\(file): has no tensor '\(tensor)'"
        case .notFloat(let file, let tensor, let type):
            "\(file): tensor '\(tensor)' is \(type); save it as F32 or F64"
        case .badContent(let tensor, let shape, let count):
            "tensor '\(tensor)': shape \(shape) does not hold \(count) values"
        }
    }
}
