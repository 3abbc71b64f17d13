import ConvCore

/// Why a file's tensors are not the parameters of a block. One line with the file and the tensor.
public enum ParameterError: Error, Equatable, CustomStringConvertible {
    /// `shape`: nil where the widths, which this tensor would tell, are not known.
    case missing(file: String, tensor: String, shape: [Int]?)
    case noWeights(file: String, tensor: String, shape: [Int])
    case extra(file: String, tensor: String, block: String)
    case wrongShape(file: String, tensor: String, shape: [Int], expected: [Int])
    case fold(file: String, unit: String, FoldingError)
    case unknownBlock(file: String)
    case unknownSetting(file: String, key: String, expected: String)
    case contradictorySetting(file: String, key: String, given: String, own: String)
    case badMetadata(file: String, key: String, value: String, expected: String)
    case invalid(file: String, BlockError)

    public var description: String { text.onOneLine }

    private var text: String {
        switch self {
        case .missing(let file, let tensor, let shape):
            "\(file): tensor '\(tensor)'\(shape.map { " of shape \($0)" } ?? "") is missing; export the whole block, or correct the variant"
        case .noWeights(let file, let tensor, let shape):
            "\(file): tensor '\(tensor)' has shape \(shape) where a convolution's weights are needed, [out, in / groups, height, width]"
        case .extra(let file, let tensor, let block):
            "\(file): tensor '\(tensor)' does not belong to the block '\(block)'; remove it, or correct the variant"
        case .wrongShape(let file, let tensor, let shape, let expected):
            "\(file): tensor '\(tensor)' has shape \(shape) where the block needs \(expected)"
        case .fold(let file, let unit, let error): "\(file): unit '\(unit)': \(error)"
        case .unknownBlock(let file):
            "\(file): its metadata name no variant; export it with scripts/expand_conv.py, or add variant, act and bn_eps"
                + " (for the command: --variant literal --activation silu --eps 1e-3; for C: atrous_load_as)"
        case .unknownSetting(let file, let key, let expected):
            "\(file): its metadata hold no \(key); add it, \(expected)"
                + (key == "act" ? " (for the command: --activation)" : " (for the command: --eps)")
        case .contradictorySetting(let file, let key, let given, let own):
            "\(file): metadata \(key) is '\(own)', '\(given)' was given; leave that out"
        case .badMetadata(let file, let key, let value, let expected):
            "\(file): metadata \(key) is '\(value)'; write \(expected)"
        case .invalid(let file, let error): "\(file): \(error)"
        }
    }
}
