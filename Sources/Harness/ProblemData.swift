import ConvCore
import Dispatch
import ReferenceKernels

/// The inputs of one problem and what the oracle makes of them, worked out once for all candidates.
public final class ProblemData {
    public let problem: Problem
    public let seed: UInt64
    /// Small integers, on which a float sum is exact; nil where the reduction is too long for that.
    let integers: Case?
    /// Reals in −1 ..< 1.
    let reals: Case

    /// src `[batch][ic][ih][iw]`, weights, bias, and the oracle's answer.
    struct Case {
        let src: AlignedMemory
        let weights: AlignedMemory
        let bias: AlignedMemory
        let answer: Oracle.Answer
        let exact: Bool
        let norms: ErrorBound.Norms
    }

    /// Throws where the inputs, the oracle's answers and an arena beside them would not fit into the memory that is free.
    public init(_ problem: Problem, seed: UInt64) throws(HarnessError) {
        // Two cases of inputs and of values and magnitudes in double, then the arena.
        let inputs = 4 * (problem.srcCount + problem.weightCount)
        try FreeMemory.require(3 * inputs + (2 * 16 + 4) * problem.dstCount)
        self.problem = problem
        self.seed = seed
        var random = RandomSource(seed: seed)
        integers = ErrorBound.integerLimit(problem).map { limit in
            Self.make(problem, exact: true) { random.nextInteger(limit) }
        }
        reals = Self.make(problem, exact: false) { random.nextReal() }
    }

    private static func make(_ p: Problem, exact: Bool, _ next: () -> Float) -> Case {
        let src = AlignedMemory(floats: p.srcCount)
        let weights = AlignedMemory(floats: p.weightCount)
        let bias = AlignedMemory(floats: p.biasCount)
        for (memory, count) in [(src, p.srcCount), (weights, p.weightCount), (bias, p.biasCount)] {
            for i in 0..<count { memory.floats[i] = next() }
        }
        let answer = Oracle.answer(
            p, src: src.floats, weights: weights.floats, bias: p.bias ? UnsafePointer(bias.floats) : nil
        ) { count, body in
            // Small ones are not worth waking the other threads.
            if p.effectiveMACs < 1e6 { (0..<count).forEach(body) } else { DispatchQueue.concurrentPerform(iterations: count, execute: body) }
        }
        func norm(_ memory: AlignedMemory, _ count: Int) -> Double {
            memory.floatBuffer.prefix(count).reduce(0) { max($0, Double(abs($1))) }
        }
        return Case(
            src: src, weights: weights, bias: bias, answer: answer, exact: exact,
            norms: .init(
                src: norm(src, p.srcCount), weights: norm(weights, p.weightCount), bias: p.bias ? norm(bias, p.biasCount) : 0))
    }
}
