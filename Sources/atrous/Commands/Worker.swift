import BlockRuntime
import ConvCore
import Foundation
import KernelRegistry
import OptionParsing
import Regression
import Tuning

/// The long-lived process that `atrous check` feeds with one case at a time; it ends with its input.
func runWorker(_ values: Values) throws -> ExitCode {
    let registry = KernelRegistry(level: try InstructionSet.usable())
    let kernels = WorkerLoop.Kernels(
        level: registry.level.rawValue, candidates: { problem, threads in
            let levels = InstructionSet.allCases.filter { $0 != registry.level }.map(\.rawValue)
            return registry.split(for: problem).able
                .filter { (threads == 1 || $0.threaded) && !levels.contains($0.isa) }.map { Candidate($0) }
        },
        named: { try registry.candidate(named: $0) }, plan: { try registry.planned($0) })
    WorkerLoop(kernels).run(next: { readLine() }, answer: { print($0) })
    return .fine
}

extension KernelRegistry {
    /// Plans a block of random parameters and runs it.
    fileprivate func planned(_ block: PlanCheck.Block) throws -> PlanPrediction {
        let selection = try BlockSelection(block.name, size: block.size, settings: BlockSettings(activation: Activation(rawValue: block.activation)))
        let parameters = try BlockParameters(random: selection.description, cin: selection.size.cin, cout: nil, seed: 1)
        let outcome = try BlockPlanner(parameters, size: selection.size, registry: self, threads: block.threads, seed: 1).choose()
        return PlanPrediction(predictedNs: outcome.predictedNs, measuredNs: outcome.measuredNs)
    }

    /// `dw-direct-v4@t8r2`; the standard configuration where none is named.
    func candidate(named name: String) throws -> Candidate {
        let parts = name.split(separator: "@", maxSplits: 1).map(String.init)
        guard let kernel = kernel(named: parts.first ?? "") else { throw UsageError("no kernel \(parts.first ?? "")") }
        do {
            return Candidate(kernel, parts.count == 2 ? try kernel.space.parse(parts[1]) : nil)
        } catch {
            throw UsageError("\(kernel.name): \(error)")
        }
    }
}
