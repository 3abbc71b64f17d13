import ConvCore
import Foundation

/// The block file: a JSON object with the description's own terms.
///
/// ```json
/// {"name": "mine", "cin": 64, "cout": 64, "mid": 32, "activation": "silu", "epsilon": 0.001, "convBias": false,
///  "compress": "unit", "branches": [{"k": 5, "d": 5}, [{"k": 7}, {"k": 3, "d": 7, "out": 64, "form": "separable"}]],
///  "residual": "unit", "fuse": "separable"}
/// ```
/// Only `branches` must be there; a branch is one step or a list of them, and a step needs only `k`. `compress` and
/// `residual` may also be `"none"`.
extension BlockDescription {
    /// Reads a block file; without a name in it the block is called as the file is. Throws ``BlockFileError``.
    public init(file path: String) throws(BlockFileError) {
        let bytes: [UInt8]
        do throws(FileContent.Failure) {
            bytes = try FileContent.read(path)
        } catch {
            throw .unreadable(file: path, reason: error.reason)
        }
        let name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
        try self.init(jsonBytes: bytes, file: path, name: name)
    }

    /// Reads the same from text; `file` stands in errors.
    public init(json text: String, file: String = "block", name: String = "block") throws(BlockFileError) {
        try self.init(jsonBytes: Array(text.utf8), file: file, name: name)
    }

    private init(jsonBytes: [UInt8], file: String, name: String) throws(BlockFileError) {
        let root: JSONValue
        do throws(JSONError) {
            // Behind the byte order mark that some editors write.
            root = try JSONValue(parsing: jsonBytes.starts(with: [0xEF, 0xBB, 0xBF]) ? jsonBytes.dropFirst(3) : jsonBytes[...])
        } catch {
            throw .notJSON(file: file, reason: error.text)
        }
        let keys = [
            "name", "cin", "cout", "mid", "activation", "epsilon", "convBias", "compress", "branches", "residual",
            "fuse",
        ]
        let object = try JSONFields(root, file: file, at: "", known: keys)
        guard let branchValue = object["branches"] else { throw .missingKey(file: file, key: "branches") }
        self.init(
            name: try object.string("name") ?? name, cin: try object.integer("cin"), cout: try object.integer("cout"),
            mid: try object.integer("mid"), compress: try object.form("compress", orNone: true, standard: .unit),
            branches: try Self.branches(branchValue, file: file),
            residual: try object.form("residual", orNone: true, standard: .unit),
            fuse: try object.form("fuse", orNone: false, standard: .unit) ?? .unit,
            activation: try object.choice("activation", Activation.allCases.map(\.rawValue))
                .flatMap(Activation.init(rawValue:)) ?? .silu,
            epsilon: try object.real("epsilon") ?? 1e-3, convBias: try object.bool("convBias") ?? false)
        do throws(BlockError) {
            try validate()
            if cin != nil { _ = try units() }
        } catch {
            throw .invalid(file: file, error)
        }
    }

    private static func branches(_ value: JSONValue, file: String) throws(BlockFileError) -> [[Step]] {
        let expected = "a list of branches, each a step such as {\"k\": 3, \"d\": 2} or a list of steps"
        guard case .array(let values) = value else {
            throw .wrongValue(file: file, key: "branches", value: value.summary, expected: expected)
        }
        var branches: [[Step]] = []
        for (b, value) in values.enumerated() {
            let place = "branches[\(b)]"
            guard case .array(let steps) = value else {
                branches.append([try step(value, file: file, at: place)])
                continue
            }
            var branch: [Step] = []
            for (s, value) in steps.enumerated() { branch.append(try step(value, file: file, at: "\(place)[\(s)]")) }
            branches.append(branch)
        }
        return branches
    }

    private static func step(_ value: JSONValue, file: String, at place: String) throws(BlockFileError) -> Step {
        let fields = try JSONFields(value, file: file, at: place, known: ["k", "d", "out", "form"])
        guard let kernel = try fields.integer("k") else { throw .missingKey(file: file, key: "\(place).k") }
        return Step(
            kernel: kernel, dilation: try fields.integer("d") ?? 1, out: try fields.integer("out"),
            form: try fields.form("form", orNone: false, standard: .separable) ?? .separable)
    }

