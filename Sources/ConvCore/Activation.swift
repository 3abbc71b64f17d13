import Foundation

/// The function applied to every output after the bias.
public enum Activation: String, CaseIterable, Sendable, Codable {
    /// y = x
    case none
    /// y = max(x, 0); what is not a number stays so, as in PyTorch.
    case relu
    /// y = x·σ(x) = x / (1 + e^−x); YOLOv5 v6.
    case silu
    /// y = x·min(max(x + 3, 0), 6) / 6
    case hardswish

    /// The value in double precision; what the oracle uses.
    public func apply(_ x: Double) -> Double {
        switch self {
        case .none: x
        case .relu: x < 0 ? 0 : x
        case .silu: x / (1 + exp(-x))
        case .hardswish: x * min(max(x + 3, 0), 6) / 6
        }
    }

    /// The value in single precision; what scalar kernels use.
    public func apply(_ x: Float) -> Float {
        switch self {
        case .none: x
        case .relu: x < 0 ? 0 : x
        case .silu: x / (1 + expf(-x))
        case .hardswish: x * min(max(x + 3, 0), 6) / 6
        }
    }

    /// The largest |dy/dx|: by how much an error of the sum may grow. SiLU: 1.0998 at x = 2.4; hard swish: 1.5 at x = 3.
    public var slopeBound: Double {
        switch self {
        case .none, .relu: 1
        case .silu: 1.1
        case .hardswish: 1.5
        }
    }
}
