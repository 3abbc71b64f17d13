import ConvCore
import Foundation
import Harness

/// One search through a space: the evidence so far, in logarithms of times relative to each other.
///
/// Candidates are measured in small blocks, each together with one candidate that stays the same (the *anchor*). What counts is a
/// candidate's time over the anchor's in the same round, so that a drift of the machine between blocks cancels, and a search that
/// is killed loses no more than the block in flight, whose rounds are interleaved and end together.
///
/// The anchor is the best of the first block and not the best so far: a candidate that is the best by luck would hand its luck on to
/// all that are measured against it, and a few such in a row hid one that was 18 % faster than the pick.
public final class Search {
    public let space: SearchSpace
    public let limits: SearchLimits
    /// What holds the case so far, its pick first: measured whatever the strategy chooses.
    public let incumbents: [Int]
    /// Candidates that did well elsewhere, the most promising first.
    public let seeds: [Int]
    public var random: RandomSource
    private let meter: Meter
    private let evaluated: ([Int]) throws -> Void
    /// Log-ratios to the anchor, by candidate.
    private var values: [Int: [Double]] = [:]
    /// In the order of their first measurement.
    public private(set) var measured: [Int] = []

    private var anchor: Int? { didSet { if let anchor { anchors.insert(anchor) } } }
    /// The anchor and those before it: their log-ratios to themselves are no evidence of anything.
    private var anchors: Set<Int> = []
    /// Of the anchor, against the first one: not 0 only where it was replaced.
    private var level = 0.0

    /// An anchor this much slower than the best (in logarithms) takes time that the candidates could have, and is replaced.
    private static let slowAnchor = 0.7
    /// Two samples of a candidate that differ by more than this (in logarithms) call for a third.
    private static let disagreement = 0.08

    /// Candidates of a block, besides the anchor.
    static let blockSize = 8

    /// `evaluated` is told the candidates of every block when it is measured, less those that the end of the time left out: of them
    /// there is nothing to tell.
    public init(
        _ space: SearchSpace, meter: Meter, limits: SearchLimits, incumbents: [Int] = [], seeds: [Int] = [], seed: UInt64,
        evaluated: @escaping ([Int]) throws -> Void = { _ in }
    ) {
        self.space = space
        self.meter = meter
        self.limits = limits
        self.incumbents = incumbents
        self.seeds = seeds
        self.evaluated = evaluated
        random = RandomSource(seed: seed)
    }

    public var isOver: Bool { meter.isOver }
    /// Evaluations that the limits leave.
    public var left: Int { max(0, limits.evaluations - measured.count) }

    /// Whether a candidate was measured or found wrong.
    public func isTried(_ candidate: Int) -> Bool { values[candidate] != nil || meter.isWrong(candidate) }

    /// Whether no candidate is left that was not tried.
    public var isExhausted: Bool { space.candidates.indices.allSatisfy(isTried) }

    /// Measures candidates, new ones or again, in blocks, or `together`. Stops early when the time is over, but not before one is
    /// measured.
    public func measure(_ candidates: [Int], rounds: Int, together: Bool = false) throws {
        var rest = candidates[...]
        while !rest.isEmpty, measured.isEmpty || !meter.isOver {
            let block = Array(rest.prefix(together ? rest.count : Self.blockSize))
            rest = rest.dropFirst(block.count)
            try measureBlock(block, rounds: rounds)
            // A sample that something slowed down unseen would decide a median of two.
            let unsure = block.filter { c in
                guard let own = values[c], own.count <= 2, let low = own.min(), let high = own.max() else { return false }
                return high - low > Self.disagreement
            }
            if !unsure.isEmpty, !meter.isOver { try measureBlock(unsure, rounds: 1) }
            try evaluated(block.filter(isTried))
        }
    }

