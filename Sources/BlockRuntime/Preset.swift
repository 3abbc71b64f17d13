import ConvCore

/// A named set of problems, from the block at the sizes of the YOLOv5 models.
package struct Preset: Sendable {
    package let name: String
    /// One line.
    package let summary: String
    let content: Content
    /// Whether the blocks are meant as wholes; otherwise their layers.
    package let wholeBlocks: Bool

    enum Content: Sendable {
        /// Problem texts and their names.
        case fixed([(name: String, text: String)])
        case models([YOLOModel])
    }

    package static let all: [Preset] =
        [Preset("smoke", "tiny layers of every kind on the edges, seconds in total", .fixed(smoke))]
        + YOLOModel.allCases.map { model in
            let name = "yolov5\(model.rawValue)"
            return Preset(name, "layers of the block in \(name): \(model.channelSummary)", .models([model]))
        }
        + [Preset("yolov5", "layers of the block in all five YOLOv5 models", .models(YOLOModel.allCases))]
        + [
            Preset(
                "yolov5-blocks", "whole blocks of all five YOLOv5 models, planned and by family (bench)",
                .models(YOLOModel.allCases), wholeBlocks: true)
        ]

    private init(_ name: String, _ summary: String, _ content: Content, wholeBlocks: Bool = false) {
        self.wholeBlocks = wholeBlocks
        self.name = name
        self.summary = summary
        self.content = content
    }

    /// Throws ``PresetError/unknown(_:)``.
    package static func named(_ name: String) throws(PresetError) -> Preset {
        guard let preset = all.first(where: { $0.name == name }) else { throw .unknown(name) }
        return preset
    }

    /// Its layers, each once, under unique names such as `s-p5-dw5d5`. Two problems that differ in the name only are
    /// one, with the first one's name. A fixed preset ignores the options.
    package func problems(_ options: PresetOptions = .init()) throws -> [Problem] {
        switch content {
        case .fixed(let entries):
            return try entries.map { entry in
                var problem = try Problem(parsing: entry.text)
                problem.name = entry.name
                return problem
            }
        case .models:
            var seen: Set<Problem> = []
            return try blocks(options).flatMap { try $0.problems(withDense: options.dense, separables: options.separables) }
                .filter { seen.insert($0).inserted }
        }
    }

    /// The whole blocks that the layers belong to; none for a fixed preset. Throws ``PresetError``.
    package func blocks(_ options: PresetOptions = .init()) throws(PresetError) -> [BlockCase] {
        guard case .models(let models) = content else { return [] }
        try options.validate()
        var cases: [BlockCase] = []
        for batch in options.batches {
            for size in options.sizes {
                for model in models {
                    for level in FeatureLevel.allCases {
                        let map = size / level.stride
                        let channels = model.channels(level)
                        let input = BlockSize(batch: batch, cin: channels, height: map, width: map, cout: channels)
                        // The usual size and batch go without saying, so that a name does not depend on the selection.
                        let suffix = (size == 640 ? "" : "-i\(size)") + (batch == 1 ? "" : "-b\(batch)")
                        for variant in options.variants {
                            cases.append(
                                BlockCase(
                                    prefix: "\(model.rawValue)-\(level.rawValue)", suffix: suffix,
                                    block: BlockDescription(variant, activation: options.activation), size: input))
                        }
                    }
                }
            }
        }
        return cases
    }
}

/// What of a preset is wanted.
package struct PresetOptions: Sendable {
    /// Sides of the network's square input in pixels: multiples of 32.
    package var sizes: [Int]
    package var variants: [BlockVariant]
    package var batches: [Int]
    package var activation: Activation
    /// Whether the dense convolutions that the separables replace are wanted too; they take far longer.
    package var dense: Bool
    /// Whether each separable is wanted as one problem, too.
    package var separables: Bool

    package init(
        sizes: [Int] = [640], variants: [BlockVariant] = BlockVariant.allCases, batches: [Int] = [1],
        activation: Activation = .silu, dense: Bool = false, separables: Bool = false
    ) {
        self.sizes = sizes
        self.variants = variants
        self.batches = batches
        self.activation = activation
        self.dense = dense
        self.separables = separables
    }

    /// The input sizes that YOLOv5 is commonly run at.
    package static let commonSizes = [320, 416, 640, 1280]

    func validate() throws(PresetError) {
        if let size = sizes.first(where: { $0 < 32 || $0 % 32 != 0 || $0 > 1 << 16 }) { throw .badSize(size) }
        if let batch = batches.first(where: { $0 < 1 || $0 > 1 << 16 }) { throw .badBatch(batch) }
    }
}

package enum PresetError: Error, Equatable, CustomStringConvertible {
    case unknown(String)
    case badSize(Int)
    case badBatch(Int)

    package var description: String {
        switch self {
        case .unknown(let name):
            "unknown preset '\(name)'; the presets are \(Preset.all.map(\.name).joined(separator: ", "))"
        case .badSize(let size):
            "input size \(size): write a multiple of 32 from 32 to 65536, such as "
                + PresetOptions.commonSizes.map(String.init).joined(separator: ", ")
        case .badBatch(let batch): "batch \(batch): write 1 to 65536"
        }
    }
}

extension Preset {
    /// Every kind of layer, small, on the edges where kernels go wrong.
    static let smoke: [(name: String, text: String)] = [
        ("dw3", "dw:c16h12k3d1_relu"),
        ("dw3-dilated-odd", "dw:c17h13w11k3d4_silu"),
        ("dw5-dilated", "dw:c32h20k5d5_silu"),
        ("dw9-beyond-map", "dw:c16h7w5k9d9_hardswish"),
        ("dw3-stride2", "dw:c16h15k3s2"),
        ("pw", "pw:c32o64h10_silu"),
        ("pw-odd", "pw:mb2c13o7h9w5"),
        ("conv-dense", "conv:c16o32h10k3d2_relu"),
        ("conv-grouped", "conv:g3c6o9h9k3"),
        ("conv-stride2", "conv:c3o16h17k3s2_silu"),
    ]
}
