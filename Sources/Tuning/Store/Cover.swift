import Results

/// A kernel whose whole space took part in a decision, as the pick's `covers` lists it: `name:hash`, of code and space, with
/// `:effort` behind it where that is not the pick's own, and `:effort:N` where the search might measure N candidates only and left
/// some out: it serves who asks for no more, and nobody else. What only took part in pieces, or in a search that was cut short by
/// its time, is not listed, so that the next search takes it up.
struct Cover: Hashable {
    let kernel: String
    let hash: String
    let effort: Effort
    /// nil for as many as the effort has.
    let evaluations: Int?

    /// `key`: `name:hash`. nil for other text.
    init?(_ key: String, effort: Effort, evaluations: Int? = nil) {
        let parts = key.split(separator: ":" as Character).map(String.init)
        guard (2...4).contains(parts.count) else { return nil }
        (kernel, hash) = (parts[0], parts[1])
        guard let own = parts.count > 2 ? Effort(rawValue: parts[2]) : effort else { return nil }
        self.effort = own
        guard parts.count == 4 else {
            self.evaluations = evaluations
            return
        }
        guard let count = Int(parts[3]) else { return nil }
        self.evaluations = count
    }

    /// What is compared with this build's kernels (``StoreIdentity/covers``).
    var key: String { "\(kernel):\(hash)" }

    /// Whether a search of that effort, of so many evaluations at most, would be none more than the one that it tells of.
    func serves(_ effort: Effort, evaluations: Int?) -> Bool {
        self.effort >= effort && (self.evaluations ?? .max) >= (evaluations ?? .max)
    }

    static func all(of row: ResultRow) -> [Cover] {
        row.tuning.covers.split(separator: " ").compactMap { Cover(String($0), effort: row.effort) }
    }

    /// The text for a pick of this effort: of each kernel those that no other serves as well. One of more effort that left candidates out
    /// stands beside one of less that left none.
    static func text(_ covers: [Cover], in effort: Effort) -> String {
        let all = Set(covers)
        let highest = all.filter { one in
            !all.contains { $0 != one && $0.key == one.key && $0.serves(one.effort, evaluations: one.evaluations) }
        }
        return highest.map { cover in
            if let evaluations = cover.evaluations { return "\(cover.key):\(cover.effort.rawValue):\(evaluations)" }
            return cover.effort == effort ? cover.key : "\(cover.key):\(cover.effort.rawValue)"
        }.sorted().joined(separator: " ")
    }
}
