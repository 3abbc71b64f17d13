extension Strategy {
    /// All candidates where they are few, otherwise the standards and others drawn by seed, first on one round each.
    public static let racing = Strategy(
        name: "racing", summary: "successive halving: candidates go as soon as the paired evidence beats them"
    ) { search in
        let others = search.space.candidates.indices.filter { !search.space.standards.contains($0) }
            .shuffled(using: &search.random)
        let field = (search.space.standards + others).filter { search.score($0) == nil }.prefix(search.left)
        try search.measure(Array(field), rounds: 1)
        // A standard is good by its author's word: one slow sample (a stranger on the core) does not end it.
        let half = Array(search.ranking.prefix((search.ranking.count + 1) / 2))
        let kept = search.space.standards.filter { !half.contains($0) && search.score($0) != nil }
        try search.measure(half + kept, rounds: search.limits.screenRounds)
        try search.race()
    }
}
