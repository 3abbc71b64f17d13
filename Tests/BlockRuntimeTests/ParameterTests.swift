import BlockRuntime
import ConvCore
import Testing

@Suite("Parameters and folding")
struct ParameterTests {
    static let listing = "golden/listing_c16_h20w20_n1.safetensors"

    /// The parameters of a golden file without its metadata, changed, as a file of their own.
    static func file(
        _ golden: String = listing, metadata: [String: String]? = nil,
        change: (inout [SafetensorsTensor]) -> Void = { _ in }
    ) throws -> SafetensorsFile {
        let source = try SafetensorsFile(Fixtures.path(golden))
        var tensors = try source.names.map { name in
            let (shape, values) = try source.tensor(named: name)
            return SafetensorsTensor(name, shape: shape, .f32(values))
        }
        change(&tensors)
        return try SafetensorsFile(
            bytes: SafetensorsWriter.bytes(of: tensors, metadata: metadata ?? source.metadata), path: "x.safetensors")
    }

    static func message(change: (inout [SafetensorsTensor]) -> Void) -> String {
        Fixtures.message { _ = try BlockParameters(file: file(change: change)) }
    }

    @Test func missingExtraAndMisshapenTensorsAreNamed() {
        let missing = Self.message { $0.removeAll { $0.name == "branches.1.pw.bn.bias" } }
        #expect(missing.hasPrefix("x.safetensors: tensor 'branches.1.pw.bn.bias' of shape [16] is missing"))
        let first = Self.message { $0.removeAll { $0.name == "compress.conv.weight" } }
        #expect(first.contains("'compress.conv.weight'"))
        let extra = Self.message { $0.append(.init("branches.3.dw.conv.weight", shape: [1], .f32([0]))) }
        #expect(extra.hasPrefix(
            "x.safetensors: tensor 'branches.3.dw.conv.weight' does not belong to the block 'listing'"))
        let shape = Self.message { tensors in
            for (i, tensor) in tensors.enumerated() where tensor.name == "branches.0.dw.conv.weight" {
                tensors[i] = .init(tensor.name, shape: [1, 8, 3, 3], tensor.values)
            }
        }
        #expect(shape == "x.safetensors: tensor 'branches.0.dw.conv.weight' has shape [1, 8, 3, 3] "
            + "where the block needs [8, 1, 3, 3]")
        let flat = Self.message { tensors in
            for (i, tensor) in tensors.enumerated() where tensor.name == "compress.conv.weight" {
                tensors[i] = .init(tensor.name, shape: [128], tensor.values)
            }
        }
        #expect(flat.contains("'compress.conv.weight' has shape [128]"))
        for text in [missing, first, extra, shape, flat] { #expect(!text.contains("\n")) }
    }

    @Test func theWrongVariantIsRefused() {
        let text = Fixtures.message {
            _ = try BlockParameters(file: SafetensorsFile(Fixtures.path(Self.listing)), description: BlockDescription(.literal))
        }
        #expect(text.contains("tensor 'compress.dw.conv.weight'") && text.contains("is missing"))
    }

    @Test func theCountersOfBatchNormAreIgnored() throws {
        let counter = SafetensorsTensor("compress.bn.num_batches_tracked", shape: [], .f32([7]))
        _ = try BlockParameters(file: Self.file { $0.append(counter) })
    }

    @Test func badMetadataIsNamed() throws {
        let bad = [("variant", "literall"), ("act", "gelu"), ("bn_eps", "tiny"), ("cin", "0"), ("cout", "x")]
        for (key, value) in bad {
            var metadata = try SafetensorsFile(Fixtures.path(Self.listing)).metadata
            metadata[key] = value
            let text = Fixtures.message { _ = try BlockParameters(file: Self.file(metadata: metadata)) }
            #expect(text.hasPrefix("x.safetensors: metadata \(key) is '\(value)'; write"))
        }
        let text = Fixtures.message {
            _ = try BlockParameters(
                file: Self.file(metadata: ["variant": "listing", "act": "relu", "bn_eps": "-1"]))
        }
        #expect(text.hasPrefix("x.safetensors: the batch-norm epsilon is -1.0"))
    }

    /// A plain state_dict is read with what its user says of it; what the file says itself may only be confirmed.
    @Test func settingsFillInWhatTheMetadataLeaveOpen() throws {
        let whole = try BlockParameters(Fixtures.path(Self.listing))
        let settings = BlockSettings(variant: .listing, activation: .relu, epsilon: 1e-5)
        for metadata in [[:], ["act": "relu"], nil] {
            let block = try BlockParameters(file: Self.file(metadata: metadata), settings: settings)
            #expect(block.description == whole.description)
            #expect(block.units.map(\.weights) == whole.units.map(\.weights))
        }
        func message(_ metadata: [String: String]?, _ settings: BlockSettings) -> String {
            Fixtures.message { _ = try BlockParameters(file: Self.file(metadata: metadata), settings: settings) }
        }
        #expect(message([:], .init()).contains("name no variant"))
        #expect(message([:], .init(variant: .listing)).contains("hold no act; add it, none, or relu"))
        #expect(message([:], .init(variant: .listing, activation: .relu)).contains("hold no bn_eps; add it, a number"))
        #expect(message(nil, .init(variant: .rfb)) == "x.safetensors: metadata variant is 'listing', 'rfb' was given; leave that out")
        #expect(message(nil, .init(activation: .silu)).contains("metadata act is 'relu', 'silu' was given"))
        #expect(message(nil, .init(epsilon: 1e-3)).contains("metadata bn_eps is '1e-05', '0.001' was given"))
        #expect(message([:], .init(variant: .rfb, activation: .relu, epsilon: 1e-5)).contains("is missing; export the whole block, or correct the variant"))
    }

    @Test func aBlockFileInTheMetadataDescribesTheBlock() throws {
        let own = BlockDescription(.listing, activation: .relu, epsilon: 1e-5)
        let block = try BlockParameters(file: Self.file(metadata: ["block": own.json]))
        #expect(block.description.branches == own.branches)
        #expect((block.cin, block.cout) == (16, 16))
        var wide = own
        wide.cin = 16
        #expect(try BlockParameters(file: Self.file(metadata: ["block": wide.json, "cin": "16"])).cin == 16)
        #expect {
            try BlockParameters(file: Self.file(metadata: ["block": wide.json, "cin": "8"]))
        } throws: { "\($0)".hasSuffix("metadata cin is '8'; write 16, as its block has it") }
    }

    @Test func theArticlesNamesLoad() throws {
        let table = [
            ("compress.conv", "conv1.0"), ("compress.bn", "conv1.1"), ("residual.conv", "residual.0"),
            ("residual.bn", "residual.1"), ("branches.0.dw.conv", "conv2_5.0"), ("branches.0.dw.bn", "conv2_5.1"),
            ("branches.0.pw.conv", "conv2_5.3"), ("branches.0.pw.bn", "conv2_5.4"), ("branches.1.dw.conv", "conv2_7.0"),
            ("branches.1.dw.bn", "conv2_7.1"), ("branches.1.pw.conv", "conv2_7.3"), ("branches.1.pw.bn", "conv2_7.4"),
            ("branches.2.dw.conv", "conv2_9.0"), ("branches.2.dw.bn", "conv2_9.1"), ("branches.2.pw.conv", "conv2_9.3"),
            ("branches.2.pw.bn", "conv2_9.4"),
        ]
        let file = try Self.file(metadata: [:]) { tensors in
            tensors = tensors.map { tensor in
                for (ours, article) in table where tensor.name.hasPrefix(ours + ".") {
                    return .init(article + tensor.name.dropFirst(ours.count), shape: tensor.shape, tensor.values)
                }
                return tensor
            }
        }
        #expect(!file.names.contains { $0.hasPrefix("compress") || $0.hasPrefix("branches") })
        let block = try BlockParameters(file: file)
        let original = try BlockParameters(Fixtures.path(Self.listing))
        #expect(block.description == original.description)
        #expect(block.units.map(\.weights) == original.units.map(\.weights))
        #expect(block.units.map(\.bias) == original.units.map(\.bias))
        // Errors speak the file's own names.
        let broken = try Self.file(metadata: [:]) { tensors in
            tensors = file.names.filter { !$0.hasPrefix("act.") }.map { name in
                let tensor = try? file.tensor(named: name)
                let shape = name == "conv2_7.3.weight" ? [8, 16, 1, 1] : tensor?.shape ?? []
                return .init(name, shape: shape, .f32(tensor?.values ?? []))
            }
        }
        let text = Fixtures.message { _ = try BlockParameters(file: broken) }
        #expect(text.contains("'conv2_7.3.weight' has shape [8, 16, 1, 1]"))
        let negative = try Self.file(metadata: [:]) { tensors in
            tensors = try! file.names.map { name in
                let (shape, values) = try file.tensor(named: name)
                return .init(name, shape: shape, .f32(name == "conv2_7.4.running_var" ? values.map { -$0 } : values))
            }
        }
        #expect(Fixtures.message { _ = try BlockParameters(file: negative) }
            .hasPrefix("x.safetensors: unit 'branches.1.pw': conv2_7.4.running_var[0] is -"))
    }

    @Test func foldingIsTheFormula() throws {
        let norm = BatchNorm(weight: [2, -1], bias: [0.5, 3], mean: [1, -2], variance: [3, 0.25], epsilon: 1)
        let folded = try BatchNormFolding.fold(
            weights: [1, 2, 3, 4], outputs: 2, convBias: [5, 6],
            norm: BatchNorm(weight: norm.weight, bias: norm.bias, mean: norm.mean, variance: [3, 0], epsilon: 1))
        #expect(folded.weights == [1, 2, -3, -4])
        #expect(folded.bias == [4.5, -5])
        let inexact = try BatchNormFolding.fold(weights: [1, 2, 3, 4], outputs: 2, norm: norm)
        #expect(inexact.weights[2] == Float(-3 / 1.25.squareRoot()))
        #expect(try BatchNormFolding.fold(weights: [7], outputs: 1).bias == [0])
    }

    @Test func unusableNormsAreRefused() {
        func error(
            weights: [Double] = [1], bias: [Double]? = nil, gamma: Double = 1, mean: [Double] = [0],
            variance: Double = 1, epsilon: Double = 1e-5
        ) -> String {
            Fixtures.message {
                _ = try BatchNormFolding.fold(
                    weights: weights, outputs: 1, convBias: bias,
                    norm: BatchNorm(weight: [gamma], bias: [0], mean: mean, variance: [variance], epsilon: epsilon))
            }
        }
        #expect(error(weights: [1, .nan]).hasPrefix("weight[1] is nan"))
        #expect(error(bias: [.infinity]).hasPrefix("bias[0] is inf"))
        #expect(error(mean: [.nan]).hasPrefix("bn.running_mean[0] is nan"))
        #expect(error(mean: [1, 2]) == "bn.running_mean has 2 values for 1 output channels")
        #expect(error(variance: -1).hasPrefix("bn.running_var[0] is -1.0, a variance below 0"))
        // A large epsilon does not make it better.
        #expect(error(variance: -1e-4, epsilon: 1e-3).hasPrefix("bn.running_var[0] is -0.0001, a variance below 0"))
        #expect(error(variance: 0, epsilon: 0).hasPrefix("bn.running_var[0]"))
        #expect(error(variance: 0, epsilon: .nan).hasPrefix("bn.running_var[0]"))
        #expect(error(gamma: 1e38, variance: 0).hasPrefix("folded weight[0] is too large"))
        #expect(Fixtures.message { _ = try BatchNormFolding.fold(weights: [1, 2, 3], outputs: 2) }
            == "weight has 3 values for 2 output channels")
        #expect(Fixtures.message { _ = try BatchNormFolding.fold(weights: [], outputs: 0) }.hasPrefix("weight has 0"))
    }

    @Test func aBadNormNamesFileAndUnit() {
        let text = Self.message { tensors in
            for (i, tensor) in tensors.enumerated() where tensor.name == "residual.bn.running_var" {
                tensors[i] = .init(tensor.name, shape: tensor.shape, .f32([Float](repeating: -2, count: 16)))
            }
        }
        #expect(text.hasPrefix("x.safetensors: unit 'residual': residual.bn.running_var[0] is -2.0"))
    }
}
