/// The batch norm behind a convolution: y = weight·(x − mean)/√(variance + epsilon) + bias, each `[oc]`.
public struct BatchNorm: Sendable, Equatable {
    public var weight, bias, mean, variance: [Double]
    public var epsilon: Double

    public init(weight: [Double], bias: [Double], mean: [Double], variance: [Double], epsilon: Double) {
        self.weight = weight
        self.bias = bias
        self.mean = mean
        self.variance = variance
        self.epsilon = epsilon
    }
}

/// Batch norm folded into the convolution before it: all in double precision, rounded to float once at the end, so
/// that a folded weight is within ε = 2⁻²⁴ (relative) of the exact one, and so is a folded bias.
public enum BatchNormFolding {
    /// `weights` is `[oc][icg][kh][kw]` with `oc` equal to the length of the norm's parameters (or of the bias);
    /// `convBias` `[oc]`, nil where the convolution has none; without `norm` the values are only checked and rounded.
    /// Throws ``FoldingError``.
    public static func fold(
        weights: [Double], outputs oc: Int, convBias: [Double]? = nil, norm: BatchNorm? = nil
    ) throws(FoldingError) -> (weights: [Float], bias: [Float]) {
        guard oc >= 1, weights.count % oc == 0 else { throw .wrongCount("weight", weights.count, outputs: oc) }
        try check("weight", weights)
        if let convBias { try check("bias", convBias, count: oc) }
        var scale = [Double](repeating: 1, count: oc)
        var bias = convBias ?? [Double](repeating: 0, count: oc)
        if let norm {
            let parts = [
                ("bn.weight", norm.weight), ("bn.bias", norm.bias), ("bn.running_mean", norm.mean),
                ("bn.running_var", norm.variance),
            ]
            for (what, values) in parts { try check(what, values, count: oc) }
            for c in 0..<oc {
                let spread = norm.variance[c] + norm.epsilon
                guard spread > 0 else { throw .noVariance(channel: c, norm.variance[c], epsilon: norm.epsilon) }
                scale[c] = norm.weight[c] / spread.squareRoot()
                bias[c] = (bias[c] - norm.mean[c]) * scale[c] + norm.bias[c]
            }
        }
        let perOutput = weights.count / oc
        let folded = weights.enumerated().map { Float($1 * scale[$0 / max(perOutput, 1)]) }
        let foldedBias = bias.map { Float($0) }
        for (what, values) in [("folded weight", folded), ("folded bias", foldedBias)] {
            if let index = values.firstIndex(where: { !$0.isFinite }) { throw .overflow(what, index: index) }
        }
        return (folded, foldedBias)
    }

    private static func check(_ what: String, _ values: [Double], count: Int? = nil) throws(FoldingError) {
        if let count, values.count != count { throw .wrongCount(what, values.count, outputs: count) }
        if let index = values.firstIndex(where: { !$0.isFinite }) {
            throw .notFinite(what, index: index, values[index])
        }
    }
}

/// Why a batch norm cannot be folded.
public enum FoldingError: Error, Equatable, CustomStringConvertible {
    case wrongCount(String, Int, outputs: Int)
    case notFinite(String, index: Int, Double)
    case noVariance(channel: Int, Double, epsilon: Double)
    case overflow(String, index: Int)

    public var description: String {
        switch self {
        case .wrongCount(let what, let count, let outputs): "\(what) has \(count) values for \(outputs) output channels"
        case .notFinite(let what, let index, let value):
            "\(what)[\(index)] is \(value); the parameters must be finite, export a trained model"
        case .noVariance(let channel, let variance, let epsilon):
            "bn.running_var[\(channel)] + epsilon is \(variance) + \(epsilon), not positive; "
                + "raise epsilon or export anew"
        case .overflow(let what, let index): "\(what)[\(index)] is too large for a float; raise the batch-norm epsilon"
        }
    }
}
