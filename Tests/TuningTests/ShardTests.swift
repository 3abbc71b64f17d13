import ConvCore
import Testing

import Tuning

@Suite struct ShardTests {
    private let cases = (1...23).map { TuningCase(try! Problem(parsing: "pw:c\(8 * $0)o\(256 - 8 * $0)h\(4 + $0 % 5)"), threads: 1 + $0 % 2) }

    @Test(arguments: [1, 2, 3, 5, 23, 40]) func partsAreDisjointAndCoverTheMatrix(count: Int) {
        let parts = (1...count).map { Shard("\($0)/\(count)")!.part(of: cases) }
        #expect(parts.flatMap(\.self).count == cases.count)
        #expect(Set(parts.flatMap(\.self)) == Set(cases))
        #expect(parts.map(\.count).max()! - parts.map(\.count).min()! <= 1)
    }

    @Test func aPartIsTheSameWhateverTheOrderOfTheMatrix() {
        let part = Set(Shard("2/4")!.part(of: cases))
        #expect(part == Set(Shard("2/4")!.part(of: cases.reversed())))
    }

    @Test func partsTakeAboutAsLong() {
        let loads = (1...3).map { Shard("\($0)/3")!.part(of: cases).map(\.problem.effectiveMACs).reduce(0, +) }
        #expect(loads.max()! < 1.3 * loads.min()!)
    }

    @Test(arguments: ["", "1", "0/3", "4/3", "a/b", "1/0", "1/2/3", "-1/2"]) func otherTextIsNoPart(text: String) { #expect(Shard(text) == nil) }
}
