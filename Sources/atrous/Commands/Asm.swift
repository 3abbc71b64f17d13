import ConvCore
import Disassembly
import Foundation
import Harness
import KernelRegistry
import OptionParsing

/// The loop that a kernel spends most of its time in; or, with --check, every micro-kernel's.
func runAsm(_ values: Values) throws -> ExitCode {
    if values.flag("check") {
        guard values.arguments.isEmpty else { throw UsageError("asm: --check looks at all kernels; leave '\(values.arguments[0])' out") }
        return try checkMicroKernels(values)
    }
    let registry = KernelRegistry(level: try InstructionSet.usable())
    guard let name = values.arguments.first else {
        throw UsageError("asm: name a kernel, such as atrous asm \(registry.kernels.last!.name), or write --check")
    }
    let sample = try KernelSample(name, problem: values.string("problem"), registry: registry)
    let seconds = try values.seconds("min-time", in: 0.05...60) ?? 1
    sample.run()
    let start = Clock.now()
    let spots = try HotSpots {
        sample.run()
        return Double(Clock.now() - start) < seconds * 1e9
    }
    guard let file = spots.hottestFile, let counts = spots.counts[file] else {
        throw UsageError("asm: the kernel ran for too short a time to be sampled; write --min-time 5s")
    }
    let functions = try Objdump.functions(of: file) { _ in true }
    guard let (function, loop, share) = hottest(functions, counts) else {
        print("\(sample.name) on \(sample.problem): most of the \(spots.total) samples lie in \(file), in no loop that its symbols lead to")
        return .fine
    }
    print("\(sample.name) on \(sample.problem)\n\(demangled(function.symbol))")
    print("\(share) of \(spots.total) samples lie in this loop; the first column counts them\n")
    let behind = Dictionary(uniqueKeysWithValues: zip(function.instructions, function.instructions.dropFirst()).map { ($0.address, $1.address) })
    for (index, instruction) in loop.instructions.enumerated() {
        if index > 0, behind[loop.instructions[index - 1].address] != instruction.address { print("        …") }
        let hits = counts[instruction.address].map(String.init) ?? ""
        let space = String(repeating: " ", count: max(0, 6 - hits.count))
        print("\(space)\(hits)  \(instruction.mnemonic.padding(toLength: 14, withPad: " ", startingAt: 0)) \(instruction.operands)")
    }
    print("\n\(description(of: loop))")
    return .fine
}

private func description(of loop: Loop) -> String {
    "\(loop.instructions.count) instructions: \(loop.multiplyAdds) vector multiply-adds, \(loop.loads) loads (\(loop.broadcasts) of them broadcasts), "
        + "\(loop.stores) stores, \(loop.spills) spills, \(loop.scalarFMAs) scalar multiply-adds, \(loop.calls) calls"
}

/// The innermost loop with the most samples.
private func hottest(_ functions: [Function], _ counts: [UInt64: Int]) -> (Function, Loop, samples: Int)? {
    var best: (Function, Loop, samples: Int)?
    for function in functions {
        guard let first = function.instructions.first?.address, let last = function.instructions.last?.address,
            counts.keys.contains(where: { first...last ~= $0 })
        else { continue }
        for loop in function.innermostLoops {
            let samples = loop.instructions.reduce(0) { $0 + (counts[$1.address] ?? 0) }
            if samples > best?.samples ?? 0 { best = (function, loop, samples) }
        }
    }
    return best
}

/// Fewer multiply-adds than these are a border or a rest, no micro-kernel.
private let smallestMicroKernel = 4

/// Every loop of the vector kernels that multiplies itself: it may not spill, keep its sums in memory, call, or fall back to single values.
private func checkMicroKernels(_ values: Values) throws -> ExitCode {
    let modules = [InstructionSet.baseline: "KernelsBaseline", .v3: "KernelsX86V3", .v4: "KernelsX86V4"]
    let levels = try values.words("isa", among: InstructionSet.allCases.map(\.rawValue)) ?? InstructionSet.allCases.map(\.rawValue)
    var bad = 0
    let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
    for level in InstructionSet.allCases where levels.contains(level.rawValue) {
        guard let module = modules[level] else { continue }
        // A symbol names its module with the length in front.
        let functions = try Objdump.functions(of: program) { $0.contains("\(module.utf8.count)\(module)") }
        var (checked, dividing, driving) = (0, 0, 0)
        for function in functions {
            for loop in function.loops {
                let scalar = loop.scalarFMAs > 0
                // A loop that divides is an activation, whose polynomial has more constants than AVX2 has registers.
                guard scalar || loop.multiplyAdds >= smallestMicroKernel else { continue }
                guard scalar || loop.divisions == 0 else {
                    dividing += 1
                    continue
                }
                // One around the loops over taps and their terms that calls goes from tile to tile: its multiply-adds come behind the sum.
                guard scalar || loop.height <= 2 || loop.calls == 0 else {
                    driving += 1
                    continue
                }
                checked += 1
                guard scalar || loop.spills > 0 || loop.calls > 0 else { continue }
                bad += 1
                print("FAILED   \(level.rawValue)  \(demangled(function.symbol)) at \(String(loop.addresses.lowerBound, radix: 16)): \(description(of: loop))")
            }
            // A library's fused multiply-add, one value a call, is what a vector one becomes where the level has none.
            if let call = function.instructions.first(where: { $0.isCall && ["<fmaf", "<fma@", "<fma>"].contains(where: $0.operands.contains) }) {
                bad += 1
                print("FAILED   \(level.rawValue)  \(demangled(function.symbol)) calls \(call.operands)")
            }
        }
        guard checked > 0 || functions.isEmpty else { throw UsageError("asm: no micro-kernel of level \(level.rawValue) was found; the program was stripped") }
        print("\(level.rawValue): \(checked) loops of vector multiply-adds in \(functions.count) functions; \(dividing) that divide and \(driving) that go from tile to tile are left out")
    }
    return bad == 0 ? .fine : .failed
}
