import ConvCore
import ThreadPool

/// Why a block cannot be, or not at this size. The text says what to write instead.
public enum BlockError: Error, Equatable, CustomStringConvertible {
    case unknownVariant(String)
    case noBranches
    case emptyBranch(Int)
    case tooMany(String, Int, Int)
    case notPositive(String, Int)
    case tooLarge(String, Int, limit: Int)
    case unevenPadding(String, kernel: Int, dilation: Int)
    case badEpsilon(Double)
    case noInputWidth
    case noWholeBlocks(String, Int)
    case noMiddle(cin: Int)
    case contradictoryWidth(String, given: Int, own: Int)
    case badSize(String)
    case problem(unit: String, ProblemError)
    case tooLittleMemory(Int, free: Int)
    case tooFewThreads(Int, wanted: Int)

    /// Throws ``tooLittleMemory(_:free:)`` where so much is not free: systems hand out more than they have, and end the program later.
    package static func requireMemory(_ bytes: Int) throws(BlockError) {
        if let free = SystemMemory.available, bytes > free { throw .tooLittleMemory(bytes, free: free) }
    }

    /// Throws ``tooFewThreads(_:wanted:)`` where the system started fewer.
    package static func require(_ pool: ThreadPool, threads: Int) throws(BlockError) {
        guard pool.threads == threads else { throw .tooFewThreads(pool.threads, wanted: threads) }
    }

    public var description: String { text.onOneLine }

    private var text: String {
        switch self {
        case .unknownVariant(let name):
            "unknown variant '\(name)'; the variants are "
                + BlockVariant.allCases.map(\.rawValue).joined(separator: ", ")
        case .noBranches: "a block needs one branch at least, such as [{\"k\": 3, \"d\": 2}]"
        case .emptyBranch(let branch):
            "branches[\(branch)] is empty; write one step at least, such as {\"k\": 3, \"d\": 2}"
        case .tooMany(let what, let count, let limit): "\(count) \(what); at most \(limit) are allowed"
        case .notPositive(let key, let value): "\(key) is \(value); write 1 or more"
        case .tooLarge(let key, let value, let limit): "\(key) is \(value); it may be at most \(limit)"
        case .unevenPadding(let place, let kernel, let dilation):
            "\(place): a \(kernel)×\(kernel) kernel at dilation \(dilation) cannot be padded evenly; "
                + "write an odd k (\(kernel - 1) or \(kernel + 1))"
        case .badEpsilon(let epsilon):
            "the batch-norm epsilon is \(epsilon); write 0 or a positive number, such as 1e-3"
        case .noInputWidth: "the block's input channels are not known; give cin in the block file or in the size"
        case .noWholeBlocks(let what, let channels):
            "the \(what) has \(channels) channels, no whole blocks of \(Layout.blockChannels); take it as nchw or nhwc"
        case .noMiddle(let cin): "⌊cin/2⌋ of cin \(cin) leaves no channel; give mid, or a cin of 2 or more"
        case .contradictoryWidth(let key, let given, let own):
            "\(key) \(given) contradicts the block's own \(key) of \(own); write \(own) or leave it out"
        case .badSize(let text): "'\(text)' is not a size; write batch, channels, height and width as 1x64x20x20"
        case .problem(let unit, let error): "unit \(unit): \(error)"
        case .tooLittleMemory(let needed, let free):
            "the block needs \(needed >> 20) MiB at this size and \(free >> 20) MiB are free; choose a smaller size"
        case .tooFewThreads(let started, let wanted):
            "the system started \(started) of \(wanted) threads; ask for fewer, or raise its limit (ulimit -u)"
        }
    }
}
