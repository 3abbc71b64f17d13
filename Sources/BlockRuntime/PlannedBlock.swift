import ConvCore
import ThreadPool

/// A block that is ready to run: weights packed, every map and scratch buffer in place. Running allocates nothing.
///
/// One run at a time: the maps are shared between runs.
public final class PlannedBlock {
    public let units: [BlockUnit]
    public let stages: [BlockStage]
    public let size: BlockSize
    /// Channels of the output, `[batch][cout][height][width]`.
    public let cout: Int
    public let memory: Memory

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
        public func fits(_ bound: Int) -> Bool { maps + scratch <= bound }
    }

    private let program: BlockProgram
    private let pool: ThreadPool
    /// Maps and scratch.
    private let arena: AlignedMemory
    private let offsets: [Int]
    /// Kept alive for the plans.
    private let held: [AlignedMemory]
    private let plans: [Kernel.Plan]

    /// Plans `stages`, which must cover all units in order. `input` and `output` are the layouts of what ``run`` is given.
    /// Throws ``BlockError`` where the size does not fit, ``PlanError`` where a kernel cannot run its unit.
    public init(
        _ parameters: BlockParameters, size: BlockSize, stages: [BlockStage], pool: ThreadPool,
        input: Layout = .nchw, output: Layout = .nchw
    ) throws {
        guard size.cin == parameters.cin else {
            throw BlockError.contradictoryWidth("cin", given: size.cin, own: parameters.cin)
        }
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
        var plans: [Kernel.Plan] = []
        var steps: [Int: BlockProgram.Step] = [:]
        for step in program.steps { if case .stage(let index) = step.work { steps[index] = step } }
        for (index, (stage, need)) in zip(stages, place.needs).enumerated() {
            let folded = parameters.units[stage.units]
            var temporary: [AlignedMemory] = []
            let weights = folded.map { unit in
                let memory = need.packed > 0 ? AlignedMemory(floats: unit.weights.count) : hold(bytes: 4 * unit.weights.count)
                temporary.append(memory)
                memory.floats.update(from: unit.weights, count: unit.weights.count)
                return UnsafePointer(memory.floats)
            }
            let bias = folded.map { unit in
                let memory = hold(bytes: 4 * unit.bias.count)
                memory.floats.update(from: unit.bias, count: unit.bias.count)
                return UnsafePointer(memory.floats)
            }
            let packed = hold(bytes: need.packed)
            plans.append(
                withExtendedLifetime(temporary) {
                    stage.kernel.plan(
                        place.problems[index], weights: weights, bias: bias, packed: packed.start,
                        scratch: arena.start + place.scratch[index], pool: pool, dstStep: steps[index]!.dstStep, srcIsPart: steps[index]!.fromAdvance.pixel > 0)
                })
        }
        self.held = held
        self.plans = plans
        memory = place.memory
    }

    /// What a block of these stages would hold, and nothing is taken. Throws what ``init`` throws.
    public static func memory(
        of stages: [BlockStage], units: [BlockUnit], size: BlockSize, threads: Int, input: Layout = .nchw, output: Layout = .nchw
    ) throws -> Memory {
        try BlockArrangement(stages, units: units, size: size, threads: threads, input: input, output: output).memory
    }

    /// Reads `[batch][cin][height][width]` and writes `[batch][cout][height][width]`, in the layouts that were planned.
    public func run(_ input: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>) {
        run(input, output, finished: { _ in })
    }

    /// The same, and says which of ``parts`` it was at; of those in bands once for every band.
    public func run(
        _ input: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>, finished: (_ part: Int) -> Void
    ) {
        eachStep { index, band in
            runStep(index, band, input, output)
            finished(index)
        }
    }

    /// The same, with the output of every stage's last unit handed to `observe` as NCHW.
    public func run(
        _ input: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>,
        observing observe: (_ unit: Int, _ values: UnsafeBufferPointer<Float>) -> Void
    ) {
        let pixels = size.height * size.width
        var banded: [Int: AlignedMemory] = [:]
        eachStep { index, band in
            runStep(index, band, input, output)
            // A stage's result is where it belongs after its last step.
            guard let stage = stageEnd(index, program.steps[index]) else { return }
            let (place, offset, view) = program.results[stage]!
            let unit = stages[stage].units.upperBound - 1
            let count = view.channels * size.batch * pixels
            let copy = banded[unit] ?? AlignedMemory(floats: count)
            let isBand = stages[stage].band != nil
            let advance = place == .output ? program.steps[index].toAdvance : .init()
            MapConversion.run(
                address(place, input, output) + offset + band.image * advance.image + band.pixel * advance.pixel, view,
                to: copy.floats + band.image * view.channels * pixels + band.pixel,
                isBand
                    ? MapView(planes: view.channels, pixels: view.pixels, of: pixels)
                    : MapView(.nchw, channels: view.channels, of: view.channels, batch: size.batch, pixels: pixels),
                pool: pool)
            if isBand { banded[unit] = copy } else { observe(unit, UnsafeBufferPointer(start: copy.floats, count: count)) }
        }
        for (unit, copy) in banded.sorted(by: { $0.key < $1.key }) {
            observe(unit, UnsafeBufferPointer(start: copy.floats, count: size.batch * units[unit].oc * pixels))
        }
    }

    /// Where a band begins; the last of an image ends with the image, over some rows that the one before it computed already.
    private typealias Band = (image: Int, pixel: Int)

    @inline(__always)
    private func eachStep(_ body: (_ index: Int, _ band: Band) -> Void) {
        for index in 0..<program.banded.lowerBound { body(index, (0, 0)) }
        guard let rows = bandRows else { return }
        for image in 0..<size.batch {
            for top in stride(from: 0, to: size.height, by: rows) {
                let band = (image, min(top, size.height - rows) * size.width)
                for index in program.banded { body(index, band) }
            }
        }
    }

    /// Of the stages that run in bands of rows; nil where none does.
    public var bandRows: Int? { stages.lazy.compactMap(\.band).first }

    /// What a run spends its time on: the stages and the conversions between them, in order.
    public enum Part: Sendable {
        case stage(BlockStage)
        /// Bytes read and written by a copy between layouts or into the concatenation.
        case conversion(bytes: Int)
    }

    public var parts: [Part] {
        program.steps.map { step in
            switch step.work {
            case .stage(let index): .stage(stages[index])
            case .convert(let view, _): .conversion(bytes: 8 * view.channels * view.batch * view.pixels)
            }
        }
    }

    /// What a stage overwrites while it runs.
    public func scratchBytes(of stage: BlockStage) -> Int {
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
        let from = address(step.from, input, output) + offset(step.fromOffset, step.fromAdvance)
        let to = UnsafeMutablePointer(mutating: address(step.to, input, output)) + offset(step.toOffset, step.toAdvance)
        switch step.work {
        case .stage(let stage): plans[stage].run(from, to)
        case .convert(let source, let target): MapConversion.run(from, source, to: to, target, pool: pool)
        }
    }

    private func address(
        _ place: BlockProgram.Place, _ input: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>
    ) -> UnsafePointer<Float> {
        switch place {
        case .input: input
        case .output: UnsafePointer(output)
        case .map(let index): UnsafePointer((arena.start + offsets[index]).assumingMemoryBound(to: Float.self))
        }
    }
}
