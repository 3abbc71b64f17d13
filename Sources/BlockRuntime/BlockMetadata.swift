import ConvCore

/// What a safetensors file's `__metadata__` says about its block.
///
/// `block` (the text of a block file), or `variant` with `act` and `bn_eps`; `cin` and `cout` beside either.
enum BlockMetadata {
    /// Without metadata the article's names mean its listing, with PyTorch's epsilon and ReLU as it is printed.
    static func description(of file: SafetensorsFile, usesArticleNames: Bool) throws -> BlockDescription {
        let metadata = file.metadata
        if let json = metadata["block"] {
            return try BlockDescription(json: json, file: "\(file.path): metadata block")
        }
        func bad(_ key: String, _ expected: String) -> ParameterError {
            .badMetadata(file: file.path, key: key, value: metadata[key] ?? "", expected: expected)
        }
        let variant: BlockVariant
        if let name = metadata["variant"] {
            guard let known = BlockVariant(rawValue: name) else {
                throw bad("variant", BlockVariant.allCases.map(\.rawValue).joined(separator: ", or "))
            }
            variant = known
        } else {
            guard usesArticleNames else { throw ParameterError.unknownBlock(file: file.path) }
            variant = .listing
        }
        var result = BlockDescription(variant, activation: .relu, epsilon: 1e-5)
        if let name = metadata["act"] {
            guard let activation = Activation(rawValue: name) else {
                throw bad("act", Activation.allCases.map(\.rawValue).joined(separator: ", or "))
            }
            result.activation = activation
        } else if !usesArticleNames {
            throw bad("act", Activation.allCases.map(\.rawValue).joined(separator: ", or "))
        }
        if let text = metadata["bn_eps"] {
            guard let epsilon = Double(text) else { throw bad("bn_eps", "a number such as 1e-3") }
            result.epsilon = epsilon
        } else if !usesArticleNames {
            throw bad("bn_eps", "a number such as 1e-3")
        }
        return result
    }

    static func widths(of file: SafetensorsFile) throws -> (cin: Int?, cout: Int?) {
        func width(_ key: String) throws -> Int? {
            guard let text = file.metadata[key] else { return nil }
            guard let value = Int(text), value >= 1 else {
                throw ParameterError.badMetadata(
                    file: file.path, key: key, value: text, expected: "a whole number from 1")
            }
            return value
        }
        return (try width("cin"), try width("cout"))
    }
}
