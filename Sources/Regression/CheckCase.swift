import ConvCore
import Foundation

/// One thing that is compared: a problem, and the kernel and configuration that both builds run on it.
public struct CheckCase: Sendable, Hashable {
    public let problem: Problem
    /// Kernel with its configuration.
    public let candidate: String
    /// What head runs instead, where the two builds' own choices are compared and not their kernels.
    public let headCandidate: String?
    public let threads: Int
    /// Whether what it must move does not fit the last private cache: then its time hangs on what the neighbours do, too.
    public let streaming: Bool

    public init(_ problem: Problem, candidate: String, headCandidate: String? = nil, threads: Int, privateCacheBytes: Int = 1 << 20) {
        self.problem = problem
        self.candidate = candidate
        self.headCandidate = headCandidate
        self.threads = threads
        streaming = problem.compulsoryBytes > Double(privateCacheBytes * threads)
    }

    /// `dw/dw3/dw-tile-v4@t6v4c8/threads:1`
    public var name: String { "\(problem.layer.rawValue)/\(problem.label)/\(title)/threads:\(threads)" }

    /// The candidate, or both.
    public var title: String { headCandidate.map { "\(candidate)→\($0)" } ?? candidate }

    func candidate(_ side: Side) -> String { side == .head ? headCandidate ?? candidate : candidate }

    /// What repeats it in one build.
    public func command(_ build: String, _ side: Side = .head) -> String {
        "\(build) verify --problem '\(problem.text)' --kernel '\(candidate(side))' --threads \(threads)"
    }
}

public enum Side: Int, CaseIterable, Sendable {
    case base, head
    /// A copy of the base, for the sentinels.
    case copy
}

/// What one launch says about one case.
public struct LaunchValue: Sendable {
    /// Median of the rounds' log ratios, head over base.
    public let logRatio: Double
    /// Standard error of it, from the rounds' scatter.
    public let error: Double
    /// The undisturbed rounds' log ratios, in order.
    public let rounds: [Double]
    public let dropped: Int
    /// Median nanoseconds of one run, of each side.
    public let baseNs, headNs: Double
    /// Median nanoseconds of the dependent chain of each side: equal, or the clock was not.
    public let baseChainNs, headChainNs: Double
}
