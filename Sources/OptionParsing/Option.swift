/// One option of a command: a row of its table.
public struct Option: Sendable {
    /// Without the dashes: `min-time`.
    public let name: String
    /// What stands for the value in the help, such as `SECONDS`; nil for a flag.
    public let placeholder: String?
    /// One sentence without a full stop.
    public let help: String
    /// The default, as the help shows it.
    public let standard: String?
    /// Whether it may be given several times.
    public let repeatable: Bool
    /// The values that are possible, where they can be listed.
    public let choices: [String]
    /// Whether the value is a file or folder, for completion.
    public let isPath: Bool
    /// The value that the option has when it is given without one; nil where it needs one.
    public let bare: String?

    /// Whether its variable gives a value where the command line does not.
    public let readsEnvironment: Bool

    public init(
        _ name: String, _ placeholder: String? = nil, _ help: String, default standard: String? = nil,
        repeatable: Bool = false, choices: [String] = [], isPath: Bool = false,
        bare: String? = nil, readsEnvironment: Bool = true
    ) {
        self.readsEnvironment = readsEnvironment
        self.name = name
        self.placeholder = placeholder
        self.help = help
        self.standard = standard
        self.repeatable = repeatable
        self.choices = choices
        self.isPath = isPath
        self.bare = bare
    }

    /// The environment variable that gives a value where the command line does not: `ATROUS_MIN_TIME`.
    public var variable: String { Self.variable(of: name) }
    static func variable(of name: String) -> String { "ATROUS_" + name.uppercased().replacing("-", with: "_") }
}

/// A subcommand: its row in the tool's table.
public struct Command: Sendable {
    public let name: String
    /// One sentence without a full stop.
    public let summary: String
    /// What stands behind the name besides options.
    public let arguments: [Positional]
    public let options: [Option]
    /// Command lines that show it at work.
    public let examples: [String]
    /// Spoken by programs only: help and completion leave it out.
    public let hidden: Bool

    public struct Positional: Sendable {
        public let name: String
        public let help: String
        public let choices: [String]
        public let required: Bool

        public init(_ name: String, _ help: String, choices: [String] = [], required: Bool = true) {
            self.name = name
            self.help = help
            self.choices = choices
            self.required = required
        }
    }

    public init(
        _ name: String, _ summary: String, arguments: [Positional] = [], options: [Option] = [],
        examples: [String] = [], hidden: Bool = false
    ) {
        self.name = name
        self.summary = summary
        self.arguments = arguments
        self.options = options
        self.examples = examples
        self.hidden = hidden
    }
}

/// The whole tool: its commands.
public struct CommandTable: Sendable {
    public let tool: String
    public let version: String
    public let summary: String
    public let commands: [Command]

    /// What help and completion tell of.
    var shown: [Command] { commands.filter { !$0.hidden } }

    public init(tool: String, version: String, summary: String, commands: [Command]) {
        self.tool = tool
        self.version = version
        self.summary = summary
        self.commands = commands
    }
}
