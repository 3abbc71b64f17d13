/// How much a search may measure, in the sense of FFTW's rigor: what is stored serves wherever no more is asked for.
public enum Effort: String, CaseIterable, Sendable, Comparable {
    /// Measures nothing: stored picks, their neighbours, or the model.
    case estimate
    /// A couple of dozen candidates on short samples.
    case quick
    /// About a hundred.
    case thorough
    /// Every one.
    case exhaustive

    public static func < (a: Effort, b: Effort) -> Bool { a.rank < b.rank }
    private var rank: Int { Self.allCases.firstIndex(of: self)! }

    /// What a search of this effort goes by; nil where nothing is measured.
    public var limits: SearchLimits? {
        switch self {
        case .estimate: nil
        case .quick:
            SearchLimits(strategy: "model", evaluations: 24, screenRounds: 2, raceRounds: [2], finalists: 4, finalRounds: 7, sampleSeconds: 0.3e-3)
        case .thorough:
            SearchLimits(strategy: "model", evaluations: 96, screenRounds: 2, raceRounds: [2, 4], finalists: 6, finalRounds: 15, sampleSeconds: 1e-3)
        case .exhaustive:
            SearchLimits(strategy: "exhaustive", evaluations: .max, screenRounds: 7, raceRounds: [4, 6], finalists: 8, finalRounds: 21, sampleSeconds: 3e-3)
        }
    }
}

/// The numbers behind an effort.
public struct SearchLimits: Sendable {
    /// The strategy unless another is asked for.
    public var strategy: String
    /// Candidates that are measured, at most.
    public var evaluations: Int
    /// Rounds that every candidate gets.
    public var screenRounds: Int
    /// Further rounds of those that are left, level by level; after each the slower half goes.
    public var raceRounds: [Int]
    /// Candidates that are run against each other at the end, and for how many rounds.
    public var finalists: Int
    public var finalRounds: Int
    /// The length of a timed batch.
    public var sampleSeconds: Double
}
