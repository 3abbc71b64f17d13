import ConvCore
import Harness

/// What is decided at a time: the fastest candidate for a problem on so many threads with the caches in such a state.
public struct TuningCase: Hashable, Sendable, CustomStringConvertible {
    public let problem: Problem
    public let threads: Int
    /// A pick of one regime is often the wrong one in another.
    public let regime: MeasurementOptions.Cache

    public init(_ problem: Problem, threads: Int, regime: MeasurementOptions.Cache = .warm) {
        self.problem = problem
        self.threads = threads
        self.regime = regime
    }

    public var description: String {
        "\(problem) on \(threads) thread\(threads == 1 ? "" : "s")" + (regime == .warm ? "" : ", \(regime.rawValue)")
    }
}
