import ConvCore

/// What a user says of a parameter file whose metadata do not say it.
public struct BlockSettings: Sendable, Equatable {
    public var variant: BlockVariant?
    public var activation: Activation?
    /// Of batch norm: PyTorch 1e-5, YOLOv5 1e-3.
    public var epsilon: Double?

    public init(variant: BlockVariant? = nil, activation: Activation? = nil, epsilon: Double? = nil) {
        self.variant = variant
        self.activation = activation
        self.epsilon = epsilon
    }
}

/// What a safetensors file's `__metadata__` says about its block, and the user of what it leaves open.
///
/// `block` (the text of a block file), or `variant` with `act` and `bn_eps`; `cin` and `cout` beside either.
enum BlockMetadata {
    /// Without metadata the article's names mean its listing, with PyTorch's epsilon and ReLU as it is printed. Any other file must
    /// say all three, or the user must: a wrong activation or epsilon gives a wrong output and no error.
    static func description(
        of file: SafetensorsFile, usesArticleNames: Bool, settings: BlockSettings
    ) throws -> BlockDescription {
        let metadata = file.metadata
        if let json = metadata["block"] {
            let block = try BlockDescription(json: json, file: "\(file.path): metadata block")
            _ = try agreed("variant", settings.variant?.rawValue, block.name, file)
            _ = try agreed("act", settings.activation, block.activation, file)
            _ = try agreed("bn_eps", settings.epsilon, block.epsilon, file)
            return block
        }
        let variant = try agreed("variant", settings.variant, value("variant", in: file, BlockVariant.self), file)
        guard let variant = variant ?? (usesArticleNames ? .listing : nil) else {
            throw ParameterError.unknownBlock(file: file.path)
        }
        let activation = try agreed("act", settings.activation, value("act", in: file, Activation.self), file)
        let epsilon = try agreed("bn_eps", settings.epsilon, epsilon(of: file), file)
        guard let activation = activation ?? (usesArticleNames ? .relu : nil) else {
            throw ParameterError.unknownSetting(file: file.path, key: "act", expected: choices(Activation.self))
        }
        guard let epsilon = epsilon ?? (usesArticleNames ? 1e-5 : nil) else {
            throw ParameterError.unknownSetting(file: file.path, key: "bn_eps", expected: number)
        }
        return BlockDescription(variant, activation: activation, epsilon: epsilon)
    }

    /// The block's own, or else the metadata's; both may be there only where they are equal.
    static func widths(of file: SafetensorsFile, block: BlockDescription) throws -> (cin: Int?, cout: Int?) {
        func width(_ key: String, _ own: Int?) throws -> Int? {
            guard let text = file.metadata[key] else { return own }
            guard let value = Int(text), value >= 1 else {
                throw ParameterError.badMetadata(
                    file: file.path, key: key, value: text, expected: "a whole number from 1")
            }
            if let own, own != value {
                throw ParameterError.badMetadata(file: file.path, key: key, value: text, expected: "\(own), as its block has it")
            }
            return value
        }
        return (try width("cin", block.cin), try width("cout", block.cout))
    }

    private static let number = "a number such as 1e-3"

    private static func choices<T: RawRepresentable & CaseIterable>(_: T.Type) -> String where T.RawValue == String {
        T.allCases.map(\.rawValue).joined(separator: ", or ")
    }

    /// nil where the metadata have no such key.
    private static func value<T: RawRepresentable & CaseIterable>(
        _ key: String, in file: SafetensorsFile, _: T.Type
    ) throws(ParameterError) -> T? where T.RawValue == String {
        guard let text = file.metadata[key] else { return nil }
        guard let known = T(rawValue: text) else {
            throw .badMetadata(file: file.path, key: key, value: text, expected: choices(T.self))
        }
        return known
    }

    private static func epsilon(of file: SafetensorsFile) throws(ParameterError) -> Double? {
        guard let text = file.metadata["bn_eps"] else { return nil }
        guard let epsilon = Double(text) else {
            throw .badMetadata(file: file.path, key: "bn_eps", value: text, expected: number)
        }
        return epsilon
    }

    /// What the user gave, or else the file's own; both may be there only where they are equal.
    private static func agreed<T: Equatable>(
        _ key: String, _ given: T?, _ own: T?, _ file: SafetensorsFile
    ) throws(ParameterError) -> T? {
        if let given, let own, given != own {
            throw .contradictorySetting(file: file.path, key: key, given: "\(given)", own: "\(own)")
        }
        return given ?? own
    }
}
