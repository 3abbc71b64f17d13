extension Strategy {
    /// Candidates drawn by seed, without return.
    public static let random = Strategy(name: "random", summary: "candidates drawn by seed") { search in
        let drawn = search.space.candidates.indices.shuffled(using: &search.random).prefix(search.limits.evaluations)
        try search.measure(Array(drawn), rounds: search.limits.screenRounds)
        try search.race()
    }
}
