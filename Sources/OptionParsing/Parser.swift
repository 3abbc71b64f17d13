/// What a command line asks for.
public enum Invocation: Sendable {
    case toolHelp
    case version
    case commandHelp(Command)
    case run(Command, Values)
}

extension CommandTable {
    /// Reads the arguments behind the program's name. `environment` gives values to options that the line leaves out.
    public func parse(_ arguments: [String], environment: [String: String] = [:]) throws(OptionError) -> Invocation {
        guard let first = arguments.first else { return .toolHelp }
        if ["--help", "-h", "help"].contains(first) {
            if arguments.count > 1, let command = commands.first(where: { $0.name == arguments[1] }) {
                return .commandHelp(command)
            }
            return .toolHelp
        }
        if first == "--version" { return .version }
        guard let command = commands.first(where: { $0.name == first }) else {
            throw .unknownCommand(first, nearest: nearestName(to: first, in: shown.map(\.name)), tool: tool)
        }
        return try parse(command, Array(arguments.dropFirst()), environment)
    }

    private func parse(
        _ command: Command, _ arguments: [String], _ environment: [String: String]
    ) throws(OptionError) -> Invocation {
        var given: [String: [String]] = [:]
        var positional: [String] = []
        var index = 0
        var optionsEnded = false
        while index < arguments.count {
            let argument = arguments[index]
            index += 1
            if optionsEnded || !argument.hasPrefix("-") || argument == "-" {
                positional.append(argument)
                continue
            }
            if argument == "--" {
                optionsEnded = true
                continue
            }
            if argument == "--help" || argument == "-h" { return .commandHelp(command) }
            let parts = argument.drop { $0 == "-" }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts.first ?? "")
            guard argument.hasPrefix("--"), let option = command.options.first(where: { $0.name == name }) else {
                throw .unknownOption(
                    argument.split(separator: "=").first.map(String.init) ?? argument,
                    nearest: nearestName(to: name, in: command.options.map(\.name)), command: command.name, tool: tool)
            }
            var value = parts.count == 2 ? String(parts[1]) : nil
            if let placeholder = option.placeholder {
                if value == nil, index < arguments.count, Self.looksLikeValue(arguments[index]) {
                    value = arguments[index]
                    index += 1
                }
                guard let value = value ?? option.bare, !value.isEmpty else { throw .missingValue(name, placeholder: placeholder) }
                guard given[name] == nil || option.repeatable else { throw .repeated(name) }
                given[name, default: []].append(value)
            } else {
                if let value { throw .unwantedValue(name, value: value) }
                given[name] = ["true"]
            }
        }
        try check(positional, of: command)
        let onLine = Set(given.keys)
        for option in command.options where given[option.name] == nil && option.readsEnvironment {
            guard let value = environment[option.variable], !value.isEmpty else { continue }
            if option.placeholder != nil || ["1", "true", "yes"].contains(value) { given[option.name] = [value] }
        }
        let values = Values(arguments: positional, given: given, onLine: onLine)
        for option in command.options where !option.choices.isEmpty {
            for value in values.strings(option.name) where !option.choices.contains(value) {
                throw .unknownChoice(
                    flag: values.spelled(option.name), value: value, nearest: nearestName(to: value, in: option.choices), choices: option.choices)
            }
        }
        return .run(command, values)
    }

    /// A value may start with a dash only if it is a number; `--flag=-x` takes any.
    private static func looksLikeValue(_ text: String) -> Bool { !text.hasPrefix("-") || text == "-" || Double(text) != nil }

    private func check(_ positional: [String], of command: Command) throws(OptionError) {
        for (index, row) in command.arguments.enumerated() {
            guard index < positional.count else {
                if row.required { throw .missingArgument(row.name, command: command.name, choices: row.choices) }
                continue
            }
            if !row.choices.isEmpty, !row.choices.contains(positional[index]) {
                throw .unknownChoice(
                    flag: "\(command.name)", value: positional[index],
                    nearest: nearestName(to: positional[index], in: row.choices), choices: row.choices)
            }
        }
        if positional.count > command.arguments.count {
            throw .extraArgument(positional[command.arguments.count], command: command.name)
        }
    }
}
