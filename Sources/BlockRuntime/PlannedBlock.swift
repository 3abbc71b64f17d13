import ConvCore
import ThreadPool

/// A block that is ready to run: weights packed, every map and scratch buffer in place. Running allocates nothing.
///
/// One run at a time: the maps are shared between runs.
public final class PlannedBlock {
    package let units: [BlockUnit]
    package let stages: [BlockStage]
    package let size: BlockSize
    /// Channels of the output, `[batch][cout][height][width]`.
    public let cout: Int
    public let memory: Memory
    /// Of the stages that run in bands of rows; nil where none does.
    package var bandRows: Int? { bands?.rows }
    /// Of each of ``parts``, the thread that alone takes it, beside the lanes of others; nil for what threads share.
    package var lanes: [Int?] { program.steps.map(\.lane) }
    package var threads: Int { pool.threads }
    /// Whether threads have stages or bands of their own.
    package var hasBandsOrLanes: Bool { bands != nil || !program.laned.isEmpty }
    private let bands: Bands?
    /// Of what ``run`` writes.
    let outputLayout: Layout

    /// Bytes that a planned block holds, its input and output not counted.
    public struct Memory: Sendable, Equatable {
        /// Feature maps between the units, those that are not alive together in the same place.
        public var maps = 0
        /// What the kernels' scratch adds to that: it lies where no map is alive while its kernel runs.
        public var scratch = 0
        /// Packed weights, biases, and the weights of kernels that do not pack.
        public var weights = 0
        public var total: Int { maps + scratch + weights }
        /// Whether maps and scratch stay within so many bytes.
        package func fits(_ bound: Int) -> Bool { maps + scratch <= bound }
    }

    private let program: BlockProgram
    let pool: ThreadPool
    /// Maps and scratch.
    private let arena: AlignedMemory
    private let offsets: [Int]
    /// Kept alive for the plans.
    private let held: [AlignedMemory]
    /// By stage: one for all threads, or one for the thread whose lane it is in, or one for every thread, which then has bands of its own.
    private let plans: [[Kernel.Plan]]
    /// Of one thread each.
    private let alone: [ThreadPool]
    /// By stage: whether it computes another in its epilogue, so that its own values are nowhere.
    let isFollowed: [Bool]

    /// Plans `stages`, which must cover all units in order. `input` and `output` are the layouts of what ``run`` is given. Without
    /// `epilogues` units that are computed in others' are not computed at all, and what makes their input shows.
    /// Throws ``BlockError`` where the size does not fit, ``PlanError`` where a kernel cannot run its unit.
    package init(
        _ parameters: BlockParameters, size: BlockSize, stages: [BlockStage], pool: ThreadPool,
        input: Layout = .nchw, output: Layout = .nchw, epilogues: Bool = true
    ) throws {
        guard size.cin == parameters.cin else {
            throw BlockError.contradictoryWidth("cin", given: size.cin, own: parameters.cin)
        }
        MapConversion.prepare()
        let units = parameters.units.map(\.unit)
        let place = try BlockArrangement(
            stages, units: units, size: size, threads: pool.threads, input: input, output: output)
        self.units = units
        self.stages = stages
        self.size = size
        self.pool = pool
        cout = units.last!.oc
        program = place.program
        offsets = place.offsets
        let arena = AlignedMemory(bytes: place.bytes)
        self.arena = arena
        var held: [AlignedMemory] = []
        func hold(bytes: Int) -> AlignedMemory {
            held.append(AlignedMemory(bytes: bytes))
            return held.last!
        }
        func holdCopy(of values: [Float], padding: Int = 0) -> UnsafePointer<Float> {
            let memory = hold(bytes: 4 * (values.count + padding))
            memory.floats.update(from: values, count: values.count)
            (memory.floats + values.count).update(repeating: 0, count: padding)
            return UnsafePointer(memory.floats)
        }
        var plans: [[Kernel.Plan]] = []
        let bands = stages.bands(at: size, threads: pool.threads)
        let lanes = program.steps.compactMap(\.lane).max().map { $0 + 1 } ?? 0
        let alone = (0..<max(bands?.workers ?? 0, lanes)).map { _ in ThreadPool(threads: 1) }
        var steps: [Int: BlockProgram.Step] = [:]
        for step in program.steps { if case .stage(let index) = step.work { steps[index] = step } }
        let followers = epilogues ? stages.followers(of: units) : stages.map { _ in nil }
        var following: [Int: Kernel.Following] = [:]
        for index in Set(followers.compactMap { $0?.stage }) {
            let folded = parameters.units[stages[index].units.lowerBound]
            let padding = Kernel.Following.padding
            following[index] = Kernel.Following(
                factors: holdCopy(of: folded.weights, padding: padding), bias: holdCopy(of: folded.bias, padding: padding),
                activation: folded.unit.activation)
        }
        for (index, (stage, need)) in zip(stages, place.needs).enumerated() {
            // The values of an epilogue are those of what it follows.
            let folded = stage.kernel.isEpilogue ? [] : parameters.units[stage.units]
            var temporary: [AlignedMemory] = []
            let weights = folded.map { unit in
                guard need.packed > 0 else { return holdCopy(of: unit.weights) }
                let memory = AlignedMemory(floats: unit.weights.count)
                temporary.append(memory)
                memory.floats.update(from: unit.weights, count: unit.weights.count)
                return UnsafePointer(memory.floats)
            }
            let bias = folded.map { holdCopy(of: $0.bias) }
            let packed = hold(bytes: need.packed)
            // Those of a stage in bands pack the same.
            let pools = stage.band != nil ? alone : [steps[index]!.lane.map { alone[$0] } ?? pool]
            plans.append(
                withExtendedLifetime(temporary) {
                    pools.enumerated().map { thread, pool in
                        stage.kernel.plan(
                            place.problems[index], weights: weights, bias: bias, packed: packed.start,
                            scratch: arena.start + place.scratch[index] + thread * (need.scratch / pools.count), pool: pool,
                            dstStep: steps[index]!.dstStep, srcIsPart: steps[index]!.fromAdvance.pixel > 0,
                            srcChannelStep: steps[index]!.srcChannelStep, dstChannelStep: steps[index]!.dstChannelStep,
                            following: followers[index].map { following[$0.stage]!.from(channel: $0.channel) })
                    }
                })
        }
        self.held = held
        self.plans = plans
        self.alone = alone
        isFollowed = followers.map { $0 != nil }
        memory = place.memory
        outputLayout = output
        self.bands = bands
    }

