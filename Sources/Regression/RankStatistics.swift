import Foundation
import Harness

/// Rank statistics of paired values, and what is done with many p-values.
public enum RankStatistics {
    /// Wilcoxon's signed-rank test of a symmetric centre at 0, two-sided.
    public struct SignedRank: Sendable, Equatable {
        /// The smaller of the two rank sums.
        public let statistic: Double
        public let p: Double
    }

    /// Exact where the values admit it.
    public static func signedRank(_ values: [Double]) -> SignedRank {
        let sizes = Set(values.map { abs($0) })
        return sizes.count == values.count && !sizes.contains(0) ? signedRankExact(values) : signedRankApproximate(values)
    }

    /// With the exact distribution; for values without zeros and without ties among their sizes.
    /// Source: Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1945.
    public static func signedRankExact(_ values: [Double]) -> SignedRank {
        let (plus, minus, _) = rankSums(values)
        let n = values.count
        let statistic = min(plus, minus)
        let counts = signedRankCounts(n)
        let below = counts[0...Int(statistic)].reduce(0, +)
        return SignedRank(statistic: statistic, p: min(1, 2 * below / pow(2, Double(n))))
    }

    /// With the normal approximation; zeros are left out, ties lower the variance, no correction for continuity.
    public static func signedRankApproximate(_ values: [Double]) -> SignedRank {
        let values = values.filter { $0 != 0 }
        let (plus, minus, ties) = rankSums(values)
        let n = Double(values.count)
        let statistic = min(plus, minus)
        let variance = n * (n + 1) * (2 * n + 1) / 24 - ties.map { $0 * $0 * $0 - $0 }.reduce(0, +) / 48
        let z = (statistic - n * (n + 1) / 4) / variance.squareRoot()
        return SignedRank(statistic: statistic, p: erfc(abs(z) / 2.0.squareRoot()))
    }

    /// The median of all means of two values (each with itself too), and the interval that inverts the exact signed-rank test.
    /// Source: Hodges, Lehmann, "Estimates of location based on rank tests", Annals of Mathematical Statistics 1963.
    public static func hodgesLehmann(_ values: [Double], confidence: Double = 0.95) -> (estimate: Double, interval: ClosedRange<Double>) {
        var means: [Double] = []
        for i in values.indices { for j in i..<values.count { means.append((values[i] + values[j]) / 2) } }
        means.sort()
        // The most rank sums that each tail may hold.
        let counts = signedRankCounts(values.count)
        let tail = (1 - confidence) / 2 * pow(2, Double(values.count))
        var cut = 0
        var sum = counts[0]
        while sum <= tail {
            cut += 1
            sum += counts[cut]
        }
        // A cut of 0: too few values for the confidence; the whole range is what there is.
        let low = max(0, cut - 1)
        return (Statistics.median(means), means[low]...means[means.count - 1 - low])
    }

    /// Of fewer values not even the whole range of ``hodgesLehmann(_:confidence:)`` is an interval of that confidence: it leaves out what
    /// all values on one side would say, 2 of 2ⁿ cases.
    static func fewestValues(confidence: Double) -> Int { Int((1 - log2(1 - confidence)).rounded(.up)) }

    /// p-values adjusted for the expected share of false discoveries.
    /// Source: Benjamini, Hochberg, "Controlling the false discovery rate", JRSS B 1995.
    public static func benjaminiHochberg(_ p: [Double]) -> [Double] {
        let order = p.indices.sorted { p[$0] < p[$1] }
        var adjusted = p
        var least = 1.0
        for (rank, index) in order.enumerated().reversed() {
            least = min(least, p[index] * Double(p.count) / Double(rank + 1))
            adjusted[index] = least
        }
        return adjusted
    }

    /// In how many of the 2ⁿ sign patterns the positive ranks sum to 0, 1, 2, …
    private static func signedRankCounts(_ n: Int) -> [Double] {
        var counts = [Double](repeating: 0, count: n * (n + 1) / 2 + 1)
        counts[0] = 1
        for rank in 1...max(n, 1) where rank <= n {
            for sum in stride(from: counts.count - 1, through: rank, by: -1) { counts[sum] += counts[sum - rank] }
        }
        return counts
    }

    /// Rank sums of positive and negative values by size, ties at their mean rank, and the sizes of the groups of ties.
    private static func rankSums(_ values: [Double]) -> (plus: Double, minus: Double, ties: [Double]) {
        let order = values.indices.sorted { abs(values[$0]) < abs(values[$1]) }
        var (plus, minus) = (0.0, 0.0)
        var ties: [Double] = []
        var at = 0
        while at < order.count {
            var end = at
            while end < order.count, abs(values[order[end]]) == abs(values[order[at]]) { end += 1 }
            let rank = Double(at + end + 1) / 2
            for index in order[at..<end] { if values[index] > 0 { plus += rank } else if values[index] < 0 { minus += rank } }
            if end - at > 1 { ties.append(Double(end - at)) }
            at = end
        }
        return (plus, minus, ties)
    }
}
