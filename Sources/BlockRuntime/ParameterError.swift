/// Why a file's tensors are not the parameters of a block. One line with the file and the tensor.
public enum ParameterError: Error, Equatable, CustomStringConvertible {
    case missing(file: String, tensor: String, shape: [Int])
    case extra(file: String, tensor: String, block: String)
    case wrongShape(file: String, tensor: String, shape: [Int], expected: [Int])
    case fold(file: String, unit: String, FoldingError)
    case unknownBlock(file: String)
    case badMetadata(file: String, key: String, value: String, expected: String)
    case invalid(file: String, BlockError)

    public var description: String {
        switch self {
        case .missing(let file, let tensor, let shape):
            "\(file): tensor '\(tensor)' of shape \(shape) is missing; export the whole block, or name its variant"
        case .extra(let file, let tensor, let block):
            "\(file): tensor '\(tensor)' does not belong to the block '\(block)'; remove it, or name the right variant"
        case .wrongShape(let file, let tensor, let shape, let expected):
            "\(file): tensor '\(tensor)' has shape \(shape) where the block needs \(expected)"
        case .fold(let file, let unit, let error): "\(file): unit '\(unit)': \(error)"
        case .unknownBlock(let file):
            "\(file): says neither variant nor block in its metadata; name the variant or give a block file"
        case .badMetadata(let file, let key, let value, let expected):
            "\(file): metadata \(key) is '\(value)'; write \(expected)"
        case .invalid(let file, let error): "\(file): \(error)"
        }
    }
}
