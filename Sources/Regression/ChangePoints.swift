import ConvCore
import Foundation

/// Where a series changes its level, by hierarchical energy statistics: no shape of the noise is assumed, and a jump of the
/// scatter counts as well as one of the level.
/// Source: Matteson, James, "A nonparametric approach for multiple change point analysis of multivariate data", JASA 2014.
public struct ChangePoints: Sendable {
    /// A part is not shorter than this.
    public var fewest = 3
    /// A split is one if at most this share of reordered series splits as well.
    public var level = 0.05
    public var permutations = 199

    public init() {}

    /// Positions at which a new level begins, ascending, and each one's p-value.
    public func find(_ values: [Double], seed: UInt64 = 1) -> [(index: Int, p: Double)] {
        var random = RandomSource(seed: seed)
        var found: [(index: Int, p: Double)] = []
        while true {
            let ends = [0] + found.map(\.index).sorted() + [values.count]
            let parts = zip(ends, ends.dropFirst()).map { Array(values[$0..<$1]) }
            guard let (part, at, statistic) = best(parts) else { break }
            // Reordered within the parts that are known already.
            var exceed = 1
            for _ in 0..<permutations where (best(parts.map { $0.shuffled(using: &random) })?.statistic ?? 0) >= statistic { exceed += 1 }
            let p = Double(exceed) / Double(permutations + 1)
            guard p <= level else { break }
            found.append((ends[part] + at, p))
        }
        return found.sorted { $0.index < $1.index }
    }

    /// The split with the largest statistic over all parts.
    private func best(_ parts: [[Double]]) -> (part: Int, at: Int, statistic: Double)? {
        var best: (part: Int, at: Int, statistic: Double)?
        for (index, part) in parts.enumerated() {
            guard let (at, statistic) = split(part), statistic > best?.statistic ?? 0 else { continue }
            best = (index, at, statistic)
        }
        return best
    }

    /// Scaled energy distance between the values before and behind each position: sums are carried along, so that all positions
    /// together cost n².
    private func split(_ x: [Double]) -> (at: Int, statistic: Double)? {
        let n = x.count
        guard n >= 2 * fewest else { return nil }
        // Sums of distances within the left, within the right, and between.
        var (left, right, between) = (0.0, 0.0, 0.0)
        for i in 0..<n { for j in (i + 1)..<max(n, i + 1) { right += abs(x[i] - x[j]) } }
        var best: (at: Int, statistic: Double)?
        for at in 1..<n {
            // x[at − 1] moves from right to left.
            let moved = x[at - 1]
            var (toLeft, toRight) = (0.0, 0.0)
            for j in 0..<(at - 1) { toLeft += abs(moved - x[j]) }
            for j in at..<n { toRight += abs(moved - x[j]) }
            right -= toRight
            between += toRight - toLeft
            left += toLeft
            guard at >= fewest, n - at >= fewest else { continue }
            let (a, b) = (Double(at), Double(n - at))
            let energy = 2 / (a * b) * between - 2 / (a * (a - 1)) * left - 2 / (b * (b - 1)) * right
            let statistic = a * b / (a + b) * energy
            if statistic > best?.statistic ?? 0 { best = (at, statistic) }
        }
        return best
    }
}
