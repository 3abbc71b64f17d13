import BlockRuntime
import ConvCore
import OptionParsing

/// What `run` runs: parameters, the size, and an input.
struct BlockInput {
    let parameters: BlockParameters
    let size: BlockSize
    /// `[batch][cin][height][width]`
    let values: [Float]
    /// For the reader: a variant's or a file's name.
    let name: String

    init(_ values: Values, seed: UInt64) throws {
        let files = values.strings("block")
        let variant = values.string("variant")
        guard files.count <= 1, files.isEmpty != (variant == nil) else {
            throw UsageError("run: write either --block F.safetensors (or a JSON block file), or --variant listing|literal|rfb with --size 1x512x20x20")
        }
        let given = try values.string("size").map { try BlockSize(parsing: $0) }
        var stored: NPYFile?
        if let path = values.string("input") {
            let file = try NPYFile(path)
            guard file.shape.count == 4, file.shape.allSatisfy({ $0 >= 1 }) else {
                throw UsageError("--input \(path): has shape \(file.shape); save an array of [N, C, H, W]")
            }
            stored = file
        }
        if let text = files.first, BlockSelection.isParameterFile(text) {
            parameters = try BlockParameters(text)
            name = text
            // A file that holds an input says by it which size is meant.
            if stored == nil, given == nil {
                let file = try SafetensorsFile(text)
                if file.shape(of: "input")?.count == 4 {
                    let tensor = try file.tensor(named: "input")
                    stored = NPYFile(shape: tensor.shape, values: tensor.values)
                }
            }
        } else {
            let text = files.first ?? variant!
            if files.isEmpty, BlockVariant(rawValue: text) == nil {
                throw UsageError(
                    "--variant '\(text)' is not known; write \(BlockVariant.allCases.map(\.rawValue).joined(separator: ", "))"
                        + (nearestName(to: text, in: BlockVariant.allCases.map(\.rawValue)).map { "; did you mean \($0)?" } ?? ""))
            }
            let description = try BlockSelection(text, values).description
            let cin = given?.cin ?? stored?.shape[1] ?? description.cin ?? 512
            parameters = try BlockParameters(random: description, cin: cin, cout: nil, seed: seed)
            name = text
        }
        if let stored {
            let shape = stored.shape
            size = BlockSize(batch: shape[0], cin: shape[1], height: shape[2], width: shape[3])
            if let given, given != size {
                throw UsageError("--size \(given.description) contradicts the input's \(size.description); leave one out")
            }
        } else {
            size = given ?? BlockSize(cin: parameters.cin, height: 20, width: 20)
        }
        guard size.cin == parameters.cin else {
            throw UsageError("\(name): takes \(parameters.cin) channels, the input has \(size.cin); write --size \(size.batch)x\(parameters.cin)x\(size.height)x\(size.width)")
        }
        if let bad = stored?.values.firstIndex(where: { !$0.isFinite }) {
            throw UsageError("the input's value \(bad) is \(stored!.values[bad]); the block needs finite numbers")
        }
        var random = RandomSource(seed: seed)
        self.values = stored?.values ?? (0..<size.batch * size.cin * size.height * size.width).map { _ in random.nextReal() }
    }
}
