import BlockRuntime
import ConvCore
import Foundation
import Harness
import KernelRegistry
import OptionParsing
import Results
import Tuning

/// What a plan cannot come from, said before anything is measured.
func refuseForPlan(_ values: Values) throws {
    guard values.strings("block").count == 1, try (values.ints("threads", in: 1...1024) ?? [1]).count == 1 else {
        throw UsageError("pick --out: a plan is for one block and one thread count; give --block once and one number to --threads")
    }
    try FileWriting.require(values.string("out")!)
    try values.refuse(
        ["kernel", "family", "isa", "layout", "faults"], for: "pick --block … --out", why: "a plan is chosen among all kernels of this CPU")
}

/// Plans a block, prints what it was measured against, and writes the plan.
func writeBlockPlan(
    _ block: BlockInput, to out: String, session: Session, machine: MachineProfile, registry: KernelRegistry,
    tuned: @escaping (_ problem: Problem, _ threads: Int) -> TunedChoice?
) throws {
    let threads = session.threads[0]
    let planner = BlockPlanner(
        block.parameters, size: block.size, registry: registry, threads: threads, seed: session.seed,
        throughput: Throughput(registry.probes, on: machine), tuned: { tuned($0, threads) })
    let outcome = try planner.choose(machine: machine.slug) { what in
        if !session.quiet { Console.note("planning \(block.name): \(what)") }
    }
    outcome.warn(block.name, threads: threads)
    try FileWriting.replace(out, with: Data(outcome.plan.text.utf8))
    print("\nthe whole block, \(block.name) at \(block.size.description), \(threads) thread\(threads == 1 ? "" : "s"):\n")
    print(
        Console.table(
            ["stage", "kernel", "ms", "band", "lane"],
            outcome.plan.rows.map {
                [
                    $0.unit, $0.config.isEmpty ? $0.kernel : "\($0.kernel)@\($0.config)", $0.medianNs.map(Format.ms) ?? "-",
                    $0.band.map(String.init) ?? "", $0.lane.map(String.init) ?? "",
                ]
            }, right: [2, 3, 4]))
    print(
        "\npredicted \(Format.ms(outcome.predictedNs)) ms, conversions included; measured \(Format.ms(outcome.measuredNs)) ms\n")
    print(
        Console.table(
            ["block", "ms", "× plan", "maps and scratch"],
            outcome.rivals.map {
                [$0.name, Format.ms($0.summary.medianNs), Format.number($0.ratio, digits: 4), Format.bytes($0.memory.maps + $0.memory.scratch)]
            }, right: [1, 2, 3]))
    if !session.quiet { Console.note("plan in \(out)") }
}

extension BlockPlanner.Outcome {
    /// Says what a user of the plan should not trust.
    func warn(_ name: String, threads: Int) {
        if !agrees {
            Console.warning(
                "\(name), threads \(threads): predicted \(Format.ms(predictedNs)) ms and measured \(Format.ms(measuredNs)) ms stayed more than 10 % apart in \(attempts) attempts: something else uses this machine; plan again when it is quiet")
        }
        if !fits {
            Console.warning(
                "\(name), threads \(threads): the plan's maps and scratch, \(Format.bytes(memory.maps + memory.scratch)), are more than input, output, mid and concatenation take, \(Format.bytes(memoryBound)); no plan within that was found")
        }
    }
}