    /// The block file's text; reading it gives an equal description.
    public var json: String {
        func step(_ step: Step) -> String {
            "{\"k\": \(step.kernel), \"d\": \(step.dilation)" + (step.out.map { ", \"out\": \($0)" } ?? "")
                + ", \"form\": \"\(step.form.rawValue)\"}"
        }
        let branchLines = branches.map { steps in
            steps.count == 1 ? step(steps[0]) : "[\(steps.map(step).joined(separator: ", "))]"
        }
        let widths = [("cin", cin), ("cout", cout), ("mid", mid)].compactMap { key, value in
            value.map { "\"\(key)\": \($0)" }
        }
        let fields =
            ["\"name\": \(JSONValue.quoted(name))"] + widths + [
                "\"activation\": \"\(activation.rawValue)\"",
                "\"epsilon\": \(epsilon)",
                "\"convBias\": \(convBias)",
                "\"compress\": \"\(compress?.rawValue ?? "none")\"",
                "\"branches\": [\n    \(branchLines.joined(separator: ",\n    "))\n  ]",
                "\"residual\": \"\(residual?.rawValue ?? "none")\"",
                "\"fuse\": \"\(fuse.rawValue)\"",
            ]
        return "{\n  \(fields.joined(separator: ",\n  "))\n}\n"
    }
}

/// The members of a JSON object, read by type; `at` is the object's own place in the file, for errors.
private struct JSONFields {
    private let file: String
    private let place: String
    private var values: [String: JSONValue] = [:]

    init(_ value: JSONValue, file: String, at place: String, known: [String]) throws(BlockFileError) {
        self.file = file
        self.place = place.isEmpty ? "" : "\(place)."
        guard case .object(let members) = value else {
            throw .wrongValue(
                file: file, key: place.isEmpty ? "the file" : place, value: value.summary,
                expected: "an object with the keys \(known.joined(separator: ", "))")
        }
        for member in members {
            guard known.contains(member.key) else {
                throw .unknownKey(file: file, key: self.place + member.key, known: known)
            }
            values[member.key] = member.value
        }
    }

    subscript(key: String) -> JSONValue? { values[key] }

    private func wrong(_ key: String, _ value: JSONValue, _ expected: String) -> BlockFileError {
        .wrongValue(file: file, key: place + key, value: value.summary, expected: expected)
    }

    func integer(_ key: String) throws(BlockFileError) -> Int? {
        guard let value = values[key] else { return nil }
        guard let integer = value.integer else { throw wrong(key, value, "a whole number") }
        return integer
    }

    func real(_ key: String) throws(BlockFileError) -> Double? {
        guard let value = values[key] else { return nil }
        guard let real = value.real else { throw wrong(key, value, "a number") }
        return real
    }

    func bool(_ key: String) throws(BlockFileError) -> Bool? {
        guard let value = values[key] else { return nil }
        guard case .bool(let flag) = value else { throw wrong(key, value, "true or false") }
        return flag
    }

    func string(_ key: String) throws(BlockFileError) -> String? {
        guard let value = values[key] else { return nil }
        guard case .string(let text) = value else { throw wrong(key, value, "a string") }
        return text
    }

    func choice(_ key: String, _ choices: [String]) throws(BlockFileError) -> String? {
        guard let value = values[key] else { return nil }
        guard case .string(let text) = value, choices.contains(text) else {
            throw wrong(key, value, choices.map { "\"\($0)\"" }.joined(separator: ", or "))
        }
        return text
    }

    /// nil only for `"none"`.
    func form(
        _ key: String, orNone: Bool, standard: BlockDescription.Form
    ) throws(BlockFileError) -> BlockDescription.Form? {
        let choices = BlockDescription.Form.allCases.map(\.rawValue) + (orNone ? ["none"] : [])
        guard let text = try choice(key, choices) else { return standard }
        return BlockDescription.Form(rawValue: text)
    }
}
