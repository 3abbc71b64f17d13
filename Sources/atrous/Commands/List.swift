import BlockRuntime
import ConvCore
import KernelRegistry
import OptionParsing
import Plotting

func runList(_ values: Values) throws -> ExitCode {
    switch values.arguments[0] {
    case "kernels":
        let registry = KernelRegistry(level: try InstructionSet.usable())
        let patterns = try values.strings("kernel").compactMap { try Pattern($0, flag: "--kernel") }
        for kernel in registry.kernels where patterns.isEmpty || patterns.contains(where: { $0.matches(kernel.name) }) {
            let layouts = kernel.srcLayout == kernel.layout ? kernel.layout.rawValue : "\(kernel.srcLayout.rawValue) to \(kernel.layout.rawValue)"
            print("\(kernel.name)  \(layouts)  \(kernel.threaded ? "threads" : "1 thread")  \(kernel.summary)")
            if values.flag("spaces") { printSpace(kernel.space) }
        }
    case "problems":
        let selection = try ProblemSelection.nonEmpty(values, command: "list problems")
        for problem in selection.problems {
            print("\(problem)  \(problem.layer.rawValue)  \(Format.number(problem.nominalMACs / 1e6, digits: 4)) MMAC nominal, "
                + "\(Format.number(problem.effectiveMACs / 1e6, digits: 4)) effective")
        }
        for line in selection.skipped { print("# skipped: \(line)") }
    case "tuned": try listTuned(values)
    case "presets":
        for preset in Preset.all { print("\(preset.name)  \(preset.summary)") }
    default:
        for figure in Figures.all { print("\(figure.name)  \(figure.summary)") }
    }
    return .fine
}

private func printSpace(_ space: ConfigurationSpace) {
    guard !space.parameters.isEmpty else { return print("    no parameters: 1 configuration") }
    for parameter in space.parameters {
        let values = parameter.values.map(String.init).joined(separator: ", ")
        print("    \(parameter.name) = \(values) (standard \(parameter.standard)): \(parameter.summary)")
    }
    if !space.constraint.isEmpty { print("    constraint: \(space.constraint)") }
    print("    \(space.all.count) configurations; standard \(space.standard)")
}

func runCompletions(_ values: Values) throws -> ExitCode {
    print(toolTable.completion(for: Shell(rawValue: values.arguments[0])!))
    return .fine
}
