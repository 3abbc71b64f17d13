/// A command line that cannot be understood. The text is one line: what, where, and what to write instead.
public enum OptionError: Error, Equatable, Sendable, CustomStringConvertible {
    case unknownCommand(String, nearest: String?, tool: String)
    case unknownOption(String, nearest: String?, command: String, tool: String)
    case missingValue(String, placeholder: String)
    case unwantedValue(String, value: String)
    case repeated(String)
    case missingArgument(String, command: String, choices: [String])
    case extraArgument(String, command: String)
    /// An option that means nothing beside the others.
    case withoutEffect(flag: String, mode: String, why: String)
    case badValue(flag: String, value: String, wanted: String)
    case unknownChoice(flag: String, value: String, nearest: String?, choices: [String])

    public var description: String {
        switch self {
        case .unknownCommand(let name, let nearest, let tool):
            "unknown command '\(name)'" + Self.hint(nearest) + "; `\(tool) --help` lists the commands"
        case .unknownOption(let name, let nearest, let command, let tool):
            "\(tool) \(command): unknown option \(name)" + Self.hint(nearest.map { "--\($0)" })
                + "; `\(tool) \(command) --help` lists the options"
        case .missingValue(let name, let placeholder): "--\(name) needs a value: --\(name) \(placeholder)"
        case .unwantedValue(let name, let value): "--\(name) takes no value; leave '=\(value)' out"
        case .repeated(let name): "--\(name) is given twice; give it once"
        case .missingArgument(let name, let command, let choices):
            "\(command) needs \(name)" + (choices.isEmpty ? "" : ": write one of \(choices.joined(separator: ", "))")
        case .extraArgument(let text, let command): "\(command) takes no argument '\(text)'; options begin with --"
        case .withoutEffect(let flag, let mode, let why): "\(flag) has no effect in \(mode): \(why); leave it out"
        case .badValue(let flag, let value, let wanted): "\(flag) '\(value)' is no \(wanted)"
        case .unknownChoice(let flag, let value, let nearest, let choices):
            "\(flag) '\(value)' is not known" + Self.hint(nearest) + "; write one of \(choices.joined(separator: ", "))"
        }
    }

    private static func hint(_ nearest: String?) -> String { nearest.map { "; did you mean \($0)?" } ?? "" }
}
