/// The names, types, shapes and places of a safetensors file's tensors, checked completely.
///
/// Source of the format: huggingface/safetensors, README.md: 8 bytes of header length (little endian), a JSON header,
/// then the data; the tensors cover the data without overlap or hole.
struct SafetensorsHeader {
    struct Entry: Sendable {
        let name: String
        let type: String
        let shape: [Int]
        /// Bytes from the start of the data.
        let range: Range<Int>
    }

    /// In the order of their data.
    let entries: [Entry]
    let metadata: [String: String]

    private static let entryKeys = ["dtype", "shape", "data_offsets"]

    /// The format's own limit, in bytes.
    static let longest = 100_000_000

    /// Bits a value of each type of the format has.
    static let bits: [String: Int] = [
        "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
        "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64,
        "C64": 64,
    ]

    /// `json` is the header's text, `data` the bytes that follow it, `file` the name for errors.
    init(json: ArraySlice<UInt8>, data: Int, file: String) throws(SafetensorsError) {
        let root: JSONValue
        do throws(JSONError) {
            root = try JSONValue(parsing: json)
        } catch {
            // Those of an entry are told by their place.
            if case .duplicateKey(let key, _, _) = error, !Self.entryKeys.contains(key) { throw .duplicateTensor(file: file, tensor: key) }
            throw .headerNotJSON(file: file, reason: error.text)
        }
        guard case .object(let members) = root else { throw .headerNotObject(file: file) }
        var entries: [Entry] = []
        var metadata: [String: String] = [:]
        for member in members {
            if member.key == "__metadata__" {
                metadata = try Self.metadata(member.value, file: file)
            } else {
                entries.append(try Self.entry(member.key, member.value, data: data, file: file))
            }
        }
        // Empty tensors first, where several begin at one byte.
        entries.sort {
            ($0.range.lowerBound, $0.range.upperBound, $0.name) < ($1.range.lowerBound, $1.range.upperBound, $1.name)
        }
        try Self.checkCover(entries, data: data, file: file)
        self.entries = entries
        self.metadata = metadata
    }

    private static func metadata(_ value: JSONValue, file: String) throws(SafetensorsError) -> [String: String] {
        guard case .object(let members) = value else { throw .badMetadata(file: file) }
        var result: [String: String] = [:]
        for member in members {
            guard case .string(let text) = member.value else { throw .badMetadata(file: file) }
            result[member.key] = text
        }
        return result
    }

    private static func entry(
        _ name: String, _ value: JSONValue, data: Int, file: String
    ) throws(SafetensorsError) -> Entry {
        func bad(_ reason: String) -> SafetensorsError { .badEntry(file: file, tensor: name, reason: reason) }
        guard case .object(let members) = value else { throw bad("expected an object with dtype, shape, data_offsets") }
        var type: String?
        var shape: [Int]?
        var offsets: [Int]?
        for member in members {
            switch (member.key, member.value) {
            case ("dtype", .string(let text)): type = text
            case ("shape", .array(let values)): shape = sizes(values)
            case ("data_offsets", .array(let values)): offsets = sizes(values)
            case ("dtype", _), ("shape", _), ("data_offsets", _): break
            default: throw bad("unknown key '\(member.key)'; the keys are dtype, shape and data_offsets")
            }
        }
        guard let type else { throw bad("dtype must be a string") }
        guard let shape else { throw bad("shape must be a list of whole numbers from 0") }
        guard let offsets, offsets.count == 2 else { throw bad("data_offsets must be two whole numbers from 0") }
        guard let bits = bits[type] else { throw .unknownType(file: file, tensor: name, type: type) }
        let (begin, end) = (offsets[0], offsets[1])
        guard begin <= end, end <= data else {
            throw .offsetsOutOfRange(file: file, tensor: name, begin: begin, end: end, data: data)
        }
        guard let size = product(shape + [bits]) else { throw .sizeOverflow(file: file, tensor: name, shape: shape) }
        guard size % 8 == 0, size / 8 == end - begin else {
            throw .sizeMismatch(file: file, tensor: name, shape: shape, type: type, bytes: end - begin)
        }
        return Entry(name: name, type: type, shape: shape, range: begin..<end)
    }

    /// All of them whole and not negative, or nil.
    private static func sizes(_ values: [JSONValue]) -> [Int]? {
        let sizes = values.compactMap(\.integer).filter { $0 >= 0 }
        return sizes.count == values.count ? sizes : nil
    }

    /// nil where it is not representable.
    static func product(_ factors: [Int]) -> Int? {
        var product = 1
        for factor in factors {
            let (next, overflow) = product.multipliedReportingOverflow(by: factor)
            guard !overflow else { return nil }
            product = next
        }
        return product
    }

    private static func checkCover(_ entries: [Entry], data: Int, file: String) throws(SafetensorsError) {
        var covered = 0
        var last = ""
        for entry in entries {
            guard entry.range.lowerBound >= covered else {
                throw .overlap(file: file, tensor: entry.name, other: last)
            }
            guard entry.range.lowerBound == covered else {
                throw .hole(file: file, tensor: entry.name, begin: covered, end: entry.range.lowerBound)
            }
            covered = entry.range.upperBound
            last = entry.name
        }
        guard covered == data else { throw .hole(file: file, tensor: nil, begin: covered, end: data) }
    }
}
