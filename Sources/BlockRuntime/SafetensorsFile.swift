/// A safetensors file in memory. Every check of its structure is made on opening; reading a tensor can then only fail
/// because it is not there or not of floats.
package struct SafetensorsFile: Sendable {
    /// The name that errors carry.
    package let path: String
    /// The header's `__metadata__`.
    package let metadata: [String: String]
    private let bytes: [UInt8]
    private let dataStart: Int
    private let entries: [SafetensorsHeader.Entry]
    private let index: [String: Int]

    /// Reads the whole file: one that is mapped would crash the process when somebody cuts it short.
    package init(_ path: String) throws(SafetensorsError) {
        let bytes: [UInt8]
        do throws(FileContent.Failure) {
            bytes = try FileContent.read(path)
        } catch {
            throw .unreadable(file: path, reason: error.reason)
        }
        try self.init(bytes: bytes, path: path)
    }

    /// The same from the file's content.
    package init(bytes: [UInt8], path: String) throws(SafetensorsError) {
        guard bytes.count >= 8 else { throw .truncated(file: path, bytes: bytes.count) }
        let length = bytes[0..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard length <= UInt64(SafetensorsHeader.longest) else {
            throw .headerTooLong(file: path, header: length, limit: SafetensorsHeader.longest)
        }
        guard length <= UInt64(bytes.count - 8) else {
            throw .headerBeyondFile(file: path, header: length, bytes: bytes.count)
        }
        dataStart = 8 + Int(length)
        let header = try SafetensorsHeader(
            json: bytes[8..<dataStart], data: bytes.count - dataStart, file: path)
        self.path = path
        self.bytes = bytes
        metadata = header.metadata
        entries = header.entries
        index = Dictionary(uniqueKeysWithValues: header.entries.enumerated().map { ($1.name, $0) })
    }

    /// All tensors, in the order of their data.
    package var names: [String] { entries.map(\.name) }

    /// nil where there is no such tensor.
    package func shape(of name: String) -> [Int]? { index[name].map { entries[$0].shape } }

    /// The type as the format names it, such as `F32`; nil where there is no such tensor.
    package func type(of name: String) -> String? { index[name].map { entries[$0].type } }

    /// Values in row-major order; F64 is rounded to the nearest float.
    package func tensor(named name: String) throws(SafetensorsError) -> (shape: [Int], values: [Float]) {
        let entry = try find(name)
        return (entry.shape, entry.type == "F32" ? floats(entry) : doubles(entry).map { Float($0) })
    }

    /// Values in row-major order, without rounding.
    package func doubles(named name: String) throws(SafetensorsError) -> (shape: [Int], values: [Double]) {
        let entry = try find(name)
        return (entry.shape, entry.type == "F32" ? floats(entry).map { Double($0) } : doubles(entry))
    }

    private func find(_ name: String) throws(SafetensorsError) -> SafetensorsHeader.Entry {
        guard let place = index[name] else { throw .noTensor(file: path, tensor: name) }
        let entry = entries[place]
        guard entry.type == "F32" || entry.type == "F64" else {
            throw .notFloat(file: path, tensor: name, type: entry.type)
        }
        return entry
    }

    private func floats(_ entry: SafetensorsHeader.Entry) -> [Float] {
        words(entry, UInt32.self).map { Float(bitPattern: UInt32(littleEndian: $0)) }
    }

    private func doubles(_ entry: SafetensorsHeader.Entry) -> [Double] {
        words(entry, UInt64.self).map { Double(bitPattern: UInt64(littleEndian: $0)) }
    }

    /// The data need not be aligned.
    private func words<Word: FixedWidthInteger>(_ entry: SafetensorsHeader.Entry, _: Word.Type) -> [Word] {
        let size = MemoryLayout<Word>.size
        return bytes.withUnsafeBytes { raw in
            let start = dataStart + entry.range.lowerBound
            return (0..<(entry.range.count / size)).map {
                raw.loadUnaligned(fromByteOffset: start + $0 * size, as: Word.self)
            }
        }
    }
}
