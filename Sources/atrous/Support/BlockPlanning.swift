import BlockRuntime
import ConvCore
import Foundation
import KernelRegistry
import OptionParsing
import Results
import ThreadPool
import Tuning

/// Plans the one block that the options name, prints what it was measured against, and writes the plan.
func writeBlockPlan(
    _ values: Values, to out: String, session: Session, machine: String, registry: KernelRegistry,
    tuned: @escaping (_ problem: Problem, _ threads: Int) -> TunedChoice?
) throws {
    guard values.strings("block").count == 1, session.threads.count == 1 else {
        throw UsageError("pick --out: a plan is for one block and one thread count; give --block once and one number to --threads")
    }
    let block = try BlockInput(values, seed: session.seed)
    let outcome = try ThreadPool.withPinnedCaller {
        let planner = BlockPlanner(
            block.parameters, size: block.size, registry: registry,
            pool: ThreadPool(threads: session.threads[0], pinned: true), seed: session.seed,
            tuned: { [threads = session.threads[0]] in tuned($0, threads) })
        return try planner.choose(machine: machine) { what in
            if !session.quiet { Console.note("planning \(block.name): \(what)") }
        }
    }
    try FileWriting.replace(out, with: Data(outcome.plan.text.utf8))
    print("\nthe whole block, \(block.name) at \(block.size.description), \(session.threads[0]) thread\(session.threads[0] == 1 ? "" : "s"):\n")
    print(
        Console.table(
            ["stage", "kernel", "ms"],
            outcome.plan.rows.map { [$0.unit, $0.config.isEmpty ? $0.kernel : "\($0.kernel)@\($0.config)", $0.medianNs.map(Format.ms) ?? "-"] },
            right: [2]))
    print(
        "\npredicted \(Format.ms(outcome.predictedNs)) ms, conversions included; measured \(Format.ms(outcome.measuredNs)) ms\n")
    print(
        Console.table(
            ["block", "ms", "× plan"],
            outcome.rivals.map { [$0.name, Format.ms($0.medianNs), Format.number($0.ratio, digits: 4)] }, right: [1, 2]))
    if !session.quiet { Console.note("plan in \(out)") }
}
