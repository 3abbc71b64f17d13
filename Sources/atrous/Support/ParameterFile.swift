import BlockRuntime
import ConvCore
import OptionParsing

/// Trained parameters, as `--block F.safetensors` names them, and the input that may lie beside them.
struct ParameterFile {
    let path: String
    let parameters: BlockParameters
    private let file: SafetensorsFile

    init(_ path: String, settings: BlockSettings) throws {
        self.path = path
        file = try SafetensorsFile(path)
        parameters = try BlockParameters(file: file, settings: settings)
    }

    /// Whether the name is that of trained parameters and not of a description.
    static func isMeant(by text: String) -> Bool { text.hasSuffix(".safetensors") }

    var holdsInput: Bool { file.shape(of: "input") != nil }

    /// The size of the file's `input`; nil where it holds none.
    func inputSize() throws -> BlockSize? {
        guard let shape = file.shape(of: "input") else { return nil }
        guard shape.count == 4, shape.allSatisfy({ $0 >= 1 }), shape[1] == parameters.cin else {
            throw UsageError("\(path): tensor 'input' has shape \(shape); export one of [N, \(parameters.cin), H, W], or write --size")
        }
        return BlockSize(batch: shape[0], cin: shape[1], height: shape[2], width: shape[3])
    }

    /// `[N][cin][H][W]`; nil where the file holds none.
    func input() throws -> NPYFile? {
        guard try inputSize() != nil else { return nil }
        let tensor = try file.tensor(named: "input")
        return NPYFile(shape: tensor.shape, values: tensor.values)
    }
}

extension BlockSettings {
    /// `--variant`, `--activation` and `--eps`, for a file whose metadata leave them open.
    init(_ values: Values) throws {
        self.init(
            variant: try values.variant(), activation: values.string("activation").flatMap(Activation.init),
            epsilon: try values.string("eps").map { text in
                guard let epsilon = Double(text), epsilon.isFinite, epsilon >= 0 else {
                    throw UsageError("--eps '\(text)' is no epsilon of a batch norm; write for example 1e-3 (YOLOv5) or 1e-5 (PyTorch)")
                }
                return epsilon
            })
    }
}

extension Values {
    /// `--variant`.
    func variant() throws -> BlockVariant? {
        try string("variant").map { text in
            if let variant = BlockVariant(rawValue: text) { return variant }
            let names = BlockVariant.allCases.map(\.rawValue)
            throw UsageError(
                "--variant '\(text)' is not known; write \(names.joined(separator: ", "))"
                    + (nearestName(to: text, in: names).map { "; did you mean \($0)?" } ?? ""))
        }
    }
}
