/// A named tensor that is to be written.
package struct SafetensorsTensor: Sendable, Equatable {
    package enum Values: Sendable, Equatable {
        case f32([Float])
        case f64([Double])
    }

    package let name: String
    package let shape: [Int]
    /// Row-major.
    package let values: Values

    package init(_ name: String, shape: [Int], _ values: Values) {
        self.name = name
        self.shape = shape
        self.values = values
    }
}

/// Makes safetensors files, the same bytes for the same tensors: they are sorted by name, and so is the metadata.
package enum SafetensorsWriter {
    /// The content of a file. Throws where a shape contradicts its values or a name stands twice.
    package static func bytes(
        of tensors: [SafetensorsTensor], metadata: [String: String] = [:]
    ) throws(SafetensorsError) -> [UInt8] {
        var header: [String] = []
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key < $1.key }
                .map { "\(JSONValue.quoted($0.key)):\(JSONValue.quoted($0.value))" }
            header.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
        }
        var data: [UInt8] = []
        var last: String?
        for tensor in tensors.sorted(by: { $0.name < $1.name }) {
            guard tensor.name != last, tensor.name != "__metadata__" else {
                throw .duplicateTensor(file: "a safetensors file", tensor: tensor.name)
            }
            last = tensor.name
            let begin = data.count
            let (type, count) = append(tensor.values, to: &data)
            guard tensor.shape.allSatisfy({ $0 >= 0 }), SafetensorsHeader.product(tensor.shape) == count else {
                throw .badContent(tensor: tensor.name, shape: tensor.shape, count: count)
            }
            let shape = tensor.shape.map(String.init).joined(separator: ",")
            header.append(
                "\(JSONValue.quoted(tensor.name)):"
                    + "{\"dtype\":\"\(type)\",\"shape\":[\(shape)],\"data_offsets\":[\(begin),\(data.count)]}")
        }
        var json = Array("{\(header.joined(separator: ","))}".utf8)
        while json.count % 8 != 0 { json.append(0x20) }  // the data is aligned to 8 bytes
        return littleEndian(UInt64(json.count)) + json + data
    }

    private static func append(_ values: SafetensorsTensor.Values, to data: inout [UInt8]) -> (String, Int) {
        switch values {
        case .f32(let values):
            for value in values { data += littleEndian(value.bitPattern) }
            return ("F32", values.count)
        case .f64(let values):
            for value in values { data += littleEndian(value.bitPattern) }
            return ("F64", values.count)
        }
    }

    private static func littleEndian<Word: FixedWidthInteger>(_ word: Word) -> [UInt8] {
        withUnsafeBytes(of: word.littleEndian) { Array($0) }
    }
}
