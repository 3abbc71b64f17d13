import BlockRuntime
import ConvCore
import Harness
import OptionParsing

/// What `run` runs and `pick --out` plans: parameters, the size, and an input.
struct BlockInput {
    let parameters: BlockParameters
    let size: BlockSize
    /// `[batch][cin][height][width]`
    let values: [Float]
    /// For the reader: a variant's or a file's name.
    let name: String

    init(_ values: Values, seed: UInt64) throws {
        let files = values.strings("block")
        let variant = try values.variant()
        guard files.count <= 1, let text = files.first ?? variant?.rawValue else {
            throw UsageError("run: write either --block F.safetensors (or a JSON block file), or --variant listing|literal|rfb with --size 1x512x20x20")
        }
        let isTrained = ParameterFile.isMeant(by: text)
        if !files.isEmpty, !isTrained { try values.refuseSettings() }
        if files.isEmpty { try values.refuse(["eps"], for: "run --variant", why: "random parameters have no batch norm") }
        let given = try values.string("size").map(BlockSelection.size)
        let trained = isTrained ? try ParameterFile(text, settings: BlockSettings(values)) : nil
        let description = try trained?.parameters.description ?? BlockSelection(text, values).description

        var stored = try values.string("input").map { (source: "--input \($0)", array: try Self.array($0)) }
        // A file that holds an input says by it which size is meant; of another size than that asked for, it is left.
        if stored == nil, let trained, trained.holdsInput {
            if let given, (try? trained.inputSize()) != given {
                // Other channels are refused below.
                if !values.flag("quiet"), description.cin ?? given.cin == given.cin {
                    Console.note("the input in \(text) is of another size than --size \(given.description): a random one is taken")
                }
            } else {
                stored = try trained.input().map { ("the input in \(text)", $0) }
            }
        }
        if let shape = stored?.array.shape {
            size = BlockSize(batch: shape[0], cin: shape[1], height: shape[2], width: shape[3])
            if let given, given != size {
                throw UsageError("--size \(given.description) contradicts \(stored!.source), which is \(size.description); leave one out")
            }
        } else {
            size = given ?? BlockSelection.standardSize(description)
        }
        if let cin = description.cin, cin != size.cin {
            let source = stored?.source ?? "--size \(size.description)"
            throw UsageError("\(text): takes \(cin) channels, \(source) has \(size.cin); give an input of \(size.batch)x\(cin)x\(size.height)x\(size.width)")
        }
        if let stored, let bad = stored.array.values.firstIndex(where: { !$0.isFinite }) {
            throw UsageError("\(stored.source): value \(bad) is \(stored.array.values[bad]); the block needs finite numbers")
        }
        // Before anything of that size is made.
        try Self.requireMemory(BlockSelection.layers(text, description, at: size), size)
        parameters = try trained?.parameters ?? BlockParameters(random: description, cin: size.cin, cout: nil, seed: seed)
        name = text
        var random = RandomSource(seed: seed)
        self.values = stored?.array.values ?? (0..<size.batch * size.cin * size.height * size.width).map { _ in random.nextReal() }
    }

    private static func array(_ path: String) throws -> NPYFile {
        let file = try NPYFile(path)
        guard file.shape.count == 4, file.shape.allSatisfy({ $0 >= 1 }) else {
            throw UsageError("--input \(path): has shape \(file.shape); save an array of [N, C, H, W]")
        }
        return file
    }

    /// At most: every unit's map by itself, the input twice, and all weights twice.
    private static func requireMemory(_ problems: [Problem], _ size: BlockSize) throws {
        try BlockError.requireMemory(
            problems.reduce(8 * size.batch * size.cin * size.height * size.width) { $0 + 4 * ($1.dstCount + 2 * $1.weightCount) })
    }
}

extension Values {
    /// For what is no file of parameters.
    func refuseSettings() throws {
        try refuse(
            ["variant", "eps"], for: "a call without --block F.safetensors",
            why: "they say of a file of parameters what its metadata leave open")
    }
}
