import BlockRuntime
import ConvCore
import Foundation
import Testing

@Suite("Safetensors")
struct SafetensorsTests {
    /// A file with this header and so many bytes of data.
    static func bytes(_ header: String, data: Int) -> [UInt8] {
        let length = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }
        return length + Array(header.utf8) + [UInt8](repeating: 0, count: data)
    }

    static func message(_ header: String, data: Int) -> String {
        Fixtures.message { _ = try SafetensorsFile(bytes: bytes(header, data: data), path: "f") }
    }

    static func entry(_ name: String, _ type: String = "F32", _ shape: String = "[2]", _ offsets: String) -> String {
        "\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":\(offsets)}"
    }

    @Test func whatIsWrittenReadsBack() throws {
        let tensors: [SafetensorsTensor] = [
            .init("z", shape: [2, 2], .f32([1, -0.0, .leastNonzeroMagnitude, .infinity])),
            .init("a \"quoted\"\n\u{1}é", shape: [], .f64([0.1])), .init("empty", shape: [0, 3], .f32([])),
        ]
        let metadata = ["b": "2", "a": "\\"]
        let bytes = try SafetensorsWriter.bytes(of: tensors, metadata: metadata)
        #expect(try SafetensorsWriter.bytes(of: tensors.reversed(), metadata: metadata) == bytes)
        let file = try SafetensorsFile(bytes: bytes, path: "f")
        #expect(file.metadata == metadata)
        #expect(try file.tensor(named: "z").values.map(\.bitPattern)
            == [1, -0.0, .leastNonzeroMagnitude, .infinity].map { (x: Float) in x.bitPattern })
        #expect(file.shape(of: "z") == [2, 2])
        #expect(file.type(of: "a \"quoted\"\n\u{1}é") == "F64")
        #expect(try file.doubles(named: "a \"quoted\"\n\u{1}é").values == [0.1])
        #expect(try file.tensor(named: "a \"quoted\"\n\u{1}é").values == [0.1])
        #expect(try file.tensor(named: "empty").values.isEmpty)
        try Fixtures.withTemporary("out.safetensors") { path in
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            #expect(try SafetensorsFile(path).names == file.names)
        }
    }

    @Test func theWriterRefusesContradictions() {
        #expect(Fixtures.message { _ = try SafetensorsWriter.bytes(of: [.init("a", shape: [3], .f32([1]))]) }
            == "tensor 'a': shape [3] does not hold 1 values")
        #expect(Fixtures.message { _ = try SafetensorsWriter.bytes(of: [.init("a", shape: [.max, 2], .f32([1]))]) }
            .hasPrefix("tensor 'a'"))
        let twice = SafetensorsTensor("a", shape: [], .f32([1]))
        #expect(Fixtures.message { _ = try SafetensorsWriter.bytes(of: [twice, twice]) }.contains("'a'"))
    }

    @Test func unreadableAndTruncatedFiles() throws {
        #expect(Fixtures.message { _ = try SafetensorsFile("/nowhere/x") }
            == "/nowhere/x: cannot be read: No such file or directory")
        #expect(Fixtures.message { _ = try SafetensorsFile("/") }.hasPrefix("/: cannot be read: Is a directory"))
        for count in 0..<8 {
            let text = Fixtures.message { _ = try SafetensorsFile(bytes: .init(repeating: 0, count: count), path: "f") }
            #expect(text.hasPrefix("f: \(count) bytes are too few"))
        }
        let whole = try [UInt8](Data(contentsOf: URL(fileURLWithPath: Fixtures.path(ParameterTests.listing))))
        for count in stride(from: 8, to: whole.count, by: 4999) {
            let text = Fixtures.message { _ = try SafetensorsFile(bytes: Array(whole[..<count]), path: "f") }
            #expect(text.hasPrefix("f: ") && text.contains("cut off"))
        }
        let tail = Fixtures.message { _ = try SafetensorsFile(bytes: whole + [0], path: "f") }
        #expect(tail.contains("belong to no tensor (behind the last one)"))
    }

    @Test func badHeaders() {
        var huge = Self.bytes("{}", data: 0)
        huge[7] = 0xFF
        #expect(Fixtures.message { _ = try SafetensorsFile(bytes: huge, path: "f") }.contains("over the limit"))
        var long = Self.bytes("{}", data: 0)
        long[0] = 3
        #expect(Fixtures.message { _ = try SafetensorsFile(bytes: long, path: "f") }.contains("cut off"))
        let broken = [
            "", "{", "{]", "nul", "{\"a\"}", "{\"a\":}", "{} {}", "\u{FF}", "{\"\\ud800\":1}", "{\"a\":01}",
        ]
        for header in broken {
            #expect(Self.message(header, data: 0).hasPrefix("f: the header is not JSON: line 1, column "), "\(header)")
        }
        #expect(Self.message(String(repeating: "[", count: 1 << 20), data: 0).contains("nested deeper than 64"))
        #expect(Self.message("[]", data: 0).hasPrefix("f: the header must be a JSON object"))
        #expect(Self.message("{}", data: 0) == "no error")
        #expect(Self.message("{\"__metadata__\":{\"a\":1}}", data: 0).contains("__metadata__"))
        #expect(Self.message("{\"__metadata__\":[]}", data: 0).contains("__metadata__"))
    }

    @Test(arguments: [
        ("", "F32", "[2]", "[0,8]", 8, "no error"),
        ("", "F32", "[2]", "[0,8]", 7, "do not lie"),
        ("", "F32", "[2]", "[8,0]", 8, "do not lie"),
        ("", "F32", "[2]", "[0,9223372036854775807]", 8, "do not lie"),
        ("", "F32", "[2]", "[0,9223372036854775808]", 8, "data_offsets must be two whole numbers"),
        ("", "F32", "[2]", "[-8,0]", 8, "data_offsets must be two whole numbers"),
        ("", "F32", "[2]", "[0]", 8, "data_offsets must be two whole numbers"),
        ("", "F32", "[2]", "[0,8.0]", 8, "data_offsets must be two whole numbers"),
        ("", "F32", "[-2]", "[0,8]", 8, "shape must be a list"),
        ("", "F32", "2", "[0,8]", 8, "shape must be a list"),
        ("", "F32", "[3]", "[0,8]", 8, "shape [3] of F32 does not fill its 8 bytes"),
        ("", "F64", "[2]", "[0,8]", 8, "shape [2] of F64 does not fill its 8 bytes"),
        ("", "F32", "[9223372036854775807,9]", "[0,8]", 8, "too large"),
        ("", "F32", "[4294967296,4294967296]", "[0,0]", 0, "too large"),
        ("", "F4", "[3]", "[0,1]", 1, "does not fill"),
        ("", "f32", "[2]", "[0,8]", 8, "unknown dtype f32"),
        ("", "F32", "[1]", "[4,8]", 8, "bytes 0 to 4 of the data belong to no tensor (before tensor 'a')"),
        ("\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},", "F32", "[2]", "[4,12]", 12,
         "tensor 'a' overlaps tensor 'b'"),
        ("\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},", "F32", "[2]", "[0,8]", 8,
         "the key 'a' stands in the header twice"),
        ("\"b\":7,", "F32", "[2]", "[0,8]", 8, "tensor 'b': expected an object"),
        ("\"b\":{\"dtype\":\"F32\"},", "F32", "[2]", "[0,8]", 8, "tensor 'b': shape must be"),
        ("\"b\":{\"size\":1},", "F32", "[2]", "[0,8]", 8, "tensor 'b': unknown key 'size'"),
    ])
    func badEntries(head: String, type: String, shape: String, offsets: String, data: Int, expected: String) {
        let text = Self.message("{\(head)\(Self.entry("a", type, shape, offsets))}", data: data)
        #expect(text.contains(expected), "\(text)")
        #expect(text == "no error" || text.hasPrefix("f: "))
        #expect(!text.contains("\n"))
    }

    @Test func othersThanFloatsAreToldOnReading() throws {
        let header = "{\(Self.entry("i", "I64", "[]", "[0,8]")),\(Self.entry("h", "F16", "[2]", "[8,12]"))}"
        let file = try SafetensorsFile(bytes: Self.bytes(header, data: 12), path: "f")
        #expect(Fixtures.message { _ = try file.tensor(named: "i") } == "f: tensor 'i' is I64; save it as F32 or F64")
        #expect(Fixtures.message { _ = try file.doubles(named: "h") } == "f: tensor 'h' is F16; save it as F32 or F64")
        #expect(Fixtures.message { _ = try file.tensor(named: "j") } == "f: has no tensor 'j'")
    }
}
