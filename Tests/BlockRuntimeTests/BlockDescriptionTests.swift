import BlockRuntime
import ConvCore
import Testing

@Suite("Blocks")
struct BlockDescriptionTests {
    @Test func theListingsUnits() throws {
        let units = try BlockDescription(.listing, activation: .relu).units(cin: 9, cout: 12)
        #expect(units.map(\.name) == [
            "compress", "branches.0.dw", "branches.0.pw", "branches.1.dw", "branches.1.pw", "branches.2.dw",
            "branches.2.pw", "residual", "fuse",
        ])
        #expect(units.map(\.ic) == [9, 4, 4, 4, 4, 4, 4, 9, 48])  // mid = ⌊9/2⌋
        #expect(units.map(\.oc) == [4, 4, 12, 4, 12, 4, 12, 12, 12])
        #expect(units.map(\.dilation) == [1, 2, 1, 3, 1, 4, 1, 1, 1])
        #expect(units.map(\.hasConvBias) == [Bool](repeating: true, count: 9))
        #expect(units.map(\.activation) == [Activation](repeating: .relu, count: 8) + [.none])
        #expect(units[0].inputs == [.block])
        #expect(units[2].inputs == [.unit(1)])
        #expect(units[3].inputs == [.unit(0)])
        #expect(units[8].inputs == [.unit(2), .unit(4), .unit(6), .unit(7)])
        #expect(units[8].tensors.map(\.name) == ["fuse.weight", "fuse.bias"])
        #expect(units[1].tensors.map(\.name) == ["conv.weight", "conv.bias", "bn.weight", "bn.bias", "bn.running_mean",
                                                 "bn.running_var"].map { "branches.0.dw.\($0)" })
        #expect(units[1].weightShape == [4, 1, 3, 3])
    }

    @Test func theOtherVariantsUnits() throws {
        let literal = try BlockDescription(.literal).units(cin: 16)
        #expect(literal.count == 11)
        #expect(literal.filter { $0.kind == .dw }.map(\.kernel) == [1, 5, 7, 9, 1])
        #expect(literal.filter { $0.kind == .dw }.map(\.dilation) == [1, 5, 7, 9, 1])
        #expect(literal.allSatisfy { !$0.hasConvBias && $0.hasBatchNorm && $0.activation == .silu })
        let rfb = try BlockDescription(.rfb).units(cin: 16, cout: 10)
        #expect(rfb.count == 17)
        let branch = rfb.filter { $0.name.hasPrefix("branches.1.") }
        #expect(branch.map(\.name) == ["branches.1.0.dw", "branches.1.0.pw", "branches.1.1.dw", "branches.1.1.pw"])
        #expect(branch.map(\.kernel) == [7, 1, 3, 1])
        #expect(branch.map(\.dilation) == [1, 1, 7, 1])
        #expect(branch.map(\.oc) == [8, 8, 8, 10])
    }

    @Test func layersAreNamedProblems() throws {
        let size = try BlockSize(parsing: "2x64x20x24")
        #expect(size == BlockSize(batch: 2, cin: 64, height: 20, width: 24) && "\(size)" == "2x64x20x24")
        let problems = try BlockDescription(.literal).layerProblems(size: size)
        #expect(problems.map(\.layer) == [.dw, .pw, .dw, .pw, .dw, .pw, .dw, .pw, .pw, .dw, .pw])
        let large = try #require(problems.first { $0.name == "branches.2.dw" })
        let equal = try Problem.same(
            batch: 2, groups: 32, ic: 32, oc: 32, height: 20, width: 24, kernel: 9, dilation: 9, activation: .silu)
        #expect(large == equal)
        #expect(large.padTop == 36 && large.bias)
        #expect(problems.allSatisfy { $0.oh == 20 && $0.ow == 24 })
    }

    @Test func theSavingOfSeparables() throws {
        let size = BlockSize(cin: 64, height: 20, width: 20, cout: 128)
        let literal = try BlockDescription(.literal).denseComparison(size: size)
        #expect(literal.map(\.name) == ["branches.0", "branches.1", "branches.2"])
        #expect(literal.map { $0.dense.name } == ["branches.0-dense", "branches.1-dense", "branches.2-dense"])
        let last = literal[2]
        #expect(last.dense.layer == .conv && last.dense.kh == 9 && last.dense.dilationH == 9)
        #expect((last.dense.ic, last.dense.oc) == (32, 128) && last.dense.activation == .silu)
        #expect(last.denseParameters == 128 * 32 * 81 + 128)
        #expect(last.separableParameters == 32 * 81 + 32 + 128 * 32 + 128)
        #expect(last.denseNominalMACs == Double(128 * 32 * 81 * 400))
        #expect(last.separableNominalMACs == Double((32 * 81 + 128 * 32) * 400))
        #expect(last.separableEffectiveMACs < last.separableNominalMACs)
        let rfb = try BlockDescription(.rfb).denseComparison(size: size)
        #expect(rfb.map(\.name) == (0..<3).flatMap { ["branches.\($0).0", "branches.\($0).1"] })
        #expect(rfb.map { $0.dense.oc } == [32, 128, 32, 128, 32, 128])
        #expect(try BlockDescription(.listing).denseComparison(size: size).map { $0.dense.dilationH } == [2, 3, 4])
    }

    @Test func blockFilesReadBack() throws {
        let text = """
            {"name": "mine", "cin": 10, "cout": 7, "mid": 3, "activation": "hardswish", "epsilon": 1e-05,
             "convBias": true, "compress": "plain", "residual": "none", "fuse": "unit",
             "branches": [{"k": 5, "d": 5}, [{"k": 7, "out": 6}, {"k": 3, "d": 7, "form": "unit"}], {"k": 2, "d": 2}]}
            """
        let block = try BlockDescription(json: text)
        #expect(block.name == "mine" && block.cin == 10 && block.mid == 3 && block.residual == nil)
        #expect(block.branches[1] == [.init(kernel: 7, out: 6), .init(kernel: 3, dilation: 7, form: .unit)])
        #expect(try BlockDescription(json: block.json) == block)
        #expect(try BlockDescription(json: "\u{FEFF}" + text) == block)
        let units = try block.units()
        #expect(units.map(\.name) == [
            "compress", "branches.0.dw", "branches.0.pw", "branches.1.0.dw", "branches.1.0.pw", "branches.1.1",
            "branches.2.dw", "branches.2.pw", "fuse",
        ])
        #expect(units[0].tensors.map(\.name) == ["compress.weight", "compress.bias"])
        #expect(units[5].kind == .dense && units[5].ic == 6 && units[5].oc == 7 && units[5].weightShape == [7, 6, 3, 3])
        #expect(units[8].ic == 21 && units[8].inputs == [.unit(2), .unit(5), .unit(7)])
        // An even kernel at an even dilation is padded evenly.
        #expect(try block.layerProblems(size: .init(cin: 10, height: 9, width: 9))[6].padTop == 1)
        for variant in BlockVariant.allCases {
            let block = BlockDescription(variant, activation: .relu, epsilon: 1e-5)
            #expect(try BlockDescription(json: block.json) == block)
        }
    }

    @Test func aShortBlockFileTakesTheDefaults() throws {
        try Fixtures.withTemporary("tiny.json") { path in
            try #"{"branches": [{"k": 3}], "compress": "none"}"#.write(toFile: path, atomically: true, encoding: .utf8)
            let block = try BlockDescription(file: path)
            #expect(block == BlockDescription(name: "tiny", compress: nil, branches: [[.init(kernel: 3)]]))
            #expect(try block.units(cin: 5).map(\.ic) == [5, 5, 5, 10])
        }
        #expect(Fixtures.message { _ = try BlockDescription(file: "/nowhere/b.json") }
            == "/nowhere/b.json: cannot be read: No such file or directory")
    }

    @Test(arguments: [
        (#"{"branches": [{"k": 3}], "dilation": 2}"#, "b: unknown key dilation; the keys here are name, cin,"),
        (#"{"branches": [{"k": 3, "dil": 2}]}"#, "b: unknown key branches[0].dil; the keys here are k, d, out, form"),
        (#"{"branches": [{"d": 3}]}"#, "b: has no branches[0].k"),
        (#"{"cin": 3}"#, "b: has no branches"),
        (#"{"branches": {"k": 3}}"#, "b: branches is an object; write a list of branches"),
        (#"{"branches": [3]}"#, "b: branches[0] is 3; write an object"),
        (#"{"branches": [[{"k": 3}, {"k": "5"}]]}"#, "b: branches[0][1].k is \"5\"; write a whole number"),
        (#"{"branches": [{"k": 3.0}]}"#, "b: branches[0].k is 3.0; write a whole number"),
        (#"{"branches": [{"k": true}]}"#, "b: branches[0].k is true; write a whole number"),
        (#"{"branches": [{"k": 3}], "activation": "gelu"}"#, "b: activation is \"gelu\"; write \"none\", or \"relu\""),
        (#"{"branches": [{"k": 3}], "fuse": "none"}"#, "b: fuse is \"none\"; write \"unit\""),
        (#"{"branches": [{"k": 3}], "convBias": 1}"#, "b: convBias is 1; write true or false"),
        (#"{"branches": [{"k": 3}], "epsilon": "x"}"#, "b: epsilon is \"x\"; write a number"),
        (#"{"branches": [{"k": 3}], "epsilon": -1}"#, "b: the batch-norm epsilon is -1.0"),
        (#"{"branches": [{"k": 3}], "epsilon": 1e999}"#, "b: "),
        (#"{"branches": [{"k": 3}], "name": 7}"#, "b: name is 7; write a string"),
        (#"{"branches": []}"#, "b: a block needs one branch at least"),
        (#"{"branches": [[]]}"#, "b: branches[0] is empty"),
        (#"{"branches": [{"k": 0}]}"#, "b: branches[0].k is 0; write 1 or more"),
        (#"{"branches": [{"k": 3, "d": -1}]}"#, "b: branches[0].d is -1; write 1 or more"),
        (#"{"branches": [{"k": 3, "out": 0}]}"#, "b: branches[0].out is 0; write 1 or more"),
        (#"{"branches": [{"k": 99999999999}]}"#, "b: branches[0].k is 99999999999; it may be at most 16777216"),
        (#"{"branches": [[{"k": 3}, {"k": 4}]]}"#,
         "b: branches[0][1]: a 4×4 kernel at dilation 1 cannot be padded evenly; write an odd k (3 or 5)"),
        (#"{"branches": [{"k": 3}], "cin": 0}"#, "b: cin is 0; write 1 or more"),
        (#"{"branches": [{"k": 3}], "cin": 1}"#, "b: ⌊cin/2⌋ of cin 1 leaves no channel"),
        (#"{"branches": [{"k": 3}], "compress": "none", "cin": 8, "mid": 4}"#, "b: mid 4 contradicts"),
        (#"{"branches": [{"k": 3}], "branches": []}"#,
         "b: not JSON: line 1, column 26: the key \"branches\" stands there twice"),
        ("{\n  \"branches\" [\n}", "b: not JSON: line 2, column 14: expected ':' after a key"),
        ("[]", "b: the file is a list; write an object"),
        ("", "b: not JSON: line 1, column 1: "),
    ])
    func badBlockFiles(text: String, expected: String) {
        let message = Fixtures.message { _ = try BlockDescription(json: text, file: "b") }
        #expect(message.hasPrefix(expected), "\(message)")
        #expect(!message.contains("\n"))
    }

    @Test func widthsMustAgree() throws {
        var block = BlockDescription(.literal)
        #expect(throws: BlockError.noInputWidth) { try block.units() }
        #expect(throws: BlockError.notPositive("cin", -4)) { try block.units(cin: -4) }
        block.cin = 16
        #expect(throws: BlockError.contradictoryWidth("cin", given: 8, own: 16)) { try block.units(cin: 8) }
        #expect(try block.units().last?.oc == 16)
        let huge = BlockSize(cin: 16, height: 1 << 20, width: 1 << 20)
        #expect(Fixtures.message { _ = try block.layerProblems(size: huge) }.hasPrefix("unit compress.dw: src of "))
        #expect(throws: BlockError.unknownVariant("litteral")) { try BlockVariant(named: "litteral") }
        for text in ["", "1x2x3", "1x2x3x4x5", "1x2x3xa", "1x0x3x4", "axbxcxd", "1x2x3x99999999999999999999", "xxx"] {
            #expect(throws: BlockError.self) { try BlockSize(parsing: text) }
        }
    }
}
