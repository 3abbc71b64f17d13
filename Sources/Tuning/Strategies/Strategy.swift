/// A way through a space. To add one: write its file, add its line to ``all``.
public struct Strategy: Sendable {
    public let name: String
    /// One line: what it does.
    public let summary: String
    /// Measures what it chooses; what is then fastest goes on to the final.
    let run: @Sendable (Search) throws -> Void

    public static let all = [exhaustive, racing, model, local, random]

    public static func named(_ name: String) -> Strategy? { all.first { $0.name == name } }

    /// Searches, runs the fastest against each other and decides; nil where nothing passed.
    public func decide(_ search: Search) throws -> Decision? {
        try search.measure(search.incumbents, rounds: search.limits.screenRounds)
        try run(search)
        let ranking = search.ranking
        // Short evidence errs: through an anchor that was slow in a block's rounds as well as through drift. So the fastest by either
        // measure meet, and only the final decides.
        var finalists = ranking.prefix(search.limits.finalists).filter { search.isClose($0, within: 0.15) }
        finalists += search.byTime.prefix(2).filter { !finalists.contains($0) }
        // The best standard configuration runs along: what tuning gains over it is then known from the same rounds, and a pick that
        // is no better by luck is found out.
        if let standard = ranking.first(where: search.space.standards.contains), !finalists.contains(standard) { finalists.append(standard) }
        // A stored pick leaves its place to what beat it in the same rounds, unless it is half as slow again.
        if let holder = search.incumbents.first, !finalists.contains(holder), search.isClose(holder, within: 0.4) { finalists.append(holder) }
        return try Decision.make(search, finalists: Array(finalists))
    }
}

/// Candidates that are raced: of hundreds, those that are ahead by luck alone are far fewer.
private let mostInRace = 48

extension Search {
    /// Whether a candidate is near enough to the best for a final. `within`: in logarithms.
    func isClose(_ candidate: Int, within: Double) -> Bool {
        guard let best, let own = score(candidate), let other = score(best) else { return false }
        return own - other < within
    }

    /// Levels of more rounds for fewer: after each, those that the evidence beats go, and of the rest the slower half.
    /// Source: successive halving (Karnin, Koren, Somekh, ICML 2013) with the elimination of Hoeffding races (Maron, Moore, 1994),
    /// on paired ratios.
    func race() throws {
        var field = Array(ranking.filter { !isBeaten($0) }.prefix(mostInRace))
        field += byTime.prefix(limits.finalists).filter { !field.contains($0) }
        for rounds in limits.raceRounds {
            field = Array(field.prefix(max(limits.finalists, (field.count + 1) / 2)))
            guard field.count > 1, !isOver else { return }
            try measure(field, rounds: rounds, together: true)
            field = ranking.filter { field.contains($0) && !isBeaten($0) }
        }
    }
}
