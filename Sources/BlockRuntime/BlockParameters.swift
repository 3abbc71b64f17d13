import ConvCore

/// A unit with its batch norm folded: what a convolution with bias computes from.
package struct FoldedUnit: Sendable {
    package let unit: BlockUnit
    /// `[oc][ic / groups][kh][kw]`
    package let weights: [Float]
    /// `[oc]`
    package let bias: [Float]
}

/// A block's trained parameters, checked against its description and folded.
public struct BlockParameters: Sendable {
    /// With the file's widths.
    package let description: BlockDescription
    /// In the order of ``BlockDescription/units(cin:cout:)``.
    package let units: [FoldedUnit]
    /// Channels of the input.
    public var cin: Int { description.cin ?? 0 }
    /// Channels of the output.
    public var cout: Int { description.cout ?? 0 }

    /// Reads a file; what the block is comes from its metadata, with `settings` for what they leave open. Throws ``SafetensorsError``,
    /// ``ParameterError`` or ``BlockFileError``.
    public init(_ path: String, settings: BlockSettings = .init()) throws {
        try self.init(file: SafetensorsFile(path), settings: settings)
    }

    /// The same from a file that is open, of the block `given` where its metadata say nothing. Tensors named `input`, `output`, `act.…` or `….num_batches_tracked` are not
    /// parameters and may be there; any other that the block does not need is an error.
    package init(
        file: SafetensorsFile, description given: BlockDescription? = nil, settings: BlockSettings = .init()
    ) throws {
        let usesArticleNames = ArticleNames.areUsed(in: file.names)
        var inFile: [String: String] = [:]
        for name in file.names where !Self.isIgnored(name) {
            let ours = usesArticleNames ? ArticleNames.ours(name) : name
            guard inFile.updateValue(name, forKey: ours) == nil else {
                throw SafetensorsError.duplicateTensor(file: file.path, tensor: ours)
            }
        }
        var description = try given ?? BlockMetadata.description(
            of: file, usesArticleNames: usesArticleNames, settings: settings)
        do throws(BlockError) {
            try description.validate()
        } catch {
            throw ParameterError.invalid(file: file.path, error)
        }
        let own = try BlockMetadata.widths(of: file, block: description)
        description.cin = try own.cin ?? Self.impliedWidth(.input, description, file: file, inFile: inFile)
        description.cout = try own.cout ?? Self.impliedWidth(.output, description, file: file, inFile: inFile)
        let units: [BlockUnit]
        do throws(BlockError) {
            units = try description.units()
        } catch {
            throw ParameterError.invalid(file: file.path, error)
        }
        try Self.checkTensors(units, file: file, inFile: inFile, block: description.name)
        self.units = try units.map { try Self.folded($0, file: file, inFile: inFile, epsilon: description.epsilon) }
        self.description = description
    }

    static func isIgnored(_ name: String) -> Bool {
        name == "input" || name == "output" || name.hasPrefix("act.") || name.hasSuffix(".num_batches_tracked")
    }

    private enum End { case input, output }

    /// The width that a shape tells: the first unit reads the block's input, the last one writes its output. Nil in a block without units.
    private static func impliedWidth(
        _ end: End, _ description: BlockDescription, file: SafetensorsFile, inFile: [String: String]
    ) throws -> Int? {
        // Any widths: of the units' names and kinds nothing hangs on them.
        var open = description
        (open.cin, open.cout, open.mid) = (2, 2, nil)
        let units = try open.units()
        guard let unit = end == .input ? units.first : units.last else { return nil }
        let name = inFile[unit.weightName] ?? unit.weightName
        guard let shape = file.shape(of: name) else { throw ParameterError.missing(file: file.path, tensor: name, shape: nil) }
        guard shape.count == 4, shape.allSatisfy({ $0 >= 1 }) else { throw ParameterError.noWeights(file: file.path, tensor: name, shape: shape) }
        return end == .input && unit.kind != .dw ? shape[1] : shape[0]
    }

    private static func checkTensors(
        _ units: [BlockUnit], file: SafetensorsFile, inFile: [String: String], block: String
    ) throws(ParameterError) {
        var needed: Set<String> = []
        for (tensor, expected) in units.flatMap(\.tensors) {
            needed.insert(tensor)
            guard let name = inFile[tensor], let shape = file.shape(of: name) else {
                throw .missing(file: file.path, tensor: tensor, shape: expected)
            }
            guard shape == expected else {
                throw .wrongShape(file: file.path, tensor: name, shape: shape, expected: expected)
            }
        }
        if let extra = inFile.filter({ !needed.contains($0.key) }).map(\.value).min() {
            throw .extra(file: file.path, tensor: extra, block: block)
        }
    }

    private static func folded(
        _ unit: BlockUnit, file: SafetensorsFile, inFile: [String: String], epsilon: Double
    ) throws -> FoldedUnit {
        func spelled(_ name: String) -> String { inFile[name] ?? name }
        func values(_ name: String) throws -> [Double] { try file.doubles(named: spelled(name)).values }
        let weights = try values(unit.weightName)
        let convBias = try unit.biasName.map(values)
        let parts = try unit.batchNormNames.map(values)
        let norm = unit.hasBatchNorm
            ? BatchNorm(weight: parts[0], bias: parts[1], mean: parts[2], variance: parts[3], epsilon: epsilon) : nil
        let names = BatchNormFolding.Names(
            weight: spelled(unit.weightName), bias: unit.biasName.map(spelled) ?? "bias", norm: unit.batchNormNames.map(spelled))
        do throws(FoldingError) {
            let folded = try BatchNormFolding.fold(
                weights: weights, outputs: unit.oc, convBias: convBias, norm: norm, names: names)
            return FoldedUnit(unit: unit, weights: folded.weights, bias: folded.bias)
        } catch {
            throw ParameterError.fold(file: file.path, unit: unit.name, error)
        }
    }
}
