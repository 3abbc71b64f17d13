/// The batch norm behind a convolution: y = weight·(x − mean)/√(variance + epsilon) + bias, each `[oc]`.
package struct BatchNorm: Sendable, Equatable {
    package var weight, bias, mean, variance: [Double]
    package var epsilon: Double

    package init(weight: [Double], bias: [Double], mean: [Double], variance: [Double], epsilon: Double) {
        self.weight = weight
        self.bias = bias
        self.mean = mean
        self.variance = variance
        self.epsilon = epsilon
    }
}

/// Batch norm folded into the convolution before it: all in double precision, rounded to float once at the end, so
/// that a folded weight is within ε = 2⁻²⁴ (relative) of the exact one, and so is a folded bias.
package enum BatchNormFolding {
    /// What errors call the parameters.
    package struct Names: Sendable {
        package var weight, bias: String
        /// Weight, bias, running mean, running variance.
        package var norm: [String]

        package init(
            weight: String = "weight", bias: String = "bias",
            norm: [String] = ["bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"]
        ) {
            self.weight = weight
            self.bias = bias
            self.norm = norm
        }
    }

    /// `weights` is `[oc][icg][kh][kw]` with `oc` equal to the length of the norm's parameters (or of the bias);
    /// `convBias` `[oc]`, nil where the convolution has none; without `norm` the values are only checked and rounded.
    /// Throws ``FoldingError``.
    package static func fold(
        weights: [Double], outputs oc: Int, convBias: [Double]? = nil, norm: BatchNorm? = nil, names: Names = .init()
    ) throws(FoldingError) -> (weights: [Float], bias: [Float]) {
        guard oc >= 1, weights.count % oc == 0 else { throw .wrongCount(names.weight, weights.count, outputs: oc) }
        try check(names.weight, weights)
        if let convBias { try check(names.bias, convBias, count: oc) }
        var scale = [Double](repeating: 1, count: oc)
        var bias = convBias ?? [Double](repeating: 0, count: oc)
        if let norm {
            for (what, values) in zip(names.norm, [norm.weight, norm.bias, norm.mean, norm.variance]) {
                try check(what, values, count: oc)
            }
            for c in 0..<oc {
                let spread = norm.variance[c] + norm.epsilon
                // A sum of squares: one that is negative is damaged, however large the epsilon is.
                guard norm.variance[c] >= 0 else { throw .negativeVariance(names.norm[3], channel: c, norm.variance[c]) }
                guard spread > 0 else { throw .noVariance(names.norm[3], channel: c, norm.variance[c], epsilon: norm.epsilon) }
                scale[c] = norm.weight[c] / spread.squareRoot()
                bias[c] = (bias[c] - norm.mean[c]) * scale[c] + norm.bias[c]
            }
        }
        let perOutput = weights.count / oc
        let folded = weights.enumerated().map { Float($1 * scale[$0 / max(perOutput, 1)]) }
        let foldedBias = bias.map { Float($0) }
        let folding = norm == nil ? "" : "folded "
        for (what, values) in [("\(folding)\(names.weight)", folded), ("\(folding)\(names.bias)", foldedBias)] {
            if let index = values.firstIndex(where: { !$0.isFinite }) { throw .overflow(what, index: index, hasNorm: norm != nil) }
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
    case negativeVariance(String, channel: Int, Double)
    case noVariance(String, channel: Int, Double, epsilon: Double)
    case overflow(String, index: Int, hasNorm: Bool)

    public var description: String {
        switch self {
        case .wrongCount(let what, let count, let outputs): "\(what) has \(count) values for \(outputs) output channels"
        case .notFinite(let what, let index, let value):
            "\(what)[\(index)] is \(value); the parameters must be finite, export a trained model"
        case .negativeVariance(let what, let channel, let variance):
            "\(what)[\(channel)] is \(variance), a variance below 0; the file is damaged, export it anew"
        case .noVariance(let what, let channel, let variance, let epsilon):
            "\(what)[\(channel)] + epsilon is \(variance) + \(epsilon), not positive; "
                + "raise epsilon or export anew"
        case .overflow(let what, let index, let hasNorm):
            "\(what)[\(index)] is too large for a float; " + (hasNorm ? "raise the batch-norm epsilon" : "export smaller parameters")
        }
    }
}
