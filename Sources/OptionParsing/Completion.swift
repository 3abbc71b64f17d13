/// Shells that completion can be written for.
public enum Shell: String, CaseIterable, Sendable {
    case bash, zsh, fish
}

extension CommandTable {
    /// A script that teaches the shell this tool's commands, options and values.
    public func completion(for shell: Shell) -> String {
        switch shell {
        case .bash: bashCompletion
        case .zsh: "#compdef \(tool)\nautoload -U +X bashcompinit && bashcompinit\n" + bashCompletion
        case .fish: fishCompletion
        }
    }

    private var bashCompletion: String {
        var cases = ""
        for command in shown {
            let options = command.options.map { "--\($0.name)" } + ["--help"]
            let words = command.arguments.flatMap(\.choices) + options
            var values = ""
            for option in command.options where option.placeholder != nil {
                if option.isPath {
                    values += "                --\(option.name)) COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n"
                } else {
                    let list = option.choices.joined(separator: " ")
                    values += "                --\(option.name)) COMPREPLY=($(compgen -W '\(list)' -- \"$current\")); return ;;\n"
                }
            }
            cases += "        \(command.name))\n"
            if !values.isEmpty { cases += "            case \"$previous\" in\n\(values)            esac\n" }
            cases += "            COMPREPLY=($(compgen -W '\(words.joined(separator: " "))' -- \"$current\")) ;;\n"
        }
        return """
            _\(tool)() {
                local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"
                if [ "$COMP_CWORD" -eq 1 ]; then
                    COMPREPLY=($(compgen -W '\((shown.map(\.name) + ["--help", "--version"]).joined(separator: " "))' -- "$current"))
                    return
                fi
                case "${COMP_WORDS[1]}" in
            \(cases)    esac
            }
            complete -F _\(tool) \(tool)
            """
    }

    private var fishCompletion: String {
        var lines = ["complete -c \(tool) -f"]
        for command in shown {
            lines.append("complete -c \(tool) -n __fish_use_subcommand -a \(command.name) -d '\(command.summary.quoted)'")
            let condition = "-n '__fish_seen_subcommand_from \(command.name)'"
            for choice in command.arguments.flatMap(\.choices) { lines.append("complete -c \(tool) \(condition) -a \(choice)") }
            for option in command.options {
                var line = "complete -c \(tool) \(condition) -l \(option.name) -d '\(option.help.quoted)'"
                if option.placeholder != nil { line += option.isPath ? " -r -F" : " -x" }
                if !option.choices.isEmpty { line += " -a '\(option.choices.joined(separator: " "))'" }
                lines.append(line)
            }
        }
        return lines.joined(separator: "\n")
    }
}

extension String {
    fileprivate var quoted: String { replacing("'", with: "\\'") }
}