    /// What a block of these stages would hold, and nothing is taken. Throws what ``init`` throws.
    package static func memory(
        of stages: [BlockStage], units: [BlockUnit], size: BlockSize, threads: Int, input: Layout = .nchw, output: Layout = .nchw
    ) throws -> Memory {
        try BlockArrangement(stages, units: units, size: size, threads: threads, input: input, output: output).memory
    }

    /// The same, and which of the stages that may be exchanged should give up its scratch where maps and scratch pass `bound`: the one that
    /// has the most of those that run while more than that is alive, or of all where it is gaps between maps that take too much. nil where
    /// none has any.
    package static func memory(
        of stages: [BlockStage], units: [BlockUnit], size: BlockSize, threads: Int, input: Layout = .nchw, output: Layout = .nchw,
        bound: Int, exchangeable: (BlockStage) -> Bool = { _ in true }
    ) throws -> (memory: Memory, greedy: Int?) {
        let place = try BlockArrangement(stages, units: units, size: size, threads: threads, input: input, output: output)
        let able = stages.indices.filter { place.needs[$0].scratch > 0 && exchangeable(stages[$0]) }
        let beyond = able.filter { place.alive[$0] > bound }
        return (place.memory, (beyond.isEmpty ? able : beyond).max { place.needs[$0].scratch < place.needs[$1].scratch })
    }

    /// Reads `[batch][cin][height][width]` and writes `[batch][cout][height][width]`, in the layouts that were planned; the two may not
    /// overlap.
    public func run(_ input: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>) {
        run(input, output, finished: { _, _ in })
    }

    /// The same, and says which of ``parts`` is done, and by which thread alone; nil where all threads are done with it. Each thread tells
    /// of its lane. Of parts in bands the last thread that has some, which has the most, tells of every band of its own, and all of the
    /// last part once more.
    package func run(
        _ input: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>, finished: (_ part: Int, _ thread: Int?) -> Void
    ) {
        func runShared(_ steps: Range<Int>) {
            for index in steps {
                runStep(index, Band(), input, output)
                finished(index, nil)
            }
        }
        let laned = program.laned
        runShared(0..<laned.lowerBound)
        if !laned.isEmpty {
            pool.run { thread in
                for index in laned where program.steps[index].lane == thread {
                    runStep(index, Band(), input, output)
                    finished(index, thread)
                }
            }
        }
        runShared(laned.upperBound..<program.banded.lowerBound)
        guard let bands, let last = program.banded.last else { return }
        pool.run { thread in
            guard thread < bands.workers else { return }
            for number in bands.share(of: thread) {
                let band = band(number, of: bands, thread: thread)
                for index in program.banded {
                    runStep(index, band, input, output)
                    if thread == bands.workers - 1 { finished(index, thread) }
                }
            }
        }
        finished(last, nil)
    }

