/// One of n equal parts of a matrix of cases, for one of n machines.
public struct Shard: Sendable, Equatable {
    /// 1 … count
    public let index: Int
    public let count: Int

    /// Reads `2/5`. nil for other text.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 2, let index = parts[0], let count = parts[1], count >= 1, (1...count).contains(index) else { return nil }
        self.index = index
        self.count = count
    }

    /// The part's cases, in the order of the matrix. Dealt out by size, the largest first, so that the parts take about as long; the
    /// same matrix gives the same parts on every machine.
    public func part(of cases: [TuningCase]) -> [TuningCase] {
        let bySize = cases.indices.sorted { a, b in
            let (x, y) = (cases[a], cases[b])
            return (y.problem.effectiveMACs, x.problem.text, x.threads, x.regime.rawValue)
                < (x.problem.effectiveMACs, y.problem.text, y.threads, y.regime.rawValue)
        }
        // There and back, so that the first part does not always get the larger of a pair.
        let own = bySize.enumerated().filter { rank, _ in
            let (turn, place) = (rank / count, rank % count)
            return (turn % 2 == 0 ? place : count - 1 - place) == index - 1
        }
        return own.map(\.element).sorted().map { cases[$0] }
    }
}
