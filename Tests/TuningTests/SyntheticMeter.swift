import ConvCore
import Foundation
import Harness

import Tuning

/// A machine that is a function: the time of a candidate is `cost`, times the round's drift, times seeded noise. No clock.
final class SyntheticMeter: Meter {
    let space: SearchSpace
    private let cost: (Candidate) -> Double
    private let noise: Double
    private let wrong: Set<String>
    private var random: RandomSource
    private var times: [Int: [Int: Double]] = [:]
    /// Candidates that came up before the time was over.
    private var admitted: Set<Int> = []
    private(set) var rounds = 0
    private(set) var spentNs = 0.0
    /// What the so-manieth sample of a candidate takes beyond its time, as a factor.
    var disturbance: (_ candidate: Int, _ sample: Int) -> Double = { _, _ in 1 }
    /// Samples until the time is over.
    var budget = Int.max
    var isOver: Bool { budget <= 0 }

    init(_ space: SearchSpace, noise: Double = 0.01, wrong: Set<String> = [], seed: UInt64 = 1, cost: @escaping (Candidate) -> Double) {
        self.space = space
        self.noise = noise
        self.wrong = wrong
        self.cost = cost
        random = RandomSource(seed: seed)
    }

    func measure(_ candidates: [Int], rounds count: Int) throws {
        for c in candidates where !isWrong(c) && (!isOver || admitted.isEmpty) { admitted.insert(c) }
        for round in 0..<count where round == 0 || !isOver {
            // The machine is up to a half slower from one round to the next, for all alike.
            let drift = 1.25 + 0.25 * Double(random.nextReal())
            for c in candidates where admitted.contains(c) {
                let ns = cost(space.candidates[c]) * drift * (1 + noise * Double(random.nextReal())) * disturbance(c, times[c]?.count ?? 0)
                times[c, default: [:]][rounds] = ns
                spentNs += ns
                budget -= 1
            }
            rounds += 1
        }
    }

    func samples(_ candidate: Int, disturbed: Bool) -> [Int: Double] { times[candidate] ?? [:] }
    func isWrong(_ candidate: Int) -> Bool { wrong.contains(space.candidates[candidate].name) }
}

/// A kernel that computes nothing: only its name and space matter to a search.
func madeUpKernel(_ name: String, space: ConfigurationSpace, scratch: @escaping @Sendable (Configuration) -> Int = { _ in 0 }) -> Kernel {
    Kernel(
        name: name, layer: .pw, family: .tiled, isa: "baseline", layout: .nhwc, threaded: true, summary: "", space: space,
        memory: { _, c, _ in Kernel.Memory(scratch: scratch(c)) }, plan: { _, _, _ in Kernel.Plan { _, _ in } })
}

let grid = ConfigurationSpace(
    [
        Parameter("a", Array(1...8), standard: 2, ""), Parameter("b", Array(1...8), standard: 2, ""),
        Parameter("c", [1, 2, 4, 8], standard: 4, ""),
    ], constraint: "a·b ≤ 32", admits: { $0["a"] * $0["b"] <= 32 })

/// A valley with its floor at a = 5, b = 6, c = 2, and a slope that parameters share.
func valley(_ c: Candidate) -> Double {
    let (a, b, d) = (Double(c.configuration["a"]), Double(c.configuration["b"]), Double(c.configuration["c"]))
    return 1000 * (1 + 0.04 * pow(a - 5, 2) + 0.03 * pow(b - 6, 2) + 0.05 * abs(log2(d) - 1))
}

func madeUpSpace(_ kernels: [Kernel], expected: (Candidate) -> Double = { _ in 1 }) -> SearchSpace {
    let candidates = kernels.flatMap { kernel in kernel.space.all.map { Candidate(kernel, $0) } }
    return SearchSpace(
        TuningCase(try! Problem(parsing: "pw:c8o8h6"), threads: 1), candidates: candidates, expectedNs: candidates.map(expected),
        boundNs: candidates.map { _ in 0 })
}
