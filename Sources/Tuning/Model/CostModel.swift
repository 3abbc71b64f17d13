import ConvCore
import Foundation
import Harness

/// What candidates are expected to take, before anything is measured: an order, not a promise.
///
/// A roofline with the family's usual share of it, what its scratch and packed weights cost in the cache level that holds them,
/// and a little for every step from the standard configuration, which its author chose to be good untuned. Knows no kernel by
/// name; ``LearnedEffects`` knows what was measured.
public struct CostModel: Sendable {
    public let machine: MachineProfile

    public init(_ machine: MachineProfile) { self.machine = machine }

    /// The share of its roofline that a family usually reaches on the machines that it was measured on.
    private static let efficiency: [Kernel.Family: Double] = [.naive: 0.05, .im2col: 0.7, .simd: 0.35, .tiled: 0.75]
    /// Per step of a parameter from the standard.
    private static let stepCost = 0.015

    /// Nanoseconds that no implementation of this kind can undercut: its multiply-adds at the measured peak of its instruction set,
    /// or the compulsory bytes. A quarter is taken off, for a peak that was measured too low.
    public func boundNs(_ c: Candidate, _ subject: TuningCase) -> Double {
        let p = subject.problem
        let threads = c.kernel.threaded ? subject.threads : 1
        let roofline = Roofline(machine, threads: subject.threads).floorNs(p, cold: subject.regime == .cold)
        return 0.75 * max(roofline, flops(c, p) / (peak(c.kernel.isa) * Double(threads)))
    }

    public func expectedNs(_ c: Candidate, _ subject: TuningCase) -> Double {
        let p = subject.problem
        let threads = c.kernel.threaded ? subject.threads : 1
        let compute = flops(c, p) / (peak(c.kernel.isa) * Double(threads))
        let roofline = Roofline(machine, threads: threads)
        let memory = c.kernel.memory(p, c.configuration, threads)
        var ns = max(compute, roofline.floorNs(p, cold: subject.regime == .cold)) / Self.efficiency[c.kernel.family]!
        if c.kernel.family == .im2col, p.layer != .pw {
            // The unfolded map is written and read, image by image and group by group.
            let unfolded = 2 * 4 * p.firstUnit.nominalMACs / Double(p.ocPerGroup)
            ns += unfolded / bandwidth(Double(memory.scratch), threads)
        } else if memory.scratch > 0 {
            // A buffer that outgrows a core's first two caches is paid for at every pass.
            ns *= slowdown(Double(memory.scratch / threads))
        }
        return ns * (1 + Self.stepCost * Double(c.kernel.space.stepsFromStandard(c.configuration)))
    }

    /// Those that compute every tap compute the padding, too.
    private func flops(_ c: Candidate, _ p: Problem) -> Double {
        switch c.kernel.family {
        case .naive, .im2col: p.nominalFLOPs
        case .simd, .tiled: p.effectiveFLOPs
        }
    }

    /// Of one thread. Scalar code is at best what the baseline's vectors do; a library has the highest level.
    private func peak(_ isa: String) -> Double {
        machine.peakGflops(isa: isa == "scalar" ? machine.levels.first ?? isa : isa == "openblas" ? machine.levels.last ?? isa : isa)
    }

    private func bandwidth(_ bytes: Double, _ threads: Int) -> Double {
        Roofline(machine, threads: threads).bandwidth(bytes)?.copyGBps ?? 10
    }

    /// For a buffer of so many bytes per thread: none in half of L1, a little in L2, more behind it.
    private func slowdown(_ bytes: Double) -> Double {
        let sizes = machine.caches.sorted { $0.level < $1.level }.map { Double($0.bytes) }
        guard sizes.count >= 2 else { return 1 }
        return bytes <= sizes[0] * 0.75 ? 1 : bytes <= sizes[1] / 2 ? 1.1 : 1.4
    }
}
