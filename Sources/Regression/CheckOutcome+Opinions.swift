import Foundation

extension CheckOutcome {
    /// What other statistics make of the launches that were to confirm a suspect: told beside the verdict, and no part of it.
    var opinions: [String] {
        let suspects = cases.filter { $0.failure == nil && !$0.confirming.isEmpty }
        let tests = suspects.map { RankStatistics.signedRank($0.confirming).p }
        return zip(suspects, RankStatistics.benjaminiHochberg(tests)).map { c, p in
            let (estimate, interval) = RankStatistics.hodgesLehmann(c.confirming)
            let ends = [interval.lowerBound, interval.upperBound].map(Self.percent).joined(separator: " … ")
            // Of few launches the whole range holds less than the interval asks for.
            let kind = c.confirming.count < RankStatistics.fewestValues(confidence: 0.95) ? "range" : "95 %"
            return "\(c.one.name): \(Self.percent(estimate)) by Hodges and Lehmann over \(counted(c.confirming.count, "fresh launch", "fresh launches")) "
                + "(\(kind): \(ends)); Wilcoxon's p, adjusted for \(counted(suspects.count, "suspect")): \(String(format: "%.2g", p))"
        }
    }
}
