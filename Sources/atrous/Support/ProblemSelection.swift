import BlockRuntime
import ConvCore
import OptionParsing

/// The problems that the options ask for.
struct ProblemSelection {
    var problems: [Problem] = []
    /// Lines of problem files that were passed over, with the reason.
    var skipped: [String] = []

    /// `separables`: those of blocks and presets as one problem each, too, without an option that says so. Throws where a text does
    /// not parse, a preset is unknown, or nothing is left.
    init(_ values: Values, separables: Bool = false) throws {
        let separables = separables || values.flag("separables")
        for text in values.strings("problem") { problems.append(try Self.parse(text)) }
        for path in values.strings("problem-file") {
            let file = try ProblemFile.read(path)
            problems += file.problems
            skipped += file.warnings
        }
        var options = try PresetOptions(values)
        options.separables = separables
        let presets = try values.strings("preset").map { try Preset($0) }
        // A fixed preset is a list of problems like any other.
        for preset in presets where try preset.blocks(options).isEmpty { problems += try preset.problems(options) }
        let given = problems.count
        for preset in presets where try !preset.blocks(options).isEmpty { problems += try preset.problems(options) }
        if !values.strings("block").contains(where: ParameterFile.isMeant) { try values.refuseSettings() }
        for block in values.strings("block") {
            problems += try BlockSelection(block, values).problems(separables: separables)
        }
        // Presets and blocks know which of their layers have one.
        if let activation = values.string("activation").flatMap(Activation.init) {
            for i in 0..<given { problems[i].setActivations(activation) }
        }
        let filter = try ProblemFilter(values)
        problems = problems.filter(filter.admits)
        var seen: Set<Problem> = []
        problems = problems.filter { seen.insert($0).inserted }
    }

    /// The same, and at least one.
    static func nonEmpty(_ values: Values, command: String, separables: Bool = false) throws -> ProblemSelection {
        let selection = try ProblemSelection(values, separables: separables)
        guard selection.problems.isEmpty else { return selection }
        let asked = ["problem", "problem-file", "preset", "block"].contains { !values.strings($0).isEmpty }
        throw UsageError(
            asked
                ? "\(command): no problem is left; loosen --filter or --skip"
                : "\(command): no problem given; write for example --preset smoke or --problem dw:c64h80k5d5")
    }

    private static func parse(_ text: String) throws -> Problem {
        do {
            return try Problem(parsing: text)
        } catch {
            throw UsageError("--problem '\(text)': \(error)")
        }
    }
}

/// A block and the size of its input: a variant, a JSON block file, or the block that a file of parameters holds.
struct BlockSelection {
    /// What names it.
    let text: String
    let description: BlockDescription
    let size: BlockSize

    init(_ text: String, _ values: Values) throws {
        try self.init(text, size: values.string("size"), settings: BlockSettings(values))
    }

    /// `size`: nil for that of the file's input, or else the standard one; `settings`: of a variant or a JSON file only the
    /// activation counts, nil for the block's own.
    init(_ text: String, size wanted: String?, settings: BlockSettings) throws {
        let activation = settings.activation
        var standard: BlockSize?
        if ParameterFile.isMeant(by: text) {
            let file = try ParameterFile(text, settings: settings)
            description = file.parameters.description
            if wanted == nil { standard = try file.inputSize() ?? BlockSize(cin: file.parameters.cin, height: 20, width: 20) }
        } else if let variant = BlockVariant(rawValue: text) {
            description = BlockDescription(variant, activation: activation ?? .silu)
        } else if text.contains("/") || text.contains(".") {
            var file = try BlockDescription(file: text)
            if let activation { file.activation = activation }
            description = file
        } else {
            let names = BlockVariant.allCases.map(\.rawValue)
            throw UsageError(
                "--block '\(text)' is neither a variant (\(names.joined(separator: ", "))) nor a file"
                    + (nearestName(to: text, in: names).map { "; did you mean \($0)?" } ?? ""))
        }
        self.text = text
        size = try wanted.map(Self.size) ?? standard ?? Self.standardSize(description)
    }

    /// Of --size.
    static func size(_ text: String) throws -> BlockSize {
        do {
            return try BlockSize(parsing: text)
        } catch {
            throw UsageError("--size: \(error)")
        }
    }

    /// The layers of a block of that name; errors name it and the size.
    static func layers(_ text: String, _ description: BlockDescription, at size: BlockSize) throws -> [Problem] {
        do {
            return try description.layerProblems(size: size)
        } catch {
            throw UsageError("\(text) at \(size.description): \(error)")
        }
    }

    /// What is taken where none is given.
    static func standardSize(_ description: BlockDescription) -> BlockSize {
        BlockSize(cin: description.cin ?? 512, height: 20, width: 20)
    }

    func problems(separables: Bool) throws -> [Problem] {
        try Self.layers(text, description, at: size) + (separables ? description.separableProblems(size: size) : [])
    }
}

extension Preset {
    /// The preset of that name, or an error with the nearest one.
    init(_ name: String) throws {
        guard let preset = Preset.all.first(where: { $0.name == name }) else {
            let names = Preset.all.map(\.name)
            throw UsageError(
                "--preset '\(name)' is not known" + (nearestName(to: name, in: names).map { "; did you mean \($0)?" } ?? "")
                    + "; the presets are \(names.joined(separator: ", "))")
        }
        self = preset
    }
}

extension PresetOptions {
    init(_ values: Values) throws {
        self.init()
        if let sizes = try values.ints("sizes", in: 32...65536) { self.sizes = sizes }
        if let batches = try values.ints("batches", in: 1...65536) { self.batches = batches }
        if let names = try values.words("variants", among: BlockVariant.allCases.map(\.rawValue)) {
            variants = try names.map { try BlockVariant(named: $0) }
        }
        if let activation = values.string("activation").flatMap(Activation.init) { self.activation = activation }
    }
}

/// `--filter` and `--skip`.
struct ProblemFilter {
    private let filter, skip: Pattern?

    init(_ values: Values) throws {
        filter = try Pattern(values.string("filter"), flag: "--filter")
        skip = try Pattern(values.string("skip"), flag: "--skip")
    }

    func admits(_ problem: Problem) -> Bool {
        let text = problem.description
        return filter?.matches(text) ?? true && !(skip?.matches(text) ?? false)
    }
}

/// A regular expression from the command line.
struct Pattern {
    private let regex: Regex<AnyRegexOutput>

    /// nil for no text.
    init?(_ text: String?, flag: String) throws {
        guard let text else { return nil }
        do {
            regex = try Regex(text)
        } catch {
            throw UsageError("\(flag) '\(text)' is no regular expression; escape special characters with \\")
        }
    }

    func matches(_ text: String) -> Bool { text.firstMatch(of: regex) != nil }
}
