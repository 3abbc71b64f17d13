import ConvCore
import Foundation
import Regression
import Testing

@Suite struct ChangePointTests {
    /// Uniform noise of ±1 % around levels.
    private func series(_ levels: [(Double, Int)], seed: UInt64) -> [Double] {
        var random = RandomSource(seed: seed)
        return levels.flatMap { level, count in (0..<count).map { _ in level * (1 + 0.01 * Double(random.nextReal())) } }.map { log($0) }
    }

    @Test func stepsAreFoundWhereTheyAre() {
        let finder = ChangePoints()
        for seed in 1...10 as ClosedRange<UInt64> {
            #expect(finder.find(series([(10, 12), (11, 9), (8, 15)], seed: seed)).map(\.index) == [12, 21])
        }
    }

    @Test func noStepIsFoundInMostLevelSeries() {
        let finder = ChangePoints()
        let found = (1...100 as ClosedRange<UInt64>).count { !finder.find(series([(10, 30)], seed: $0)).isEmpty }
        // The level is 5 %; of 100 series more than 11 lie beyond its 99.5 % quantile.
        #expect(found <= 11)
    }

    @Test func shortSeriesHaveNone() {
        #expect(ChangePoints().find([1, 1, 2, 2, 2]).isEmpty)
        #expect(ChangePoints().find([]).isEmpty)
    }
}
