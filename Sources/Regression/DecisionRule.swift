import Foundation
import Harness

/// When a case counts as slower: the whole rule, in one place.
///
/// **The launch is the unit.** Rounds within a launch share the luck of its memory layout; a test over rounds takes that
/// for a difference. A launch's value is the median of its rounds' paired log ratios (``LaunchValue``).
///
/// **Screen.** Up to ``screenLaunches`` launches; a case is a suspect if all but one of its values lie beyond the *margin*,
/// which is ``marginShare`` of the threshold (2 % of 3 %), on the same side. As soon as two values of each side are on the
/// near side of it, no outcome of the rest could make it a suspect: the case is done. Of a case that has not changed, two
/// launches are mostly all.
///
/// **Confirm.** Suspects get fresh launches, so that the choice of the screen does not count twice: the smallest
/// n ≥ ``fewestConfirming`` with (n + 1)/2ⁿ ≤ ``level`` / suspects, all but one beyond the margin. Were the case's true median
/// on the margin or nearer, each value would lie beyond it with probability ≤ ½, and n − 1 or n of n with probability
/// ≤ (n + 1)/2ⁿ: the sign test, Bonferroni over the suspects.
///
/// **Verdict.** Slower if confirmed and the fresh values' median reaches the threshold; otherwise the suspect is ambiguous,
/// which is told and does not fail a check. Faster by the mirror image.
///
/// **Wide cases.** What streams hangs on what the neighbours do; a run below ``briefNs`` hangs on where its code lies, which the
/// alignment of functions does not settle: a kernel of 0.25 µs, moved by whole cache lines and not changed, took 3.5 % longer in
/// all 18 launches of one check, and not in twenty others. Both have the wide threshold.
///
/// **Suite.** The same on one more series, against its own threshold: a launch's mean over the middle half of the cases
/// (the interquartile mean), which a shift of all moves and a single slow kernel does not. A launch has one where ``suiteShare`` of
/// the cases were undisturbed in it.
///
/// **Machine.** Where base differs from its own copy by more than the margin, the hypervisor takes more than ``mostSteal`` or the
/// sides' clocks differ by more than ``mostClockDrift``, all is measured once more, and then nothing can be decided.
public struct DecisionRule: Sendable {
    /// Of ordinary cases, of streaming and brief ones, and of the suite, as a slow-down: 0.03 is 3 %.
    public var threshold = 0.03
    public var wideThreshold = 0.05
    public var suiteThreshold = 0.015
    public var briefNs = 500.0
    public var marginShare = 2.0 / 3
    public var screenLaunches = 6
    public var fewestConfirming = 12
    public var level = 0.05
    /// A suite has at least so many cases, failed ones aside.
    public var fewestSuiteCases = 4
    /// Of them, how many a launch must have a value of.
    public var suiteShare = 0.75
    /// Launches are replaced where they were disturbed, up to so many times as many as are wanted.
    public var replacing = 2
    /// After so many launches of which most values were lost, more would only cost more.
    public var hopelessAfter = 3
    /// More stolen time than this share of what the CPUs have, and the sides cannot be told apart.
    public var mostSteal = 0.025
    /// A chain of dependent multiplications takes the same time in any build; see ``Burst/chainNs``.
    public var mostClockDrift = 0.01
    /// The largest error may grow by this factor without being told of: another order of the same sums may err a little more.
    public var mostErrorGrowth = 2.0

    public init() {}

    public init(threshold: Double) {
        self.threshold = threshold
        wideThreshold = threshold * 5 / 3
        suiteThreshold = threshold / 2
    }

    /// Values of one series that may lie within the margin without ending the matter.
    static let misses = 1

    public enum Direction: Double, Sendable, CaseIterable {
        case slower = 1
        case faster = -1
    }

    /// In logarithms.
    public func margin(_ threshold: Double) -> Double { log1p(threshold * marginShare) }

    /// The standard error of a launch's value that a threshold asks for: the margin lies a third of the threshold below it, and
    /// two errors should fit there.
    public func wantedError(_ threshold: Double) -> Double { log1p(threshold) / 6 }

    /// Whether a value lies beyond the margin on that side.
    func exceeds(_ value: Double, _ direction: Direction, _ threshold: Double) -> Bool {
        value * direction.rawValue > margin(threshold)
    }

    func missed(_ values: [Double], _ direction: Direction, _ threshold: Double) -> Int {
        values.count { !exceeds($0, direction, threshold) }
    }

    /// The directions that the screen has not ruled out yet.
    func open(_ values: [Double], _ threshold: Double) -> [Direction] {
        Direction.allCases.filter { missed(values, $0, threshold) <= Self.misses }
    }

    /// The direction of a suspect, once the screen is full.
    func suspicion(_ values: [Double], _ threshold: Double) -> Direction? {
        values.count >= screenLaunches ? open(values, threshold).first : nil
    }

    /// Fresh launches that confirm one of so many suspects.
    public func confirmingLaunches(suspects: Int) -> Int {
        var n = fewestConfirming
        while Double(n + 1) / pow(2, Double(n)) > level / Double(max(suspects, 1)) { n += 1 }
        return n
    }

    /// The interquartile mean.
    static func suite(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        let cut = sorted.count / 4
        return Statistics.mean(Array(sorted[cut..<(sorted.count - cut)]))
    }
}

public enum Judgement: Sendable, Equatable {
    case fine
    case slower
    case faster
    /// A suspect that fresh launches did not confirm, or not in this size.
    case ambiguous(DecisionRule.Direction)
    /// Too few launches were undisturbed.
    case undecided

    /// Whether the case is known to have changed: then a choice that changed with it needs no other reason.
    var isChange: Bool { self == .slower || self == .faster }
}
