import ConvCore
import Foundation
import Harness
import Regression
import Testing

/// Against values that SciPy worked out; `scripts/make-statistics-fixtures` makes the file anew.
@Suite struct StatisticsFixtureTests {
    private struct Fixture: Decodable {
        struct SignedRank: Decodable { let values: [Double]; let statistic, p: Double }
        struct HodgesLehmann: Decodable { let values: [Double]; let estimate, low, high: Double }
        struct Discovery: Decodable { let p, adjusted: [Double] }
        struct Bootstrap: Decodable { let values: [Double]; let low, high, tolerance: Double }
        let signedRankExact, signedRankApproximate: [SignedRank]
        let hodgesLehmann: [HodgesLehmann]
        let benjaminiHochberg: [Discovery]
        let bootstrapMedian: [Bootstrap]
    }

    private let fixture: Fixture

    init() throws {
        let url = Bundle.module.url(forResource: "Fixtures/statistics", withExtension: "json")!
        fixture = try JSONDecoder().decode(Fixture.self, from: Data(contentsOf: url))
    }

    private func close(_ a: Double, _ b: Double, _ tolerance: Double = 1e-9) -> Bool { abs(a - b) <= tolerance * max(1, abs(b)) }

    @Test func signedRankAgrees() {
        #expect(fixture.signedRankExact.count >= 5 && fixture.signedRankApproximate.count >= 5)
        for f in fixture.signedRankExact {
            let found = RankStatistics.signedRankExact(f.values)
            #expect(close(found.statistic, f.statistic) && close(found.p, f.p), "\(f.values)")
            #expect(RankStatistics.signedRank(f.values) == found)
        }
        for f in fixture.signedRankApproximate {
            let found = RankStatistics.signedRankApproximate(f.values)
            #expect(close(found.statistic, f.statistic) && close(found.p, f.p), "\(f.values)")
        }
    }

    @Test func hodgesLehmannAgrees() {
        #expect(fixture.hodgesLehmann.count >= 5)
        for f in fixture.hodgesLehmann {
            let found = RankStatistics.hodgesLehmann(f.values)
            #expect(close(found.estimate, f.estimate) && close(found.interval.lowerBound, f.low) && close(found.interval.upperBound, f.high), "\(f.values)")
        }
    }

    @Test func benjaminiHochbergAgrees() {
        #expect(fixture.benjaminiHochberg.count >= 3)
        for f in fixture.benjaminiHochberg {
            #expect(zip(RankStatistics.benjaminiHochberg(f.p), f.adjusted).allSatisfy { close($0, $1) })
        }
    }

    /// Resampling is random: the ends may be neighbours in the sorted medians.
    @Test func bootstrapAgrees() {
        #expect(fixture.bootstrapMedian.count >= 3)
        for f in fixture.bootstrapMedian {
            let found = Statistics.bootstrapMedianInterval(f.values, resamples: 20_000, seed: 1)
            #expect(close(found.lowerBound, f.low, f.tolerance) && close(found.upperBound, f.high, f.tolerance), "\(found) \(f.low) \(f.high)")
        }
    }
}
