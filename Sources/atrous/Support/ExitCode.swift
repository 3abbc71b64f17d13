import BlockRuntime
import Disassembly
import Foundation
import Harness
import Plotting
import Regression
import Tuning

/// What the command's end tells a script.
enum ExitCode: Int32 {
    case fine = 0
    /// A check or a verification failed.
    case failed = 1
    /// Wrong usage or bad input.
    case badInput = 2
    /// The machine cannot answer: something is missing, or it is too noisy.
    case machine = 3

    init(for error: Error) {
        if let error = error as? SideError { self = ExitCode(for: error.cause); return }
        // A block that computes the wrong thing is found while it is planned.
        if case .wrong = error as? PlanningError { self = .failed; return }
        if case .tooLittleMemory = error as? BlockError { self = .machine; return }
        let isMachines = error is HarnessError || error is InstructionCounter.Failure || error is DisassemblyError || error is MachineError
            || (error as? PlotError)?.isMissingTool == true || (error as? WorkerError)?.isMachines == true
        self = isMachines ? .machine : .badInput
    }
}

/// What this machine cannot do at the moment, and what would help.
struct MachineError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A mistake of the user's that no library reports. One line: what, where, what to write instead.
struct UsageError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
