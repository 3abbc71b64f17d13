/// The values that a kernel's tile sizes and blockings take, in the order of the kernel's space: `m12n2k256`.
public struct Configuration: Hashable, Sendable, CustomStringConvertible {
    /// Names and values, in order.
    public let entries: [Entry]

    public struct Entry: Hashable, Sendable {
        public let name: String
        public let value: Int

        public init(name: String, value: Int) {
            self.name = name
            self.value = value
        }
    }

    public init(_ entries: [Entry]) { self.entries = entries }

    /// A kernel without parameters.
    public static let empty = Configuration([])

    /// The value of a parameter that the kernel's space declares.
    public subscript(name: String) -> Int {
        for entry in entries where entry.name == name { return entry.value }
        preconditionFailure("the configuration \(self) has no parameter \(name)")
    }

    public var description: String { entries.map { "\($0.name)\($0.value)" }.joined() }
}

/// A named integer parameter of a kernel and the values that are worth trying.
public struct Parameter: Sendable, Equatable {
    /// Lower-case letters, so that a configuration's text can be split.
    public let name: String
    /// Ascending and not empty.
    public let values: [Int]
    /// Good without tuning.
    public let standard: Int
    /// What it sets, in its unit.
    public let summary: String

    public init(_ name: String, _ values: [Int], standard: Int, _ summary: String) {
        precondition(values.contains(standard), "the standard value of \(name) is not among its values")
        self.name = name
        self.values = values
        self.standard = standard
        self.summary = summary
    }
}

/// All configurations of a kernel: the product of its parameters' values, less those that its constraint excludes.
public struct ConfigurationSpace: Sendable {
    public let parameters: [Parameter]
    /// What a configuration must satisfy, as text for the reader and as a test.
    public let constraint: String
    let admits: @Sendable (Configuration) -> Bool

    public init(
        _ parameters: [Parameter], constraint: String = "", admits: @escaping @Sendable (Configuration) -> Bool = { _ in true }
    ) {
        self.parameters = parameters
        self.constraint = constraint
        self.admits = admits
    }

    /// The space of a kernel without parameters.
    public static let none = ConfigurationSpace([])

    public var standard: Configuration {
        Configuration(parameters.map { .init(name: $0.name, value: $0.standard) })
    }

    /// Every admitted configuration, the last parameter running fastest.
    public var all: [Configuration] {
        var partial: [[Configuration.Entry]] = [[]]
        for parameter in parameters {
            partial = partial.flatMap { head in
                parameter.values.map { head + [Configuration.Entry(name: parameter.name, value: $0)] }
            }
        }
        return partial.map { Configuration($0) }.filter(admits)
    }

    /// Reads `m12n2k256`; parameters left out take their standard value. Throws ``ConfigurationError``.
    public func parse(_ text: String) throws -> Configuration {
        var given: [String: Int] = [:]
        var rest = text[...]
        while !rest.isEmpty {
            let name = String(rest.prefix { $0.isLetter })
            let digits = rest.dropFirst(name.count).prefix { $0.isNumber }
            rest = rest.dropFirst(name.count + digits.count)
            guard let parameter = parameters.first(where: { $0.name == name }), let value = Int(digits) else {
                throw ConfigurationError.unknown(text, known: parameters.map(\.name))
            }
            guard parameter.values.contains(value) else {
                throw ConfigurationError.value(name, value, allowed: parameter.values)
            }
            guard given.updateValue(value, forKey: name) == nil else { throw ConfigurationError.twice(text, name) }
        }
        let configuration = Configuration(
            parameters.map { .init(name: $0.name, value: given[$0.name] ?? $0.standard) })
        guard admits(configuration) else { throw ConfigurationError.excluded(text, constraint) }
        return configuration
    }
}

public enum ConfigurationError: Error, Equatable, CustomStringConvertible {
    case unknown(String, known: [String])
    case value(String, Int, allowed: [Int])
    case excluded(String, String)
    case twice(String, String)

    public var description: String {
        switch self {
        case .unknown(let text, let known):
            known.isEmpty
                ? "configuration '\(text)': this kernel has no parameters; leave it out"
                : "configuration '\(text)' does not read as parameters; they are \(known.joined(separator: ", "))"
        case .value(let name, let value, let allowed):
            "configuration value \(name)\(value): \(name) takes \(allowed.map(String.init).joined(separator: ", "))"
        case .excluded(let text, let constraint): "configuration '\(text)' breaks the constraint \(constraint)"
        case .twice(let text, let name): "configuration '\(text)' gives \(name) twice; keep one"
        }
    }
}