    /// The same, one band after the other, with the output of every stage's last unit, where there is such a map, handed to `observe` as
    /// NCHW.
    package func run(
        _ input: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>,
        observing observe: (_ unit: Int, _ values: UnsafeBufferPointer<Float>) -> Void
    ) {
        let pixels = size.height * size.width
        var banded: [Int: AlignedMemory] = [:]
        func run(_ index: Int, _ band: Band) {
            runStep(index, band, input, output)
            // A stage's result is where it belongs after its last step.
            guard let stage = stageEnd(index, program.steps[index]), !isFollowed[stage] else { return }
            let (place, offset, view) = program.results[stage]!
            let unit = stages[stage].units.upperBound - 1
            let count = view.channels * size.batch * pixels
            let copy = banded[unit] ?? AlignedMemory(floats: count)
            let isBand = stages[stage].band != nil
            let advance = place == .output ? program.steps[index].toAdvance : .init()
            MapConversion.run(
                address(place, band.thread, input, output) + offset + band.image * advance.image + band.pixel * advance.pixel, view,
                to: copy.floats + band.image * view.channels * pixels + band.pixel,
                isBand
                    ? MapView(.nchw, channels: view.channels, pixels: view.pixels, ofPixels: pixels)
                    : MapView(.nchw, channels: view.channels, of: view.channels, batch: size.batch, pixels: pixels),
                pool: pool)
            if isBand { banded[unit] = copy } else { observe(unit, UnsafeBufferPointer(start: copy.floats, count: count)) }
        }
        for index in 0..<program.banded.lowerBound { run(index, Band()) }
        if let bands {
            for number in 0..<bands.count { for index in program.banded { run(index, band(number, of: bands, thread: 0)) } }
        }
        for (unit, copy) in banded.sorted(by: { $0.key < $1.key }) {
            observe(unit, UnsafeBufferPointer(start: copy.floats, count: size.batch * units[unit].oc * pixels))
        }
    }

    /// An output of this block as `[batch][cout][height][width]`.
    func outputAsNCHW(_ output: UnsafePointer<Float>) -> [Float] {
        let copy = AlignedMemory(floats: outputCount)
        Layout.convert(
            output, from: outputLayout, to: copy.floats, as: .nchw, batch: size.batch, channels: cout, pixels: size.height * size.width)
        return Array(copy.floatBuffer)
    }

    /// Where a band begins, and the thread that computes it.
    private struct Band {
        var image = 0
        var pixel = 0
        var thread = 0
    }

    private func band(_ number: Int, of bands: Bands, thread: Int) -> Band {
        let (image, row) = bands.place(of: number)
        return Band(image: image, pixel: row * size.width, thread: thread)
    }

    /// What a run spends its time on: the stages and the conversions between them, in order.
    package enum Part: Sendable {
        case stage(BlockStage)
        /// Bytes read and written by a copy between layouts or into the concatenation; in bands by the thread that tells of it.
        case conversion(bytes: Int)
    }

    /// The time of a run in which the parts took so long: of the lanes the longest.
    package func total(of times: [Double]) -> Double { shares(of: times).reduce(0, +) }

    /// The part of a run that each of the parts stands for: what it took, and of those in lanes, which run at once, so much less that all of
    /// them together are the longest lane.
    package func shares(of times: [Double]) -> [Double] {
        var sums: [Int: Double] = [:]
        for (time, lane) in zip(times, lanes) { if let lane { sums[lane, default: 0] += time } }
        let all = sums.values.reduce(0, +)
        let scale = all > 0 ? sums.values.max()! / all : 1
        return zip(times, lanes).map { $1 == nil ? $0 : $0 * scale }
    }

    package var parts: [Part] {
        let told = bands.map { $0.share(of: $0.workers - 1).count } ?? 1
        return program.steps.indices.map { index in
            switch program.steps[index].work {
            case .stage(let stage): .stage(stages[stage])
            case .convert(let view, _):
                .conversion(bytes: 8 * view.channels * view.batch * view.pixels * (program.banded.contains(index) ? told : 1))
            }
        }
    }

    /// What a stage overwrites while it runs.
    package func scratchBytes(of stage: BlockStage) -> Int {
        try! stage.memory(units, at: size, threads: pool.threads).scratch
    }

    private func stageEnd(_ index: Int, _ step: BlockProgram.Step) -> Int? {
        let result: Int
        switch step.work {
        case .stage(let stage): result = stage
        case .convert:
            // A copy into the concatenation ends the stage before it.
            guard index > 0, case .stage(let stage) = program.steps[index - 1].work,
                program.results[stage]!.place == step.to, program.results[stage]!.place != program.steps[index - 1].to
            else { return nil }
            return stage
        }
        return program.results[result]!.place == step.to ? result : nil
    }

    @inline(__always)
    private func runStep(_ index: Int, _ band: Band, _ input: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>) {
        let step = program.steps[index]
        func offset(_ first: Int, _ advance: BlockProgram.Advance) -> Int { first + band.image * advance.image + band.pixel * advance.pixel }
        let from = address(step.from, band.thread, input, output) + offset(step.fromOffset, step.fromAdvance)
        let to = UnsafeMutablePointer(mutating: address(step.to, band.thread, input, output)) + offset(step.toOffset, step.toAdvance)
        switch step.work {
        case .stage(let stage): plans[stage][band.thread].run(from, to)
        case .convert(let source, let target):
            MapConversion.run(from, source, to: to, target, pool: program.banded.contains(index) ? alone[band.thread] : step.lane.map { alone[$0] } ?? pool)
        }
    }

    private func address(
        _ place: BlockProgram.Place, _ thread: Int, _ input: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>
    ) -> UnsafePointer<Float> {
        switch place {
        case .input: input
        case .output: UnsafePointer(output)
        case .map(let index): UnsafePointer((arena.start + offsets[index] + thread * program.bandBytes[index]).assumingMemoryBound(to: Float.self))
        }
    }
}
