/// Why a problem cannot be. The text names the entry, its value and what to write instead.
public enum ProblemError: Error, Equatable, CustomStringConvertible {
    case notPositive(String, Int)
    case negativePadding(String, Int)
    case negativeDilation(String, Int)
    case tooLarge(String, Int)
    case tensorTooLarge(String, [Int])
    case notDivisible(String, Int, Int)
    case emptyOutput(String, input: Int, extent: Int, pad: Int)
    case contradictoryOutput(String, Int, allowed: ClosedRange<Int>)
    case missing(String, text: String)
    case unknownEntry(String, text: String, known: String)
    case repeatedEntry(String, text: String)
    case badNumber(String, text: String)
    case badShortForm(String)
    case notSeparable(String)
    case empty
    case threeDimensional(String)

    public var description: String {
        switch self {
        case .notPositive(let key, let value): "\(key)\(value): \(key) must be 1 or more"
        case .negativePadding(let key, let value): "\(key)\(value): padding must be 0 or more"
        case .negativeDilation(let key, let value):
            "\(key)\(value): \(key) counts the gaps between taps, write 0 (dense) or more"
        case .tooLarge(let key, let value): "\(key)\(value): \(key) may be at most \(Problem.largestSize)"
        case .tensorTooLarge(let what, let factors):
            "\(what) of \(factors.map(String.init).joined(separator: "×")) values is over the limit of 2^32; write smaller sizes"
        case .notDivisible(let key, let value, let groups):
            "\(key)\(value) does not divide into g\(groups) groups; write \(key) as a multiple of g"
        case .emptyOutput(let axis, let input, let extent, let pad):
            "the kernel reaches over \(extent) and the padded input is only \(input + 2 * pad) (i\(axis)\(input), p\(axis)\(pad)); "
                + "write a p\(axis) of at least \((extent - input + 1) / 2)"
        case .contradictoryOutput(let key, let value, let allowed):
            "\(key)\(value) contradicts input, kernel, stride and padding, which give "
                + (allowed.count == 1 ? "\(allowed.lowerBound)" : "\(allowed.lowerBound) to \(allowed.upperBound)")
                + "; write one of these or leave \(key) out"
        case .missing(let key, let text): "'\(text)' has no \(key); write for example \(key)64"
        case .unknownEntry(let entry, let text, let known): "'\(text)': unknown entry '\(entry)'; the entries are \(known)"
        case .repeatedEntry(let key, let text): "'\(text)': \(key) stands there twice; keep one"
        case .badNumber(let entry, let text): "'\(text)': '\(entry)' needs a whole number behind it"
        case .badShortForm(let text):
            "'\(text)': the short forms are dw:c64h80k5d5, pw:c64o128h80, conv:c64o128h80k3d2 and sep:c64o128h80k5d5"
        case .notSeparable(let text):
            "'\(text)': +oc stands behind a depthwise convolution, whose g, ic and oc are equal, and gives the pointwise unit's channels; write for example g64mb1ic64ih20oc64oh20kh3+oc128"
        case .empty: "an empty problem; write for example g64ic64ih80oc64oh80kh5dh4 or dw:c64h80k5d5"
        case .threeDimensional(let text): "'\(text)' is a 3-D convolution; only 2-D is supported"
        }
    }
}
