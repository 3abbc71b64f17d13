import ConvCore

extension ErrorBound {
    /// What a norm-wise bound is made of: the largest |value| of each.
    public struct Norms: Sendable {
        public let src, weights, bias: Double

        public init(src: Double, weights: Double, bias: Double) {
            self.src = src
            self.weights = weights
            self.bias = bias
        }
    }

    /// The largest |kernel − oracle| of any sum, before the activation, of a kernel that is not bounded term by term; nil for
    /// one that is.
    public static func normwise(_ problem: Problem, _ rounding: Kernel.Rounding, _ norms: Norms) -> Double? {
        switch rounding {
        case .ofTerms: nil
        case .ofStrassen(let levels, let chunkDepth):
            // Twice the first-order bound covers the second-order terms, as for a plain sum.
            2 * strassen(problem, levels: levels, chunkDepth: chunkDepth, norms).error
        }
    }

    /// A bound on every intermediate value of a Strassen–Winograd product, and one on the rounding error of its results to
    /// first order in u = 2⁻²⁴.
    ///
    /// The program is run on bounds: each tile has a largest magnitude and a largest error. A step that starts with addends
    /// of magnitude M₀ and adds d products of values within a and b rounds, at term i, a sum of at most M₀ + i·a·b and,
    /// without fused multiply-add, a product of at most a·b: together u·(d·M₀ + a·b·d·(d + 3)/2). To that come the errors of
    /// the addends, one rounding each of adding them, and d·(a·eᵦ + eₐ·b) from the operands. Combinations of A are summed in
    /// floats, level by level; those of B in double, and rounded once.
    /// The growth per level is that of Winograd's form, 18 times a half-size product's error (Higham, *Accuracy and
    /// Stability of Numerical Algorithms*, theorem 23.3), plus d·M₀: sums that start a product are rounded at each of its terms.
    static func strassen(
        _ p: Problem, levels: Int, chunkDepth: Int, _ norms: Norms
    ) -> (magnitude: Double, error: Double) {
        let cut = StrassenPanels.cut(p.ic, levels: levels, chunkDepth: chunkDepth)
        let program = StrassenProgram(levels: levels)
        let depth = Double(cut.depth)
        let u = Double(Float.ulpOfOne) / 2
        let a = (0..<StrassenCombinations.products(levels: levels)).map { combinationOfA(levels: levels, product: $0) }
        let b = (0..<a.count).map { StrassenCombinations.normOfB(levels: levels, product: $0) }
        typealias Bound = (magnitude: Double, error: Double)
        var greatest = 0.0
        // Every block of the result as the worst of them, so that the chunks add up.
        var result: Bound = (norms.bias, 0)
        for _ in 0..<cut.chunks {
            var sums = [Bound](repeating: (0, 0), count: program.sums)
            var worst = result
            for step in program.steps {
                var start: Bound = step.sum < 0 ? result : (0, 0)
                for i in 0..<step.addendCount {
                    start.magnitude += sums[step.addends[i]].magnitude
                    start.error += sums[step.addends[i]].error
                }
                start.error += u * Double(step.addendCount) * start.magnitude
                var value = start
                if step.product >= 0 {
                    let product = a[step.product].norm * norms.src * b[step.product] * norms.weights
                    let operands = depth * product * (a[step.product].error / a[step.product].norm + 1)
                    let rounding = depth * start.magnitude + product * depth * (depth + 3) / 2
                    value.magnitude += depth * product
                    value.error += u * (rounding + operands)
                }
                greatest = max(greatest, value.magnitude)
                if step.sum >= 0 {
                    sums[step.sum] = value
                } else {
                    worst = (max(worst.magnitude, value.magnitude), max(worst.error, value.error))
                }
            }
            result = worst
        }
        return (greatest, result.error)
    }

    /// The norm of a combination of blocks of norm 1, and its rounding error in units of u, in the order in which
    /// `splitStrassen` and `splitStrassenTwice` add.
    private static func combinationOfA(levels: Int, product: Int) -> (norm: Double, error: Double) {
        // (norm, roundings) of A11, A12, S2 = S1 − A11, S1 = A21 + A22, S4 = A12 − S2, S3 = A11 − A21, A22: the error of a sum
        // is its norm, plus those of its parts: S1 2, S2 2 + 3, S4 5 + 4, S3 2.
        let table: [(norm: Double, roundings: Double)] = [(1, 0), (1, 0), (3, 5), (2, 2), (4, 9), (2, 2), (1, 0)]
        var (rest, combined) = (product, (norm: 1.0, error: 0.0))
        var digits: [Int] = []
        for _ in 0..<levels {
            digits.append(rest % 7)
            rest /= 7
        }
        // The outermost level is applied first.
        for digit in digits.reversed() {
            let row = table[digit]
            combined = (row.norm * combined.norm, row.norm * combined.error + row.roundings * combined.norm)
        }
        return combined
    }
}
