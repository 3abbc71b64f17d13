extension Strategy {
    /// The model's order decides what is measured: what won on the nearest shapes, the standards, the most promising, a few drawn
    /// against the model's blind spots; then the neighbours of the best. What cannot win by its bound is left out.
    public static let model = Strategy(
        name: "model", summary: "stored neighbours, standards and the model's favourites, then steps around the best"
    ) { search in
        let limit = search.left
        let order = search.space.byExpectation
        // Shares of the evaluations: half go to the first field, the rest to steps from what it shows.
        var field: [Int] = []
        func add(_ candidates: some Sequence<Int>, _ most: Int) {
            field += candidates.filter { !field.contains($0) && search.score($0) == nil }.prefix(max(0, min(most, limit - field.count)))
        }
        add(search.seeds, limit / 4)
        add(order.filter { search.space.standards.contains($0) }, limit / 3)
        add(order, limit / 3)
        add(order.dropFirst(limit).shuffled(using: &search.random), limit / 12)
        // The favourite alone first: then the bound can spare the hopeless their verification.
        try search.measure(Array(field.prefix(2)), rounds: search.limits.screenRounds)
        try search.measure(field.dropFirst(2).filter { !search.isHopeless($0) }, rounds: search.limits.screenRounds)
        if let best = search.best { try search.climb(from: best) }
        // What is left goes to the best of other kernels, which may have been met at a bad configuration, and to the order.
        for other in search.bestOfOtherKernels where search.left > 0 { try search.climb(from: other) }
        if search.left > 0, !search.isOver {
            let rest = order.filter { search.score($0) == nil && !search.isHopeless($0) }
            try search.measure(Array(rest.prefix(search.left)), rounds: search.limits.screenRounds)
        }
        try search.race()
    }
}

extension Search {
    /// The best candidate of each kernel but the best's, the fastest first, where it is not hopelessly behind.
    fileprivate var bestOfOtherKernels: [Int] {
        guard let best else { return [] }
        var seen = [space.candidates[best].kernel.name]
        return ranking.filter { c in
            let name = space.candidates[c].kernel.name
            guard !seen.contains(name), score(c)! - score(best)! < 0.3 else { return false }
            seen.append(name)
            return true
        }
    }
}
