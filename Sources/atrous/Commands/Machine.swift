import Foundation
import Harness
import KernelRegistry
import OptionParsing
import Results
import ThreadPool

func runMachine(_ values: Values) throws -> ExitCode {
    let registry = KernelRegistry(level: try InstructionSet.usable())
    let threads = try values.ints("threads", in: 1...1024) ?? [1, ThreadPool.usableCPUs]
    let machine = MachineProfile.measure(probes: registry.probes, threads: threads)
    if let path = values.string("json") {
        let data = try machine.json
        if path == "-" { print(String(decoding: data, as: UTF8.self)) } else { try FileWriting.replace(path, with: data) }
        return .fine
    }
    print("\(machine.cpu), \(machine.cpus) CPUs; folder name \(machine.slug)")
    let caches = machine.caches.map { "L\($0.level) \(Format.bytes($0.bytes)) for \($0.sharedBy) CPU\($0.sharedBy == 1 ? "" : "s")" }
    print("caches: \(caches.joined(separator: ", "))")
    print("instruction-set levels: \(machine.levels.joined(separator: ", ")); detected \(InstructionSet.detected.rawValue)")
    print("OpenBLAS kernels: \(registry.openBLASCore ?? "not installed")")
    print("clock step \(Format.number(machine.clockStepNs, digits: 3)) ns\n")
    print(
        Console.table(
            ["FMA peak", "threads", "GFLOP/s"],
            machine.peaks.map { [$0.isa, "\($0.threads)", Format.number($0.gflops, digits: 4)] }, right: [1, 2]))
    print("")
    print(
        Console.table(
            ["bandwidth", "threads", "read GB/s", "write GB/s", "copy GB/s", "working set"],
            (machine.bandwidths + (machine.sweep ?? [])).sorted { ($0.threads, $0.workingSet) < ($1.threads, $1.workingSet) }.map {
                [
                    $0.level, "\($0.threads)", Format.number($0.readGBps, digits: 3), Format.number($0.writeGBps, digits: 3),
                    Format.number($0.copyGBps, digits: 3), Format.bytes($0.workingSet),
                ]
            }, right: [1, 2, 3, 4, 5]))
    for cost in machine.pool {
        print(
            "\npool of \(cost.threads) threads: fork and join \(Format.number(cost.forkJoinNs, digits: 3)) ns, "
                + "from sleep \(Format.number(cost.wakeNs / 1000, digits: 3)) µs")
    }
    return .fine
}

extension MachineProfile {
    var json: Data {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            return try encoder.encode(self)
        }
    }
}
