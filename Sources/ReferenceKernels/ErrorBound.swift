import ConvCore

/// How far a single-precision kernel may be from the oracle: derived, in this one place.
///
/// A sum of K products in any order, with or without fused multiply-adds, has an error of at most
/// γ(K)·Σ|x·w|, γ(K) ≈ K·ε/(1 − K·ε), ε = 2⁻²⁴ the unit round-off (Higham, *Accuracy and Stability of Numerical
/// Algorithms*, §3.1); the bias is one term more. With `Float.ulpOfOne` = 2ε the bound `2·K·ε·Σ|x·w|` that is used here
/// is ulpOfOne·K·Σ|x·w|: twice γ, which covers the second-order terms. The activation multiplies that by its steepest
/// slope and adds its own rounding, at most `epilogueUlps` units in the last place of the result or of the smallest
/// normal number.
public enum ErrorBound {
    /// SiLU through a polynomial e^x: about 2 ulp of the exponential, 2 roundings, 1 of a division. Hard swish: 3 roundings.
    static let epilogueUlps = 8.0

    /// Below x = −ln(greatest float) = −88.72, e^−x overflows and SiLU comes out as −0 or stays where it was; the true value
    /// there is at most 88.73·e^−88.72 = 2.7·10⁻³⁷.
    static let siluFlush = 2.7e-37

    /// The largest admissible |kernel − oracle| of one output of a single convolution, or of a separable's last unit, where the
    /// magnitude holds what the first one's error becomes (``Oracle/separable(_:src:weights:bias:parallel:)``).
    /// `normwise`: the bound on the sum's error of a kernel that has one (``normwise(_:_:_:)``).
    /// `exactSum`: inputs are small integers, so that the sum has no error and only the activation may round.
    public static func tolerance(
        _ problem: Problem, value: Double, magnitude: Double, normwise: Double? = nil, exactSum: Bool
    ) -> Double {
        let sum = exactSum ? 0 : normwise ?? Double(problem.reduction + 1) * Double(Float.ulpOfOne) * magnitude
        switch problem.activation {
        case .none, .relu: return sum
        case .silu, .hardswish:
            let rounding = epilogueUlps * Double(Float.ulpOfOne) * max(abs(value), Double(Float.leastNormalMagnitude))
            let flush = problem.activation == .silu ? siluFlush : Double(Float.leastNormalMagnitude)
            return sum * problem.activation.slopeBound + rounding + flush
        }
    }

    /// The largest |integer| for inputs and weights such that every partial sum stays below 2²⁴, where floats are exact;
    /// nil where even ±1 could leave that range. Of a pointwise problem also the sums of a Strassen–Winograd product, two
    /// levels deep, must stay there. A separable's first unit must hand integers on, too.
    public static func integerLimit(_ problem: Problem) -> Int? {
        if problem.layer == .sep, ![.none, .relu].contains(problem.activation) { return nil }
        return (1...4).last { limit in
            let most = Double(limit)
            // The bias is one more term of the same size.
            let first = most * most * Double(problem.reduction + 1)
            let plain = problem.tail == nil ? first : most * (first * Double(problem.oc) + 1)
            guard problem.layer == .pw else { return plain < 0x1p24 }
            return strassen(
                problem, levels: 2, chunkDepth: problem.ic, Norms(src: most, weights: most, bias: most)
            ).magnitude < 0x1p24
        }
    }
}
