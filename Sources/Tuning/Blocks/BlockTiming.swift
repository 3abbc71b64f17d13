import BlockRuntime
import ConvCore
import Harness

/// Times whole blocks on the same input and output, in turn, so that drift hits all alike.
package struct BlockTiming {
    package let input: UnsafePointer<Float>
    package let output: UnsafeMutablePointer<Float>
    package var seed: UInt64
    /// Of the threads that the blocks run on.
    let watch: DisturbanceWatch

    /// The buffers must fit every block that is timed.
    package init(
        input: UnsafePointer<Float>, output: UnsafeMutablePointer<Float>, watch: DisturbanceWatch, seed: UInt64 = 1
    ) {
        self.input = input
        self.output = output
        self.watch = watch
        self.seed = seed
    }

    /// One run. A block takes long enough for the clock.
    package func run(_ block: PlannedBlock, round: Int) -> Sample {
        if watch.waitForCores() { block.run(input, output) }
        let before = watch.snapshot()
        let start = Clock.now()
        block.run(input, output)
        let ns = Double(Clock.now() - start)
        return watch.sample(round: round, ns: ns, runs: 1, from: before, to: watch.snapshot())
    }

    /// Single runs, by block: `runs` shuffled rounds behind one that is not counted.
    package func samples(_ blocks: [PlannedBlock], runs: Int) -> [[Sample]] {
        var result = [[Sample]](repeating: [], count: blocks.count)
        var random = RandomSource(seed: seed)
        for round in 0...runs {
            for index in blocks.indices.shuffled(using: &random) {
                // Once untimed: the others have emptied the caches of what this one keeps there.
                if blocks.count > 1 { blocks[index].run(input, output) }
                let sample = run(blocks[index], round: round)
                if round > 0 { result[index].append(sample) }
            }
        }
        return result
    }

    /// Nanoseconds of each of the blocks' ``PlannedBlock/parts`` as they follow each other in a run, by block and part: the
    /// caches are in the state in which the neighbours leave them. A part in a lane has what its own thread took.
    package func parts(of blocks: [PlannedBlock], runs: Int) -> [[[Double]]] {
        var result = blocks.map { [[Double]](repeating: [], count: $0.parts.count) }
        // Threads tell of their own parts at once: each writes what no other does.
        let taken = UnsafeMutableBufferPointer<Double>.allocate(capacity: result.map(\.count).max() ?? 0)
        // When each thread was last done with something.
        let last = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: blocks.map(\.threads).max() ?? 0)
        defer {
            taken.deallocate()
            last.deallocate()
        }
        var random = RandomSource(seed: seed)
        for round in 0...runs {
            for index in blocks.indices.shuffled(using: &random) {
                let block = blocks[index]
                if blocks.count > 1 { block.run(input, output) }
                if watch.waitForCores() { block.run(input, output) }
                taken.update(repeating: 0)
                last.update(repeating: Clock.now())
                block.run(input, output) { part, thread in
                    let now = Clock.now()
                    if let thread {
                        taken[part] += Double(now - last[thread])
                        last[thread] = now
                    } else {
                        taken[part] += Double(now - last.max()!)
                        last.update(repeating: now)
                    }
                }
                if round > 0 { for part in result[index].indices { result[index][part].append(taken[part]) } }
            }
        }
        return result
    }
}
