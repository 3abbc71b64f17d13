/// What one panel of a Strassen–Winograd product takes, step by step.
///
/// With L levels both matrices are cut into 2ᴸ × 2ᴸ blocks, and 7ᴸ products of combinations of blocks give all 4ᴸ blocks
/// of the result. Product p multiplies combination p of A's blocks by combination p of B's (``StrassenCombinations``). All
/// products of one panel follow each other, with two levels those of a group of seven, so that the sums between them stay near (with two
/// levels some wait for the next group), and each block of the result is written once, as in a plain product.
///
/// Winograd's form: Strassen's 7 products with 15 additions (Higham, *Accuracy and Stability of Numerical Algorithms*,
/// §23.1), of which 8 fall away here, half of them into the start of a product, half into the planning of B.
public struct StrassenProgram: Sendable {
    public let steps: [Step]
    /// How many sums are held between steps, each a panel of a part of the pixels; the first `keptSums` of them from group to group.
    public let sums, keptSums: Int

    /// target = Σ addends + product.
    public struct Step: Sendable {
        /// Number of the product; −1 where only sums are added.
        public let product: Int
        /// Numbers of sums; at most two per level.
        public let addends: InlineArray<4, Int>
        public let addendCount: Int
        /// Of the outermost level's seven products the one that this step belongs to, with two levels; else 0.
        public let group: Int
        /// The number of a sum, which may be one of the addends; −1: the result's block (row, column).
        public let sum: Int
        public let row, column: Int
    }

    /// Copies the steps to memory of the caller's, where a kernel reads them by pointer.
    public func write(to target: UnsafeMutableRawPointer) {
        steps.withUnsafeBytes { target.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    }

    private enum Target {
        case sum(Int)
        case block(row: Int, column: Int)
    }

    /// At most two levels.
    public init(levels: Int) {
        precondition((1...2).contains(levels), "a step has room for the addends of two levels")
        var builder = Builder()
        let side = 1 << levels
        builder.multiply(
            levels, product: 0, plus: Array(repeating: [], count: side * side),
            to: (0..<(side * side)).map { .block(row: $0 / side, column: $0 % side) })
        steps = builder.steps
        sums = builder.mostSums
        // X and Y of the outer level.
        keptSums = levels == 2 ? 8 : 0
    }

    private struct Builder {
        var steps: [Step] = []
        var mostSums = 0
        private var tiles = 0
        private var group = 0

        /// out = addends + product, each a grid of 2ˡ × 2ˡ tiles.
        mutating func multiply(_ level: Int, product: Int, plus addends: [[Int]], to out: [Target]) {
            guard level > 0 else { return append(product, addends[0], out[0]) }
            let count = 1 << (2 * (level - 1))
            let x = Array(tiles..<(tiles + count))
            let y = x.map { $0 + count }
            tiles += 2 * count
            mostSums = max(mostSums, tiles)
            let intoX = x.map { Target.sum($0) }
            let nothing = [[Int]](repeating: [], count: count)
            let plusX = x.map { [$0] }
            func quadrant<T>(_ grid: [T], _ row: Int, _ column: Int) -> [T] {
                let side = 1 << level
                return (0..<count).map { i in
                    let (r, c) = (i / (side / 2) + row * side / 2, i % (side / 2) + column * side / 2)
                    return grid[r * side + c]
                }
            }
            func outer(_ row: Int, _ column: Int, and own: [[Int]]) -> [[Int]] {
                zip(quadrant(addends, row, column), own).map(+)
            }
            let first = 7 * product
            let xAndY = zip(x, y).map { [$0, $1] }
            let sevenProducts: [(plus: [[Int]], to: [Target])] = [
                (nothing, intoX), (outer(0, 0, and: plusX), quadrant(out, 0, 0)), (plusX, intoX), (nothing, y.map { .sum($0) }),
                (outer(0, 1, and: xAndY), quadrant(out, 0, 1)), (plusX, intoX), (outer(1, 0, and: plusX), quadrant(out, 1, 0)),
            ]
            for (number, one) in sevenProducts.enumerated() {
                if level == 2 { group = number }
                multiply(level - 1, product: first + number, plus: one.plus, to: one.to)
            }
            for (sums, target) in zip(outer(1, 1, and: xAndY), quadrant(out, 1, 1)) { append(-1, sums, target) }
            tiles -= 2 * count
        }

        private mutating func append(_ product: Int, _ addends: [Int], _ target: Target) {
            let list = InlineArray<4, Int> { $0 < addends.count ? addends[$0] : 0 }
            switch target {
            case .sum(let tile):
                steps.append(
                    Step(product: product, addends: list, addendCount: addends.count, group: group, sum: tile, row: 0, column: 0))
            case .block(let row, let column):
                steps.append(
                    Step(product: product, addends: list, addendCount: addends.count, group: group, sum: -1, row: row, column: column))
            }
        }
    }
}

/// The combinations of blocks that the 7ᴸ products of a Strassen–Winograd product multiply.
///
/// | product | of A's blocks | of B's blocks |
/// |---|---|---|
/// | 0 | A11 | B11 |
/// | 1 | A12 | B21 |
/// | 2 | S2 = A21 + A22 − A11 | T2 = B11 − B12 + B22 |
/// | 3 | S1 = A21 + A22 | T1 = B12 − B11 |
/// | 4 | S4 = A12 − S2 | B22 |
/// | 5 | S3 = A11 − A21 | T3 = B22 − B12 |
/// | 6 | A22 | −T4 = B21 − T2 |
///
/// A level more replaces each block by the seven combinations of its own blocks: product 7·p + q.
public enum StrassenCombinations {
    /// Of the seven combinations, the coefficients of B11, B12, B21, B22.
    static let ofB: [[Float]] = [
        [1, 0, 0, 0], [0, 0, 1, 0], [1, -1, 0, 1], [-1, 1, 0, 0], [0, 0, 0, 1], [0, -1, 0, 1], [-1, 1, 1, -1],
    ]

    /// The blocks of B, by row and column among 2ᴸ × 2ᴸ, and their coefficients in combination `product`.
    static func termsOfB(levels: Int, product: Int) -> [(row: Int, column: Int, coefficient: Float)] {
        guard levels > 0 else { return [(0, 0, 1)] }
        let inner = termsOfB(levels: levels - 1, product: product % power(7, levels - 1))
        let half = 1 << (levels - 1)
        return ofB[product / power(7, levels - 1)].enumerated().filter { $0.element != 0 }.flatMap { block, outer in
            inner.map { (block / 2 * half + $0.row, block % 2 * half + $0.column, outer * $0.coefficient) }
        }
    }

    /// Σ|coefficients| of combination `product` of B's blocks.
    public static func normOfB(levels: Int, product: Int) -> Double {
        termsOfB(levels: levels, product: product).reduce(0) { $0 + Double(abs($1.coefficient)) }
    }

    public static func products(levels: Int) -> Int { power(7, levels) }

    private static func power(_ base: Int, _ exponent: Int) -> Int { (0..<exponent).reduce(1) { n, _ in n * base } }
}
