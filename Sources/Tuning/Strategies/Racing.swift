extension Strategy {
    /// All candidates where they are few, otherwise the standards and others drawn by seed, first on one round each.
    public static let racing = Strategy(
        name: "racing", summary: "successive halving: candidates go as soon as the paired evidence beats them"
    ) { search in
        let others = search.space.candidates.indices.filter { !search.space.standards.contains($0) }
            .shuffled(using: &search.random)
        let field = (search.space.standards + others).filter { search.score($0) == nil }.prefix(search.left)
        try search.measure(Array(field), rounds: 1)
        // One sample, which a stranger on the core may have slowed, ends only what is half as slow again; and no standard, which is good
        // by its author's word. The race halves what is left, by two rounds more.
        let kept = search.ranking.filter { search.isClose($0, within: 0.4) || search.space.standards.contains($0) }
        try search.measure(kept, rounds: search.limits.screenRounds)
        try search.race()
    }
}
