import ConvCore

/// Why a plan does not fit. One line: where, what, what to write instead.
public enum PlanError: Error, Equatable, CustomStringConvertible {
    case unsupported(unit: String, kernel: String, String)
    case bandsOrLanes(unit: String, String)
    case malformed(file: String, line: Int, String)
    case unreadable(file: String, reason: String)
    case unknownKernel(file: String, line: Int, kernel: String, reason: String)
    case otherUnits(file: String, line: Int, found: String, expected: String)
    case otherProblem(file: String, line: Int, unit: String, found: String, expected: String)

    public var description: String { text.onOneLine }

    private var text: String {
        switch self {
        case .unsupported(let unit, let kernel, let reason): "unit \(unit): \(kernel) cannot run it: \(reason)"
        case .bandsOrLanes(let unit, let reason): "unit \(unit): \(reason)"
        case .malformed(let file, let line, let what): "\(file):\(line): \(what)"
        case .unreadable(let file, let reason): "\(file): \(reason); write the name of a plan, as `atrous pick --out` makes it"
        case .unknownKernel(let file, let line, let kernel, let reason): "\(file):\(line): kernel '\(kernel)' \(reason)"
        case .otherUnits(let file, let line, let found, let expected):
            "\(file):\(line): unit '\(found)' where the block has '\(expected)'; plan this block with `atrous pick --block … --out`"
        case .otherProblem(let file, let line, let unit, let found, let expected):
            "\(file):\(line): unit \(unit) was planned for \(found), this block has \(expected); plan it anew with `atrous pick --block … --out`"
        }
    }
}
