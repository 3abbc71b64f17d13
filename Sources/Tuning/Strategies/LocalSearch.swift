extension Strategy {
    /// For spaces too large to list: from the best standard to its best neighbour until none is better, then again from a drawn
    /// start, as long as evaluations are left.
    public static let local = Strategy(name: "local", summary: "from neighbour to better neighbour, restarted; for spaces of thousands") { search in
        try search.measure(Array(search.space.standards.prefix(search.left)), rounds: search.limits.screenRounds)
        var start = search.best
        while search.left > 0, !search.isOver {
            if let here = start { try search.climb(from: here) }
            let fresh = search.space.candidates.indices.filter { !search.isTried($0) }
            guard let drawn = fresh.randomElement(using: &search.random), search.left > 0, !search.isOver else { break }
            try search.measure([drawn], rounds: search.limits.screenRounds)
            // A wrong candidate counts as tried, and no way leads on from it.
            start = search.score(drawn) == nil ? nil : drawn
        }
        try search.race()
    }
}

extension Search {
    /// Moves to the fastest neighbour for as long as one is faster than where it stands.
    func climb(from start: Int) throws {
        var here = start
        while left > 0, !isOver {
            let fresh = space.neighbours(of: here).filter { !isTried($0) }.prefix(left)
            guard !fresh.isEmpty else { return }
            try measure(Array(fresh), rounds: limits.screenRounds)
            guard let next = fresh.filter({ score($0) != nil }).min(by: { score($0)! < score($1)! }), let own = score(here),
                score(next)! < own
            else { return }
            here = next
        }
    }
}
