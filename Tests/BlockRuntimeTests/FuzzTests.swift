import BlockRuntime
import ConvCore
import Foundation
import KernelRegistry
import Testing

/// Damages a text or a file in a few places.
struct Mutator {
    var random: RandomSource
    /// Signs that mean something in the format.
    let signs: [UInt8]

    init(seed: UInt64, signs: String) {
        random = RandomSource(seed: seed)
        self.signs = Array(signs.utf8)
    }

    /// Bytes, digits, signs, cuts, repeated and lost pieces, within `places`.
    mutating func damage(_ bytes: inout [UInt8], _ places: Range<Int>) {
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let places = places.clamped(to: 0..<bytes.count)
            guard !places.isEmpty else { return }
            let place = Int.random(in: places, using: &random)
            switch Int.random(in: 0..<7, using: &random) {
            case 0: bytes[place] = .random(in: 0...255, using: &random)
            case 1, 2:
                // The next digit becomes another, or many.
                guard let digit = bytes[place..<places.upperBound].firstIndex(where: { (0x30...0x39).contains($0) }) else { continue }
                let length = Int.random(in: 0..<8, using: &random) == 0 ? 19 : 1
                bytes.replaceSubrange(digit...digit, with: (0..<length).map { _ in .random(in: 0x30...0x39, using: &random) })
            case 3: bytes[place] = signs.randomElement(using: &random)!
            case 4: bytes.removeSubrange(place..<min(places.upperBound, place + Int.random(in: 1...8, using: &random)))
            case 5:
                let piece = Array(bytes[place..<min(places.upperBound, place + Int.random(in: 1...40, using: &random))])
                bytes.insert(contentsOf: piece, at: Int.random(in: places, using: &random))
            default: if Int.random(in: 0..<4, using: &random) == 0 { bytes.removeLast(bytes.count - place) }
            }
        }
    }
}

/// Whatever comes of damaged input is a value or an error of one line that names the file, and never a trap: a million inputs.
@Suite("Damaged files")
struct FuzzTests {
    /// A debug build is thirty times slower, and finds the same.
    static func rounds(_ count: Int) -> Int {
        #if DEBUG
        count / 50
        #else
        count
        #endif
    }

    /// Runs `read` on so many damaged copies; counts what came of them by the error's type, `read` where there was none.
    static func outcomes(
        _ count: Int, of whole: [UInt8], places: Range<Int>, seed: UInt64, signs: String, read: ([UInt8]) throws -> Void
    ) -> [String: Int] {
        var mutator = Mutator(seed: seed, signs: signs)
        var outcomes: [String: Int] = [:]
        for round in 0..<rounds(count) {
            var bytes = whole
            mutator.damage(&bytes, places)
            do {
                try read(bytes)
                outcomes["read", default: 0] += 1
            } catch {
                let text = "\(error)"
                if !text.hasPrefix("f:") || text.contains("\n") { Issue.record("round \(round): \(text)") }
                outcomes["\(type(of: error))", default: 0] += 1
            }
        }
        return outcomes
    }

    @Test func safetensors() throws {
        let tensors: [SafetensorsTensor] = [
            .init("input", shape: [1, 2, 1, 2], .f32([1, 2, 3, 4])), .init("a.b", shape: [2], .f64([1, 2])), .init("c", shape: [], .f32([1])),
        ]
        let whole = try SafetensorsWriter.bytes(of: tensors, metadata: ["variant": "literal", "cin": "2"])
        let header = 8 + Int(whole[0]) + Int(whole[1]) << 8
        let outcomes = Self.outcomes(600_000, of: whole, places: 0..<header, seed: 20, signs: "{}[]\",:\\-9e.") { bytes in
            let file = try SafetensorsFile(bytes: bytes, path: "f")
            for name in file.names { _ = try? file.doubles(named: name) }
        }
        #expect(outcomes["SafetensorsError", default: 0] > Self.rounds(300_000))
        #expect(outcomes["read", default: 0] > Self.rounds(10_000))
    }

