import ConvCore
import Foundation
import Harness
import KernelRegistry
import OptionParsing
import Results
import ThreadPool
import Tuning

/// What the options of `tune` ask for, checked against each other.
struct TuneOptions {
    let effort: Effort
    /// Of the effort, with the options' own numbers; nil where nothing is to be measured.
    let limits: SearchLimits?
    let strategy: Strategy?
    let budget: Double?
    let shard: Shard?
    let regime: MeasurementOptions.Cache

    /// The least that a case can be decided in: a verification and a few rounds.
    private static let leastSecondsPerCase = 0.02
    /// A space that is listed and measured whole; beyond it only a search makes sense.
    private static let mostExhaustive = 20_000

    init(_ values: Values) throws {
        effort = Effort(rawValue: values.string("effort") ?? "quick")!
        regime = MeasurementOptions.Cache(rawValue: values.string("cache") ?? "warm")!
        budget = try values.seconds("budget", in: 0.001...1e7)
        if let text = values.string("shard") {
            guard let shard = Shard(text) else {
                throw UsageError("--shard '\(text)' is no part of a whole; write i/n with 1 ≤ i ≤ n, such as 2/8")
            }
            self.shard = shard
        } else {
            shard = nil
        }
        guard var limits = effort.limits else {
            for flag in ["strategy", "budget", "trace"] where values.string(flag) != nil {
                throw UsageError("--\(flag) does not fit --effort estimate, which measures nothing; write --effort quick or leave --\(flag) out")
            }
            if values.flag("trust-verify") { throw UsageError("--trust-verify does not fit --effort estimate, which measures nothing; write --effort quick") }
            (limits, strategy) = (nil, nil)
            return
        }
        if let name = values.string("strategy") {
            guard effort != .exhaustive || name == "exhaustive" else {
                throw UsageError("--strategy \(name) does not fit --effort exhaustive, which leaves no candidate out; write --effort thorough or --strategy exhaustive")
            }
            limits.strategy = name
            if name == "exhaustive" { limits.evaluations = .max }
        }
        if let most = try values.int("evaluations", in: 1...1_000_000) {
            guard limits.strategy != "exhaustive" else {
                throw UsageError("--evaluations does not fit the strategy exhaustive, which leaves no candidate out; write --strategy racing or another")
            }
            limits.evaluations = most
        }
        self.limits = limits
        strategy = Strategy.named(limits.strategy)
    }

    /// Throws where the budget cannot decide so many cases, or a space is too large for the strategy or empty.
    func check(_ cases: [TuningCase], _ kernels: KernelSelection) throws {
        try SpaceError.check(kernels.all)
        let least = Self.leastSecondsPerCase * Double(cases.count)
        if let budget, budget < least {
            throw UsageError(
                "--budget \(Format.number(budget, digits: 3)) s is less than \(cases.count) cases can be decided in; write at least \(Format.number(least, digits: 2))s, or tune fewer cases (--filter, --shard)")
        }
        guard strategy?.name == "exhaustive" else { return }
        for kernel in kernels.all where kernel.space.gridCount > Self.mostExhaustive {
            throw UsageError(
                "--strategy exhaustive does not fit \(kernel.name), whose space has \(kernel.space.gridCount) points; write --strategy local, or name configurations with --kernel \(kernel.name)@…")
        }
    }
}
