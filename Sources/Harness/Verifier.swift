import ConvCore
import Foundation
import ReferenceKernels
import ThreadPool

/// A candidate that was found right on this very problem with this many threads. Only the verifier makes one, and only
/// this can be measured: a figure of an unverified kernel cannot exist.
public struct Verified: Sendable {
    public let candidate: Candidate
    public let problem: Problem
    public let threads: Int
    /// The largest |kernel − oracle| found, on reals.
    public let maxError: Double

    fileprivate init(candidate: Candidate, problem: Problem, threads: Int, maxError: Double) {
        self.candidate = candidate
        self.problem = problem
        self.threads = threads
        self.maxError = maxError
    }
}

/// Why a candidate is wrong.
public enum Fault: Error, Equatable, Sendable, CustomStringConvertible {
    /// An output still holds what was there before the run.
    case skipped(index: [Int], count: Int)
    case wrong(index: [Int], expected: Double, found: Float, tolerance: Double, count: Int, exact: Bool)
    case strayWrite(region: String, bytes: Int)
    case inputChanged(String)

    public var description: String {
        switch self {
        case .skipped(let index, let count):
            "never writes dst\(index)" + (count > 1 ? " and \(count - 1) more" : "")
        case .wrong(let index, let expected, let found, let tolerance, let count, let exact):
            "dst\(index) is \(found), the oracle says \(Float(expected)), "
                + (exact ? "exact on integers" : "tolerance \(Float(tolerance))")
                + (count > 1 ? "; \(count - 1) more are off" : "")
        case .strayWrite(let region, let bytes):
            "writes outside \(region): " + (bytes < 0 ? "\(-bytes) bytes before its start" : "at byte \(bytes) past its end")
        case .inputChanged(let name): "changes its \(name)"
        }
    }
}

/// Holds candidates against the oracle.
public struct Verifier {
    let data: ProblemData
    let arena: Arena
    let pool: ThreadPool

    private static let longRunNs: UInt64 = 50_000_000

    /// The arena must fit the candidates that will come.
    public init(_ data: ProblemData, arena: Arena, pool: ThreadPool) {
        self.data = data
        self.arena = arena
        self.pool = pool
    }

    /// Runs the candidate on small integers, where its result must be exact, and on reals, where it must lie within
    /// `ErrorBound`; outputs start as NaN between guard bands. The candidate must support the problem.
    public func verify(_ candidate: Candidate) -> Result<Verified, Fault> {
        do {
            if let integers = data.integers { _ = try check(candidate, integers) }
            let error = try check(candidate, data.reals)
            return .success(
                Verified(candidate: candidate, problem: data.problem, threads: pool.threads, maxError: error))
        } catch {
            return .failure(error)
        }
    }

    /// The largest error of two runs of one plan: the second must not depend on what the first left behind. Integers, and
    /// kernels that take long, run once.
    private func check(_ candidate: Candidate, _ inputs: ProblemData.Case) throws(Fault) -> Double {
        let p = data.problem
        let kernel = candidate.kernel
        arena.paintGuards()
        Layout.convert(
            inputs.src.floats, from: .nchw, to: arena.floats(.src), as: kernel.srcLayout, batch: p.batch, channels: p.ic,
            pixels: p.ih * p.iw)
        arena.floats(.weights).update(from: inputs.weights.floats, count: p.weightCount)
        arena.floats(.bias).update(from: inputs.bias.floats, count: p.biasCount)
        let srcHash = hash(.src, count: p.srcCount)
        let plan = candidate.plan(p, arena: arena, pool: pool)
        var worst = 0.0
        var repeats = inputs.exact ? 1 : 2
        while repeats > 0 {
            repeats -= 1
            arena.paintDst()
            let start = Clock.now()
            plan.run(arena.floats(.src), arena.floats(.dst))
            if Clock.now() - start > Self.longRunNs { repeats = 0 }
            if let stray = arena.strayWrite() {
                throw .strayWrite(region: "\(stray.region)", bytes: stray.distance)
            }
            guard hash(.src, count: p.srcCount) == srcHash else { throw .inputChanged("src") }
            guard memcmp(arena.pointer(.weights), inputs.weights.start, 4 * p.weightCount) == 0 else {
                throw .inputChanged("weights")
            }
            guard memcmp(arena.pointer(.bias), inputs.bias.start, 4 * p.biasCount) == 0 else { throw .inputChanged("bias") }
            worst = max(worst, try compare(inputs, candidate))
        }
        return worst
    }

