extension Strategy {
    /// Candidates drawn by seed, without return.
    public static let random = Strategy(name: "random", summary: "candidates drawn by seed") { search in
        let drawn = search.space.candidates.indices.shuffled(using: &search.random).filter { search.score($0) == nil }.prefix(search.left)
        try search.measure(Array(drawn), rounds: search.limits.screenRounds)
        try search.race()
    }
}
