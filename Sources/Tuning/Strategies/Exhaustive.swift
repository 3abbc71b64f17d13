extension Strategy {
    /// Every candidate. One round shows what is far behind (half as fast again as the best); the rest get all rounds.
    public static let exhaustive = Strategy(name: "exhaustive", summary: "every candidate, none left out") { search in
        for start in stride(from: 0, to: search.space.candidates.count, by: Search.blockSize) {
            let block = Array(start..<min(start + Search.blockSize, search.space.candidates.count))
            try search.measure(block, rounds: 1)
            guard let best = search.best else { continue }
            let near = block.filter { search.score($0).map { $0 - search.score(best)! < 0.4 } ?? false }
            if !near.isEmpty { try search.measure(near, rounds: search.limits.screenRounds - 1) }
            if search.isOver { return }
        }
    }
}
