/// The kinds of layer that kernels are written for.
public enum Layer: String, CaseIterable, Sendable {
    /// Depthwise convolution: every channel by itself (groups = ic = oc).
    case dw
    /// Pointwise convolution: 1×1, stride 1, no padding; a matrix product over the channels.
    case pw
    /// Any other convolution: dense or grouped.
    case conv
    /// A depthwise unit and the pointwise unit behind it, at once.
    case sep

    /// Layers of a single convolution.
    public static let convolutions: [Layer] = [.dw, .pw, .conv]

    public var title: String {
        switch self {
        case .dw: "depthwise"
        case .pw: "pointwise"
        case .conv: "dense or grouped"
        case .sep: "separable"
        }
    }
}
