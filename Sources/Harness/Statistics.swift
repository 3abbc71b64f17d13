import ConvCore
import Foundation

/// Robust statistics of a handful of samples.
public enum Statistics {
    /// The middle value, the mean of the two middle ones for an even count. Not a number for no values.
    public static func median(_ values: [Double]) -> Double {
        guard !values.isEmpty else { return .nan }
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    /// Median absolute deviation from the median, unscaled.
    public static func medianAbsoluteDeviation(_ values: [Double]) -> Double {
        let centre = median(values)
        return median(values.map { abs($0 - centre) })
    }

    public static func mean(_ values: [Double]) -> Double {
        values.isEmpty ? .nan : values.reduce(0, +) / Double(values.count)
    }

    /// exp of the mean logarithm; all values must be positive.
    public static func geometricMean(_ values: [Double]) -> Double {
        values.isEmpty ? .nan : exp(mean(values.map { log($0) }))
    }

    /// Percentile bootstrap interval of the median (Efron 1979): `resamples` draws with replacement.
    /// For fewer than three values it is the range.
    public static func bootstrapMedianInterval(
        _ values: [Double], confidence: Double = 0.95, resamples: Int = 1_000, seed: UInt64
    ) -> ClosedRange<Double> {
        guard values.count >= 3 else { return (values.min() ?? .nan)...(values.max() ?? .nan) }
        var random = RandomSource(seed: seed)
        var medians: [Double] = []
        medians.reserveCapacity(resamples)
        var draw = values
        for _ in 0..<resamples {
            for i in draw.indices { draw[i] = values[Int(random.next() % UInt64(values.count))] }
            medians.append(median(draw))
        }
        medians.sort()
        let tail = (1 - confidence) / 2
        let low = Int((tail * Double(resamples)).rounded(.down))
        let high = min(resamples - 1, Int(((1 - tail) * Double(resamples)).rounded(.up)))
        return medians[low]...medians[high]
    }
}
