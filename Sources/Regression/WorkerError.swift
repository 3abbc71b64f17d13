import ConvCore

/// What can go wrong with a worker. One line: what, where, and what to do.
public enum WorkerError: Error, Equatable, Sendable, CustomStringConvertible {
    case cannotStart(String, reason: String)
    case noWorker(String, last: String)
    case otherVersion(String, found: String)
    case died(String, command: String, last: String)
    case hung(String, command: String, seconds: Double)
    case lied(String, command: String, answer: String)
    case refused(String, reason: String)
    case badCommand(String)
    case unsupported(String, reason: String)
    case noMemory(String)
    case noRoom(String)

    public var description: String { text.onOneLine }

    private var text: String {
        switch self {
        case .cannotStart(let path, let reason): "\(path): cannot be started (\(reason)); give a build of atrous"
        case .noWorker(let path, let last):
            "\(path): has no worker (another program, or an atrous from before the regression check)\(last.isEmpty ? "" : ", it said '\(last)'"); choose a later base"
        case .otherVersion(let path, let found):
            "\(path): its worker speaks protocol '\(found)', this build \(WorkerProtocol.version); check with the later build of the two"
        case .died(let path, let command, let last): "\(path): its worker died at '\(command)'" + (last.isEmpty ? "" : ": \(last)")
        case .hung(let path, let command, let seconds):
            "\(path): its worker gave no answer to '\(command)' within \(Int(seconds)) s"
        case .lied(let path, let command, let answer): "\(path): its worker answered '\(command)' with '\(answer)'"
        case .refused(let path, let reason): "\(path): \(reason)"
        case .badCommand(let line): "not understood: \(line)"
        case .unsupported(let kernel, let reason): "\(kernel) cannot run it: \(reason)"
        case .noMemory(let reason): "\(Self.memory)\(reason)"
        case .noRoom(let reason): "no room: \(reason); make room there, or set TMPDIR to another folder"
        }
    }

    private static let memory = "no shared memory: "

    /// What a worker's refusal to map pages means: the machine has none there.
    var ofMapping: WorkerError {
        guard case .refused(let path, let reason) = self else { return self }
        return .noMemory("\(path): \(reason.hasPrefix(Self.memory) ? String(reason.dropFirst(Self.memory.count)) : reason)")
    }

    /// Whether this machine lacks something, rather than a build.
    public var isMachines: Bool {
        switch self {
        case .noMemory, .noRoom: true
        default: false
        }
    }

    /// Whether the worker never came to its first command.
    var isAtStart: Bool {
        switch self {
        case .died(_, let command, _), .hung(_, let command, _), .lied(_, let command, _): command == WorkerProcess.starting
        case .cannotStart, .noWorker, .otherVersion: true
        default: false
        }
    }

    /// Whether the worker is gone, so that the next case needs a new one.
    public var endsWorker: Bool {
        switch self {
        case .died, .hung, .lied: true
        default: false
        }
    }
}

/// What went wrong, and in which side's worker.
public struct SideError: Error, CustomStringConvertible {
    public let side: Side
    public let cause: WorkerError
    /// Arguments of the build that repeat it.
    public let repeating: String
    public var description: String { "\(cause)" }

    public init(_ side: Side, _ cause: WorkerError, repeating: String = "worker </dev/null") {
        self.side = side
        self.cause = cause
        self.repeating = repeating
    }

    /// Whether head failed outside any case, which nothing can be held against then, and its worker had begun before.
    public var isHeadsEnd: Bool { side == .head && !cause.isMachines }
}
