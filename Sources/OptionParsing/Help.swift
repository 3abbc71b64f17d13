extension CommandTable {
    /// The tool's own help: its commands.
    public var help: String {
        let width = shown.map(\.name.count).max() ?? 0
        let rows = shown.map { "  \($0.name.padded(to: width))  \($0.summary)" }
        return """
            \(tool): \(summary)

            Usage: \(tool) COMMAND [options]

            \(rows.joined(separator: "\n"))

            `\(tool) COMMAND --help` tells a command's options; `\(tool) --version` the version.
            Exit codes: 0 fine, 1 a check or verification failed, 2 usage or bad input, 3 the machine cannot answer.
            """
    }

    /// One command's help: usage, options, examples.
    public func help(for command: Command) -> String {
        var usage = "\(tool) \(command.name)"
        for argument in command.arguments { usage += argument.required ? " \(argument.name)" : " [\(argument.name)]" }
        if !command.options.isEmpty { usage += " [options]" }
        var text = "\(tool) \(command.name): \(command.summary)\n\nUsage: \(usage)\n"
        let rows =
            command.arguments.map { ($0.name, $0.choices.isEmpty ? $0.help : "\($0.help): \($0.choices.joined(separator: ", "))") }
            + command.options.map { option -> (String, String) in
                var help = option.help
                if !option.choices.isEmpty { help += ": \(option.choices.joined(separator: ", "))" }
                if option.repeatable { help += "; may be repeated" }
                if let standard = option.standard { help += " (default \(standard))" }
                return ("--\(option.name)" + (option.placeholder.map { option.bare == nil ? " \($0)" : "[=\($0)]" } ?? ""), help)
            } + [("--help", "this text")]
        let width = min(30, rows.map(\.0.count).max() ?? 0)
        text += "\n"
        for (name, help) in rows {
            let lines = help.wrapped(at: 100 - width - 4)
            text += "  \(name.padded(to: width))  \(lines[0])\n"
            for line in lines.dropFirst() { text += "  " + String(repeating: " ", count: width + 2) + line + "\n" }
        }
        if !command.options.isEmpty {
            text += "\nEvery option may also come from the environment: --min-time from ATROUS_MIN_TIME, and so on.\n"
        }
        if !command.examples.isEmpty {
            text += "\nExamples:\n" + command.examples.map { "  \($0)\n" }.joined()
        }
        return String(text.dropLast())
    }
}

extension String {
    package func padded(to width: Int) -> String { self + String(repeating: " ", count: Swift.max(0, width - count)) }

    /// Lines of at most `width` characters, broken at spaces; never empty.
    func wrapped(at width: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in split(separator: " ") {
            if !line.isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = ""
            }
            line += (line.isEmpty ? "" : " ") + word
        }
        return lines + [line]
    }
}