    /// A whole block of two channels, its header or its values damaged.
    @Test func parameters() throws {
        let description = BlockDescription(
            name: "b", cin: 2, cout: 1, branches: [[.init(kernel: 1)]], residual: nil, fuse: .plain, activation: .relu)
        var tensors = try description.units().flatMap(\.tensors).map { tensor in
            SafetensorsTensor(tensor.name, shape: tensor.shape, .f32([Float](repeating: 1, count: tensor.shape.reduce(1, *))))
        }
        for (name, channels) in [("input", 2), ("act.compress", 1), ("output", 1)] {
            tensors.append(SafetensorsTensor(name, shape: [1, channels, 2, 1], .f32([Float](repeating: 1, count: 2 * channels))))
        }
        let whole = try SafetensorsWriter.bytes(of: tensors, metadata: ["block": description.json])
        let header = 8 + Int(whole[0]) + Int(whole[1]) << 8
        #expect(throws: Never.self) { try BlockParameters(file: SafetensorsFile(bytes: whole, path: "f")) }
        for (count, places, seed) in [(60_000, 8..<header, UInt64(21)), (40_000, header..<whole.count, 22)] {
            let outcomes = Self.outcomes(count, of: whole, places: places, seed: seed, signs: "{}[]\",:\\-9e.") { bytes in
                let file = try SafetensorsFile(bytes: bytes, path: "f")
                _ = try BlockParameters(file: file)
                _ = try BlockCheck(file: file)
            }
            #expect(outcomes["read", default: 0] > Self.rounds(100))
            #expect(outcomes["SafetensorsError", default: 0] > 0 && outcomes["ParameterError", default: 0] > Self.rounds(100))
        }
    }

    @Test func blockFiles() {
        let whole = Array(BlockDescription(.rfb).json.utf8)
        let outcomes = Self.outcomes(150_000, of: whole, places: 0..<whole.count, seed: 23, signs: "{}[]\",:\\-9e.tfn") { bytes in
            let block = try BlockDescription(json: String(decoding: bytes, as: UTF8.self), file: "f")
            // Whatever reads can be spelled out as units, at a size or with a reason.
            _ = try? block.layerProblems(size: BlockSize(cin: block.cin ?? 4, height: 3, width: 2))
        }
        #expect(outcomes["BlockFileError", default: 0] > Self.rounds(50_000) && outcomes["read", default: 0] > Self.rounds(5_000))
    }

    @Test func arrays() {
        let whole = NPYFile(shape: [1, 2, 3, 1], values: [1, 2, 3, 4, 5, 6]).bytes
        // A dictionary as Python reads it.
        let spelled = String(decoding: whole[10..<128], as: UTF8.self).replacing("'", with: "\"").replacing("\":", with: "\" :").prefix(118)
        let other = try? NPYFile(bytes: Array(whole[..<10]) + Array(spelled.utf8) + whole[128...], path: "f")
        #expect(other?.shape == [1, 2, 3, 1] && other?.values == [1, 2, 3, 4, 5, 6])
        let outcomes = Self.outcomes(70_000, of: whole, places: 0..<whole.count, seed: 24, signs: "(){}':,<f48TF") { bytes in
            _ = try NPYFile(bytes: bytes, path: "f")
        }
        #expect(outcomes["NPYError", default: 0] > Self.rounds(20_000) && outcomes["read", default: 0] > Self.rounds(5_000))
    }

    @Test func plans() throws {
        let size = BlockSize(cin: 4, height: 3, width: 3)
        let units = try BlockDescription(.listing).units(cin: 4)
        let registry = PlannedBlockTests.registry
        let stages = try BlockPlan.standardStages(units: units, size: size, threads: 1, registry: registry)
        let whole = Array(try BlockPlan(stages, units: units, size: size, threads: 1, ns: stages.map { _ in 5 }).text.utf8)
        let outcomes = Self.outcomes(80_000, of: whole, places: 0..<whole.count, seed: 25, signs: ",+@-_\n9 nmk") { bytes in
            let plan = try BlockPlan(parsing: String(decoding: bytes, as: UTF8.self), file: "f")
            _ = try plan.stages(units: units, size: size, registry: registry)
        }
        #expect(outcomes["PlanError", default: 0] > Self.rounds(40_000) && outcomes["read", default: 0] > Self.rounds(1_000))
    }
}
