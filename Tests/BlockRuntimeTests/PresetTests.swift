import BlockRuntime
import ConvCore
import Testing

@Suite("Presets")
struct PresetTests {
    static let everything = PresetOptions(sizes: PresetOptions.commonSizes, batches: [1, 4, 8], dense: true)

    @Test func theNames() {
        #expect(Preset.all.map(\.name) == ["smoke", "yolov5n", "yolov5s", "yolov5m", "yolov5l", "yolov5x", "yolov5", "yolov5-blocks"])
        #expect(Preset.all.allSatisfy { !$0.summary.isEmpty && !$0.summary.contains("\n") })
        #expect(Fixtures.message { _ = try Preset.named("yolov5z") }
            == "unknown preset 'yolov5z'; the presets are smoke, yolov5n, yolov5s, yolov5m, yolov5l, yolov5x, yolov5, yolov5-blocks")
    }

    @Test(arguments: Preset.all.map(\.name))
    func problemsAndTheirNamesAreUnique(name: String) throws {
        let preset = try Preset.named(name)
        for options in [PresetOptions(), Self.everything] {
            let problems = try preset.problems(options)
            #expect(Set(problems).count == problems.count)
            #expect(Set(problems.compactMap(\.name)).count == problems.count)
            for problem in problems {
                let label = try #require(problem.name)
                #expect(!label.contains { $0.isWhitespace || $0 == "\"" })
                let back = try Problem(parsing: "\(problem)")
                #expect(back == problem && back.name == problem.name)
            }
        }
    }

    @Test func smokeIsSmallAndOfEveryKind() throws {
        let problems = try Preset.named("smoke").problems()
        #expect(Set(problems.map(\.layer)) == Set(Layer.convolutions))
        #expect(problems.reduce(0) { $0 + $1.nominalMACs } < 5e6)
        #expect(problems.contains { $0.layer == .dw && $0.dilationH > $0.ih && $0.kh == 9 })
        #expect(problems.contains { $0.layer == .conv && $0.groups > 1 })
        #expect(problems.contains { $0.layer == .conv && $0.strideH == 2 })
        #expect(problems.contains { $0.layer == .dw && $0.ic % 2 == 1 })
        #expect(try Preset.named("smoke").blocks().isEmpty)
    }

    @Test func widthsAndMapsAreThoseOfYOLOv5() throws {
        let channels = [
            "n": [64, 128, 256], "s": [128, 256, 512], "m": [192, 384, 768], "l": [256, 512, 1024],
            "x": [320, 640, 1280],
        ]
        for (model, expected) in channels {
            let blocks = try Preset.named("yolov5\(model)").blocks(.init(variants: [.literal]))
            #expect(blocks.map { $0.size.cin } == expected)
            #expect(blocks.map { $0.size.cout } == expected)
            #expect(blocks.map { $0.size.height } == [80, 40, 20])
            #expect(blocks.map(\.name) == ["p3", "p4", "p5"].map { "\(model)-\($0)-literal" })
        }
        #expect(try Preset.named("yolov5").blocks().count == 5 * 3 * 3)
        let maps = try Preset.named("yolov5s").blocks(.init(sizes: [416], variants: [.rfb], batches: [4]))
        #expect(maps.map { $0.size.height } == [52, 26, 13])
        #expect(maps.map { $0.size.batch } == [4, 4, 4])
        #expect(maps[2].name == "s-p5-rfb-i416-b4")
    }

    @Test func layersOfAModel() throws {
        let problems = try Preset.named("yolov5s").problems()
        let names = problems.compactMap(\.name)
        let roles = [
            "compress", "dw3d2", "pw", "dw3d3", "dw3d4", "residual", "fuse", "compress-dw", "dw5d5", "dw7d7", "dw9d9",
            "fuse-dw", "fuse-pw", "dw5d1", "pw-mid", "dw3d5", "dw7d1", "dw3d7", "dw9d1", "dw3d9",
        ]
        #expect(names == ["p3", "p4", "p5"].flatMap { level in roles.map { "s-\(level)-\($0)" } })
        let byName = Dictionary(uniqueKeysWithValues: zip(names, problems))
        #expect(try byName["s-p5-dw5d5"] == Problem(parsing: "dw:c256h20k5d5_silu"))
        #expect(try byName["s-p4-compress"] == Problem(parsing: "pw:c256o128h40_silu"))
        #expect(try byName["s-p3-fuse"] == Problem(parsing: "pw:c512o128h80"))
        #expect(try byName["s-p3-fuse-pw"] == Problem(parsing: "pw:c512o128h80_silu"))
        #expect(try byName["s-p4-compress-dw"] == Problem(parsing: "dw:c256h40k1_silu"))
    }

    @Test func aNameDoesNotDependOnTheSelection() throws {
        let all = try Preset.named("yolov5s").problems(Self.everything)
        let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
        for variant in BlockVariant.allCases {
            let some = try Preset.named("yolov5s").problems(.init(sizes: [320, 640], variants: [variant], dense: true))
            for problem in some { #expect(byName[problem.name] == problem, "\(problem)") }
        }
    }

    @Test func denseConvolutionsOnRequest() throws {
        let plain = try Preset.named("yolov5n").problems()
        #expect(!plain.contains { $0.layer == .conv })
        let dense = try Preset.named("yolov5n").problems(.init(dense: true)).filter { $0.layer == .conv }
        // listing 3, literal 3, rfb 6 a level.
        #expect(dense.count == 3 * 12)
        #expect(dense.contains { $0.name == "n-p5-conv9d9" && $0.ic == 128 && $0.oc == 256 })
        #expect(dense.contains { $0.name == "n-p5-conv9d1-mid" && $0.oc == 128 })
    }

    @Test func badOptionsAreNamed() throws {
        let preset = try Preset.named("yolov5s")
        #expect(throws: PresetError.badSize(600)) { try preset.problems(.init(sizes: [640, 600])) }
        #expect(throws: PresetError.badSize(0)) { try preset.problems(.init(sizes: [0])) }
        #expect(throws: PresetError.badBatch(0)) { try preset.problems(.init(batches: [0])) }
    }
}
