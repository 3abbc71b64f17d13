import ConvCore

/// NumPy's array file, version 1 to 3: float32 or float64 values in C order.
/// Source of the format: NumPy enhancement proposal 1, and `numpy.lib.format`.
package struct NPYFile: Sendable {
    package let shape: [Int]
    package let values: [Float]

    package init(shape: [Int], values: [Float]) {
        precondition(shape.reduce(1, *) == values.count, "the shape does not hold the values")
        self.shape = shape
        self.values = values
    }

    /// Reads a file; float64 is rounded to the nearest float. Throws ``NPYError``.
    package init(_ path: String) throws(NPYError) {
        let bytes: [UInt8]
        do throws(FileContent.Failure) {
            bytes = try FileContent.read(path)
        } catch {
            throw .unreadable(file: path, reason: error.reason)
        }
        try self.init(bytes: bytes, path: path)
    }

    /// The same from the file's content.
    package init(bytes: [UInt8], path: String) throws(NPYError) {
        guard bytes.count >= 12, bytes.starts(with: Self.magic), (1...3).contains(bytes[6]) else { throw .notNPY(file: path) }
        let long = bytes[6] > 1
        let start = long ? 12 : 10
        let length = bytes[8..<start].reversed().reduce(0) { $0 << 8 | Int($1) }
        guard length <= bytes.count - start else { throw .truncated(file: path) }
        let header = String(decoding: bytes[start..<start + length], as: UTF8.self)
        guard let order = header.firstMatch(of: /['"]fortran_order['"]\s*:\s*(True|False)/)?.1 else { throw .notNPY(file: path) }
        guard order == "False" else {
            throw .unsupported(file: path, "is in Fortran order; save numpy.ascontiguousarray(x)")
        }
        guard let type = header.firstMatch(of: /['"]descr['"]\s*:\s*['"]([^'"]*)['"]/)?.1, type == "<f4" || type == "<f8" else {
            throw .unsupported(file: path, "does not hold little-endian floats; save x.astype('<f4')")
        }
        guard let text = header.firstMatch(of: /['"]shape['"]\s*:\s*\(([^)]*)\)/)?.1 else { throw .notNPY(file: path) }
        var shape: [Int] = []
        var count = 1
        for part in text.split(whereSeparator: { $0 == "," || $0 == " " }) {
            guard let size = Int(part), size >= 0, case let (product, overflow) = count.multipliedReportingOverflow(by: size), !overflow
            else { throw .unsupported(file: path, "has the shape (\(text)), which no array has; save it anew with numpy.save") }
            shape.append(size)
            count = product
        }
        let width = type == "<f4" ? 4 : 8
        guard count <= Int.max / 8, bytes.count - start - length == count * width else { throw .truncated(file: path) }
        self.shape = shape
        values = bytes.withUnsafeBytes { raw in
            (0..<count).map { index in
                let at = start + length + index * width
                return width == 4
                    ? Float(bitPattern: UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
                    : Float(Double(bitPattern: UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: UInt64.self))))
            }
        }
    }

    /// The file's content, version 1, `<f4`.
    package var bytes: [UInt8] {
        let sizes = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
        var header = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(sizes)), }"
        // The data begin at a multiple of 64.
        header += String(repeating: " ", count: (64 - (10 + header.utf8.count + 1) % 64) % 64) + "\n"
        let length = header.utf8.count
        var result = Self.magic + [1, 0, UInt8(length & 255), UInt8(length >> 8)] + Array(header.utf8)
        result.reserveCapacity(result.count + 4 * values.count)
        for value in values { withUnsafeBytes(of: value.bitPattern.littleEndian) { result.append(contentsOf: $0) } }
        return result
    }

    private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
}

/// Why a file is no array that can be used. One line with the file and what to do.
package enum NPYError: Error, Equatable, CustomStringConvertible {
    case unreadable(file: String, reason: String)
    case notNPY(file: String)
    case truncated(file: String)
    case unsupported(file: String, String)

    package var description: String { text.onOneLine }

    private var text: String {
        switch self {
        case .unreadable(let file, let reason): "\(file): \(reason); write the name of an .npy file"
        case .notNPY(let file): "\(file): is no .npy file; save one with numpy.save"
        case .truncated(let file): "\(file): its length is not what its header says; save it anew"
        case .unsupported(let file, let what): "\(file): \(what)"
        }
    }
}
