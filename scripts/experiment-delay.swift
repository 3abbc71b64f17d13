import CPUFeatures
import ConvCore
import Foundation

/// Put into a build by scripts/experiment-builds: a kernel that takes PERCENT % longer. It is compiled there only.
nonisolated(unsafe) private var delays: [String: Delay] = [:]

@_optimize(none)
private func keep(_ value: UInt) {}

/// A chain of multiplications as long as it must be behind every run of one problem.
private final class Delay {
    var length: UInt = 0
    var isSet = false

    /// By the first run of a problem in this process: bursts with and without the delay in turn, on the way that later runs take;
    /// the length follows what is missing, by less and less.
    func calibrate(_ plain: Kernel.Plan, _ slow: Kernel.Plan, _ src: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>) {
        isSet = true
        func time(_ plan: Kernel.Plan, _ repeats: Int) -> Double {
            var (start, end) = (timespec(), timespec())
            clock_gettime(CLOCK_MONOTONIC, &start)
            for _ in 0..<repeats { plan.run(src, dst) }
            clock_gettime(CLOCK_MONOTONIC, &end)
            return (Double(end.tv_sec - start.tv_sec) * 1e9 + Double(end.tv_nsec - start.tv_nsec)) / Double(repeats)
        }
        func middle(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
        let repeats = max(1, Int(2e4 / middle((0..<9).map { _ in time(plain, 3) })))
        var wanted = 0.0
        for step in 1...10 {
            var (ratios, alone) = ([Double](), [Double]())
            for _ in 0..<40 {
                let (a, b, c, d) = (time(plain, repeats), time(slow, repeats), time(slow, repeats), time(plain, repeats))
                ratios.append((b + c) / (a + d))
                alone.append((a + d) / 2)
            }
            let missing = 1 + Double(PERCENT) / 100 - middle(ratios)
            // About 0.8 ns a multiplication; the first two steps take it all.
            wanted += missing * middle(alone) / 0.8 / Double(max(1, step - 1))
            length = UInt(max(0, wanted.rounded()))
        }
    }
}

func delayed(_ kernel: Kernel) -> Kernel {
    guard kernel.name.hasPrefix("KERNEL-v") else { return kernel }
    return Kernel(
        name: kernel.name, layer: kernel.layer, family: kernel.family, isa: kernel.isa, layout: kernel.layout,
        threaded: kernel.threaded, stridesDst: kernel.stridesDst, runsInPlace: kernel.runsInPlace, summary: kernel.summary,
        space: kernel.space, supports: kernel.supports, memory: kernel.memory
    ) { problem, configuration, inputs in
        let plain = kernel.plan(problem, configuration, inputs)
        let key = "\(problem.text) \(configuration) \(inputs.threads)"
        let delay = delays[key] ?? Delay()
        delays[key] = delay
        var slow: Kernel.Plan!
        slow = Kernel.Plan { src, dst in
            if !delay.isSet { delay.calibrate(plain, slow, src, dst) }
            plain.run(src, dst)
            keep(atrous_chain_loop(delay.length))
        }
        return slow
    }
}