    private func measureBlock(_ block: [Int], rounds: Int) throws {
        if let anchor, let best, let own = score(anchor), own - score(best)! > Self.slowAnchor {
            level = score(best)!
            self.anchor = best
        }
        let first = meter.rounds
        let members = anchor.map { block.contains($0) ? block : block + [$0] } ?? block
        try meter.measure(members, rounds: rounds)
        // Neither wrong nor left out because the time was over.
        let right = members.filter { !meter.samples($0, disturbed: true).isEmpty }
        if anchor == nil {
            anchor = right.min { a, b in
                let (x, y) = (Array(meter.samples(a, disturbed: true).values), Array(meter.samples(b, disturbed: true).values))
                return (Statistics.median(x), a) < (Statistics.median(y), b)
            }
        }
        guard let anchor else { return }
        for member in right {
            if values[member] == nil { measured.append(member) }
            var ratios = ratios(member, anchor, first..<meter.rounds, disturbed: false)
            // Disturbed whenever the anchor was not: better than nothing.
            if ratios.isEmpty, values[member] == nil { ratios = self.ratios(member, anchor, first..<meter.rounds, disturbed: true) }
            values[member, default: []] += ratios.map { level + $0 }
        }
    }

    /// log(time / anchor's time) by round.
    private func ratios(_ candidate: Int, _ anchor: Int, _ rounds: Range<Int>, disturbed: Bool) -> [Double] {
        let (own, other) = (meter.samples(candidate, disturbed: disturbed), meter.samples(anchor, disturbed: disturbed))
        return rounds.compactMap { round in own[round].flatMap { b in other[round].map { log(b / $0) } } }
    }

    /// The logarithm of a candidate's time, up to a constant that all share; nil where it was not measured.
    public func score(_ candidate: Int) -> Double? { values[candidate].map(Statistics.median) }

    /// The fastest so far.
    public var best: Int? { measured.filter { values[$0] != nil }.min { (score($0)!, $0) < (score($1)!, $1) } }

    /// Measured candidates, the fastest first.
    public var ranking: [Int] {
        measured.compactMap { c in score(c).map { (c, $0) } }.sorted { ($0.1, $0.0) < ($1.1, $1.0) }.map(\.0)
    }

    /// Measured candidates by the median of their own times, the fastest first: right where the machine does not drift.
    public var byTime: [Int] {
        measured.map { (Statistics.median(Array(meter.samples($0, disturbed: true).values)), $0) }.sorted { $0 < $1 }.map(\.1)
    }

    /// Of a single log-ratio: the pooled spread around each candidate's median, scaled to a standard deviation. Never below half a
    /// percent, which equal code shows from one placement to the next.
    public var noise: Double {
        let spread = values.filter { $0.value.count > 1 && !anchors.contains($0.key) }.values.flatMap { own in
            let centre = Statistics.median(own)
            // n values around their own median look too close by √(n / (n − 1)).
            return own.map { abs($0 - centre) * (Double(own.count) / Double(own.count - 1)).squareRoot() }
        }
        return max(0.005, spread.isEmpty ? 0 : 1.4826 * Statistics.median(spread))
    }

    /// Whether the evidence says that a candidate is slower than the best: by more than two standard errors.
    public func isBeaten(_ candidate: Int) -> Bool {
        guard let best, candidate != best, let own = values[candidate], let other = values[best] else { return false }
        let error = noise * (1 / Double(own.count) + 1 / Double(other.count)).squareRoot()
        return Statistics.median(own) - Statistics.median(other) > 2 * error
    }

    /// Whether the bound says that it cannot win whatever is measured. The best's own time is the measured one.
    public func isHopeless(_ candidate: Int) -> Bool {
        guard let best else { return false }
        return space.boundNs[candidate] > Statistics.median(Array(meter.samples(best, disturbed: true).values))
    }

    /// Rounds of these alone, whose samples are compared with each other and not by way of an anchor: logarithms of times by round
    /// and finalist. Rounds in which one was disturbed are left out, unless that leaves fewer than half.
    func run(_ finalists: [Int], rounds: Int) throws -> [[Double]] {
        let first = meter.rounds
        try meter.measure(finalists, rounds: rounds)
        try evaluated(finalists)
        func complete(disturbed: Bool) -> [[Double]] {
            let samples = finalists.map { meter.samples($0, disturbed: disturbed) }
            return (first..<meter.rounds).compactMap { round in
                let row = samples.compactMap { $0[round].map { log($0) } }
                return row.count == finalists.count ? row : nil
            }
        }
        let clean = complete(disturbed: false)
        return 2 * clean.count >= meter.rounds - first ? clean : complete(disturbed: true)
    }
}
