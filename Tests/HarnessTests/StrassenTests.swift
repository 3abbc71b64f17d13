import ConvCore
import Harness
import ReferenceKernels
import Testing

/// The Strassen–Winograd program, its combinations and its error bound.
@Suite struct StrassenTests {
    /// Runs the program on symbols: every block of the result must come out as Σ A[row][k]·B[k][column], each once.
    @Test(arguments: [1, 2])
    func theProgramIsAMatrixProduct(levels: Int) {
        let side = 1 << levels
        let program = StrassenProgram(levels: levels)
        var random = RandomSource(seed: 5)
        let a = (0..<(side * side)).map { _ in Double(random.nextInteger(9)) }
        let b = (0..<(side * side)).map { _ in Double(random.nextInteger(9)) }
        var sums = [Double](repeating: .nan, count: program.sums)
        var result = [Double](repeating: .nan, count: side * side)
        for step in program.steps {
            var value = (0..<step.addendCount).reduce(0.0) { $0 + sums[step.addends[$1]] }
            if step.product >= 0 {
                value += combination(of: a, levels, step.product, ofA) * combination(of: b, levels, step.product, ofB)
            }
            if step.sum >= 0 { sums[step.sum] = value } else { result[step.row * side + step.column] = value }
        }
        for row in 0..<side {
            for column in 0..<side {
                #expect(result[row * side + column] == (0..<side).reduce(0.0) { $0 + a[row * side + $1] * b[$1 * side + column] })
            }
        }
        #expect(program.steps.filter { $0.product >= 0 }.count == StrassenCombinations.products(levels: levels))
    }

    /// A group's steps follow each other, and its products are seven in a row; what waits for the next group is a kept sum.
    @Test(arguments: [1, 2])
    func groupsFollowEachOther(levels: Int) {
        let program = StrassenProgram(levels: levels)
        let groups = program.steps.map(\.group)
        #expect(groups == groups.sorted())
        #expect(program.steps.allSatisfy { $0.product < 0 || $0.product / 7 == $0.group })
        var writer = [Int](repeating: -1, count: program.sums)
        for step in program.steps {
            for i in 0..<step.addendCount where step.addends[i] >= program.keptSums {
                #expect(writer[step.addends[i]] == step.group)
            }
            if step.sum >= 0 { writer[step.sum] = step.group }
        }
    }

    @Test func productsOfAPanelAndGroupAreOneStream() throws {
        let panels = StrassenPanels(try Problem(parsing: "pw:c520o144h7"), levels: 2, width: 16, lanes: 16, chunkDepth: 256)
        #expect(panels.chunks > 1 && panels.panels > 1)
        var places: [Int] = []
        for chunk in 0..<panels.chunks {
            for group in 0..<7 {
                for panel in 0..<panels.panels {
                    for product in 7 * group..<7 * group + 7 { places.append(panels.offset(chunk: chunk, panel: panel, product: product)) }
                }
            }
        }
        #expect(places == (0..<panels.count / panels.productCount).map { $0 * panels.productCount })
    }

    // Coefficients of the blocks 11, 12, 21, 22, written out once more from Higham's §23.1.
    private let ofA: [[Double]] = [
        [1, 0, 0, 0], [0, 1, 0, 0], [-1, 0, 1, 1], [0, 0, 1, 1], [1, 1, -1, -1], [1, 0, -1, 0], [0, 0, 0, 1],
    ]
    private let ofB: [[Double]] = [
        [1, 0, 0, 0], [0, 0, 1, 0], [1, -1, 0, 1], [-1, 1, 0, 0], [0, 0, 0, 1], [0, -1, 0, 1], [-1, 1, 1, -1],
    ]

    private func combination(of blocks: [Double], _ levels: Int, _ product: Int, _ table: [[Double]]) -> Double {
        guard levels > 0 else { return blocks[0] }
        let (side, half) = (1 << levels, 1 << (levels - 1))
        let inner = levels == 2 ? 7 : 1
        return table[product / inner].enumerated().reduce(0.0) { sum, term in
            let quadrant = (0..<(half * half)).map { blocks[(term.offset / 2 * half + $0 / half) * side + term.offset % 2 * half + $0 % half] }
            return sum + term.element * combination(of: quadrant, levels - 1, product % inner, table)
        }
    }

    /// A level less or more products than channels, chunks that do not divide: packing covers every channel once.
    @Test(arguments: [(7, 1, 512), (130, 2, 64), (1, 2, 512), (513, 1, 512), (1024, 2, 1024)])
    func chunksCoverTheChannels(ic: Int, levels: Int, chunkDepth: Int) {
        let cut = StrassenPanels.cut(ic, levels: levels, chunkDepth: chunkDepth)
        #expect(cut.chunks * (cut.depth << levels) >= ic)
        #expect((cut.chunks - 1) * (cut.depth << levels) < ic)
        #expect(cut.depth <= chunkDepth)
    }

    /// The bound grows with the levels, is above a plain sum's, and stays near Winograd's factor of 18 a level.
    @Test func theBoundGrowsAsDerived() throws {
        let problem = try Problem(parsing: "pw:c512o64h4")
        let norms = ErrorBound.Norms(src: 1, weights: 1, bias: 1)
        let bounds = [1, 2].map { ErrorBound.normwise(problem, .ofStrassen(levels: $0, chunkDepth: 512), norms)! }
        let plain = ErrorBound.tolerance(problem, value: 0, magnitude: 513, exactSum: false)
        #expect(bounds[0] > plain)
        #expect(bounds[1] > bounds[0])
        // 18·(K/2)² = 4.5 K² products' roundings, and as much again since sums start products.
        #expect(bounds[0] < 9 * plain)
        #expect(bounds[1] < 9 * bounds[0])
        #expect(ErrorBound.normwise(problem, .ofTerms, norms) == nil)
    }

    /// Integers stay small enough for every intermediate sum of two levels: 18² · K/4 of their products.
    @Test func integersShrinkWithTheReduction() throws {
        #expect(ErrorBound.integerLimit(try Problem(parsing: "pw:c512o8h2")) == 4)
        let long = try #require(ErrorBound.integerLimit(try Problem(parsing: "pw:c40000o8h2")))
        #expect(long < 4)
        #expect(Double(long * long * 81 * 40000) < 0x1p24)
    }
}