    private func compare(_ inputs: ProblemData.Case, _ candidate: Candidate) throws(Fault) -> Double {
        let p = data.problem
        let layout = candidate.kernel.layout
        let normwise = ErrorBound.normwise(p, candidate.kernel.rounding(p, candidate.configuration), inputs.norms)
        let last = p.lastUnit
        let channels = last.oc
        let plane = p.oh * p.ow
        let steps = layout.steps(channels: channels, pixels: plane)
        let dst = arena.floats(.dst)
        var worst = 0.0
        var wrong: (index: Int, count: Int, value: Float, expected: Double, tolerance: Double)?
        var skipped: (index: Int, count: Int)?
        // Pixels by the line of values: in NHWC a block of them stays in L1 over all channels, where one channel at a time would
        // fetch a line for every value.
        let pixelBlock = 16
        for n in 0..<p.batch {
            for block in stride(from: 0, to: plane, by: pixelBlock) {
                for c in 0..<channels {
                    for pixel in block..<min(block + pixelBlock, plane) {
                        let index = (n * channels + c) * plane + pixel
                        let value = dst[n * channels * plane + steps.offset(channel: c, pixel: pixel)]
                        let expected = inputs.answer.values[index]
                        if value.bitPattern == Arena.unwrittenPattern {
                            skipped = (min(skipped?.index ?? index, index), (skipped?.count ?? 0) + 1)
                            continue
                        }
                        let error = abs(Double(value) - expected)
                        let tolerance = ErrorBound.tolerance(
                            last, value: expected, magnitude: inputs.answer.magnitudes[index], normwise: normwise,
                            exactSum: inputs.exact)
                        if error <= tolerance {
                            worst = max(worst, error)
                        } else {  // also when not a number
                            let count = (wrong?.count ?? 0) + 1
                            if wrong == nil || index < wrong!.index { wrong = (index, count, value, expected, tolerance) }
                            wrong!.count = count
                        }
                    }
                }
            }
        }
        func position(_ i: Int) -> [Int] { [i / plane / channels, i / plane % channels, i % plane / p.ow, i % p.ow] }
        if let skipped { throw .skipped(index: position(skipped.index), count: skipped.count) }
        if let wrong {
            throw .wrong(
                index: position(wrong.index), expected: wrong.expected, found: wrong.value, tolerance: wrong.tolerance,
                count: wrong.count, exact: inputs.exact)
        }
        return worst
    }

    /// FNV-1a over the words of a region, in four chains: a multiplication takes longer than four loads.
    private func hash(_ region: Arena.Region, count: Int) -> UInt64 {
        let words = arena.pointer(region).assumingMemoryBound(to: UInt32.self)
        let prime: UInt64 = 0x100_0000_01B3
        var h: (UInt64, UInt64, UInt64, UInt64) = (0xCBF2_9CE4_8422_2325, 1, 2, 3)
        let whole = count / 4 * 4
        for i in stride(from: 0, to: whole, by: 4) {
            h.0 = (h.0 ^ UInt64(words[i])) &* prime
            h.1 = (h.1 ^ UInt64(words[i + 1])) &* prime
            h.2 = (h.2 ^ UInt64(words[i + 2])) &* prime
            h.3 = (h.3 ^ UInt64(words[i + 3])) &* prime
        }
        for i in whole..<count { h.0 = (h.0 ^ UInt64(words[i])) &* prime }
        return [h.1, h.2, h.3].reduce(h.0) { ($0 ^ $1) &* prime }
    }
}

extension Candidate {
    /// Plans for the arena's weights, bias, packed and scratch regions.
    public func plan(_ p: Problem, arena: Arena, pool: ThreadPool) -> Kernel.Plan {
        kernel.plan(
            p, configuration,
            Kernel.PlanInputs(
                weights: arena.floats(.weights), bias: p.bias ? UnsafePointer(arena.floats(.bias)) : nil,
                packed: arena.pointer(.packed), scratch: arena.pointer(.scratch), pool: pool))
    }
}
