import Results

/// A kernel whose whole space took part in a decision, as the pick's `covers` lists it: `name:hash`, of code and space, with
/// `:effort` behind it where that is not the pick's own. What only took part in pieces, or in a search that was cut short, is not
/// listed, so that the next search takes it up.
struct Cover: Hashable {
    let kernel: String
    let hash: String
    let effort: Effort

    /// `key`: `name:hash`. nil for other text.
    init?(_ key: String, effort: Effort) {
        let parts = key.split(separator: ":" as Character).map(String.init)
        guard (2...3).contains(parts.count) else { return nil }
        (kernel, hash) = (parts[0], parts[1])
        guard let own = parts.count == 3 ? Effort(rawValue: parts[2]) : effort else { return nil }
        self.effort = own
    }

    /// What is compared with this build's kernels (``StoreIdentity/covers``).
    var key: String { "\(kernel):\(hash)" }

    static func all(of row: ResultRow) -> [Cover] {
        row.tuning.covers.split(separator: " ").compactMap { Cover(String($0), effort: row.effort) }
    }

    /// The text for a pick of this effort: of each kernel its highest.
    static func text(_ covers: [Cover], in effort: Effort) -> String {
        let best = Dictionary(covers.map { ($0.key, $0.effort) }, uniquingKeysWith: max)
        return best.map { key, own in own == effort ? key : "\(key):\(own.rawValue)" }.sorted().joined(separator: " ")
    }
}
