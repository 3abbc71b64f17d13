import ConvCore
import Foundation
import OptionParsing

// What the command does, in order: read the line, run the one command, turn what went wrong into one line and a code.

// A reader that went away (`atrous list kernels | head`) ends the program quietly.
signal(SIGPIPE, SIG_DFL)

do {
    switch try toolTable.parse(
        Array(CommandLine.arguments.dropFirst()), environment: ProcessInfo.processInfo.environment)
    {
    case .toolHelp: print(toolTable.help)
    case .version: print("atrous \(toolTable.version)")
    case .commandHelp(let command): print(toolTable.help(for: command))
    case .run(let command, let values):
        let code = try commandBodies[command.name]!(values)
        exit(code.rawValue)
    }
} catch {
    Console.error("\(error)")
    exit(ExitCode(for: error).rawValue)
}
