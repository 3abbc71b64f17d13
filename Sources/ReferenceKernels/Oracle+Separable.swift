import ConvCore

extension Oracle {
    /// A depthwise unit and the pointwise one behind it, the map between them in double.
    ///
    /// A kernel's map is off by up to the first unit's tolerance t, and the second's sum carries Σ|w|·t of that on. So that one bound
    /// serves, a magnitude holds it in units of the second sum's own rounding: Σ|w·y| + |bias| + Σ|w|·t / (ulp·(K + 1)).
    static func separable(
        _ problem: Problem, src: UnsafePointer<Float>, weights: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
        parallel: (_ count: Int, _ body: @Sendable (Int) -> Void) -> Void
    ) -> Answer {
        let (dw, pw) = (problem.firstUnit, problem.lastUnit)
        let map = answer(dw, src: src, weights: weights, bias: bias, parallel: parallel)
        let plane = pw.oh * pw.ow
        let share = 1 / (Double(Float.ulpOfOne) * Double(pw.reduction + 1))
        let carried = zip(map.values, map.magnitudes).map { value, magnitude in
            abs(value) + share * ErrorBound.tolerance(dw, value: value, magnitude: magnitude, exactSum: false)
        }
        var values = [Double](repeating: 0, count: problem.dstCount)
        var magnitudes = values
        values.withUnsafeMutableBufferPointer { values in
            magnitudes.withUnsafeMutableBufferPointer { magnitudes in
                nonisolated(unsafe) let v = values.baseAddress!
                nonisolated(unsafe) let m = magnitudes.baseAddress!
                nonisolated(unsafe) let weights = weights + dw.weightCount
                nonisolated(unsafe) let bias = bias.map { $0 + dw.biasCount }
                parallel(pw.batch * pw.oc) { index in
                    let (image, channel) = (index / pw.oc, index % pw.oc)
                    let (v, m) = (v + index * plane, m + index * plane)
                    let offset = Double(bias?[channel] ?? 0)
                    v.update(repeating: offset, count: plane)
                    m.update(repeating: abs(offset), count: plane)
                    for c in 0..<pw.ic {
                        let weight = Double(weights[channel * pw.ic + c])
                        let first = (image * pw.ic + c) * plane
                        for i in 0..<plane {
                            v[i] += weight * map.values[first + i]
                            m[i] += abs(weight) * carried[first + i]
                        }
                    }
                    for i in 0..<plane { v[i] = pw.activation.apply(v[i]) }
                }
            }
        }
        return Answer(values: values, magnitudes: magnitudes)
    }
}
