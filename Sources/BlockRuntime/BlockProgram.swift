import ConvCore

/// The stages of a block as a list of steps over maps: which map each kernel reads and writes, and the conversions
/// between layouts that lie between them.
///
/// The concatenation is never made by copying where that can be helped: its map exists from the start, and a kernel that
/// can (``Kernel/stridesDst``, or NCHW with a single image) writes its slice at once.
struct BlockProgram {
    /// A map in memory; `input` and `output` are the caller's.
    enum Place: Equatable {
        case input, output
        case map(Int)
    }

    struct Step {
        enum Work {
            /// The stage of this number.
            case stage(Int)
            case convert(MapView, MapView)
        }

        let work: Work
        let from, to: Place
        /// In floats, into `from` and `to`.
        var fromOffset = 0
        var toOffset = 0
        /// Floats from one pixel of `to` to the next, where that is a slice.
        var dstStep: Int?
    }

    private(set) var steps: [Step] = []
    /// When each map is written and last read, as step numbers.
    private(set) var lives: [MapMemory.Life] = []
    /// Where the last unit of a stage is found after its steps: by stage.
    private(set) var results: [(place: Place, offset: Int, view: MapView)] = []

    private let units: [BlockUnit]
    private let batch, pixels: Int
    /// The layouts that a source is there in: the block's input is `nil`.
    private var available: [Key: (place: Place, channels: Int)] = [:]
    private struct Key: Hashable {
        /// −1 is the block's input, −2 the concatenation.
        let source: Int
        let layout: Layout
    }

    /// `input` and `output` are the layouts in which the caller holds the block's ends.
    /// `problems` are those of each stage.
    init(_ stages: [BlockStage], problems: [[Problem]], units: [BlockUnit], size: BlockSize, input: Layout, output: Layout) {
        self.units = units
        batch = size.batch
        pixels = size.height * size.width
        available[Key(source: -1, layout: input)] = (.input, units.first { $0.inputs.contains(.block) }?.ic ?? 0)
        // The map of the concatenation, and the channel at which each unit that ends there begins.
        var slices: [Int: Int] = [:]
        var concatenation: (place: Place, layout: Layout, channels: Int)?
        if let reader = stages.first(where: { units[$0.units.lowerBound].inputs.count > 1 }) {
            let unit = units[reader.units.lowerBound]
            var channel = 0
            for case .unit(let source) in unit.inputs {
                slices[source] = channel
                channel += units[source].oc
            }
            precondition(channel == unit.ic, "a concatenation of units only")
            concatenation = (newMap(channels: unit.ic), reader.kernel.layout, unit.ic)
        }
        for (index, stage) in stages.enumerated() {
            let first = units[stage.units.lowerBound]
            let last = units[stage.units.upperBound - 1]
            let layout = stage.kernel.layout
            let origin: Int =
                switch first.inputs[0] {
                case _ where first.inputs.count > 1: -2
                case .block: -1
                case .unit(let unit): unit
                }
            if origin == -2, let concatenation {
                available[Key(source: -2, layout: concatenation.layout)] = (concatenation.place, concatenation.channels)
            }
            let from = place(of: origin, in: layout)
            // The concatenation has one reader, which may overwrite it; any other map may have more.
            let inPlace = origin == -2 && stage.kernel.runsInPlace(problems[index])
            let whole = MapView(layout, channels: last.oc, of: last.oc, batch: batch, pixels: pixels)
            let isEnd = index == stages.count - 1
            if let channel = slices[stage.units.upperBound - 1], let concatenation {
                let slice = MapView(
                    concatenation.layout, channels: last.oc, of: concatenation.channels, batch: batch, pixels: pixels)
                let offset = slice.offset(channel: channel)
                if layout == concatenation.layout, layout == .nchw ? batch == 1 : stage.kernel.stridesDst {
                    add(Step(
                        work: .stage(index), from: from, to: concatenation.place, toOffset: offset,
                        dstStep: layout == .nhwc ? concatenation.channels : nil))
                } else {
                    let own = newMap(channels: last.oc)
                    add(Step(work: .stage(index), from: from, to: own))
                    add(Step(work: .convert(whole, slice), from: own, to: concatenation.place, toOffset: offset))
                }
                results.append((concatenation.place, offset, slice))
            } else if isEnd, layout == output {
                add(Step(work: .stage(index), from: from, to: .output))
                results.append((.output, 0, whole))
            } else {
                let own = inPlace ? from : newMap(channels: last.oc)
                add(Step(work: .stage(index), from: from, to: own))
                results.append((own, 0, whole))
                available[Key(source: stage.units.upperBound - 1, layout: layout)] = (own, last.oc)
                if isEnd {
                    let target = MapView(output, channels: last.oc, of: last.oc, batch: batch, pixels: pixels)
                    add(Step(work: .convert(whole, target), from: own, to: .output))
                }
            }
        }
    }

    /// The place where a source lies in a layout; converts it when it is there only in the other.
    private mutating func place(of source: Int, in layout: Layout) -> Place {
        if let there = available[Key(source: source, layout: layout)] { return there.place }
        let other: Layout = layout == .nchw ? .nhwc : .nchw
        guard let there = available[Key(source: source, layout: other)] else {
            preconditionFailure("a stage reads \(source) before it is made")
        }
        let made = newMap(channels: there.channels)
        func view(_ layout: Layout) -> MapView {
            MapView(layout, channels: there.channels, of: there.channels, batch: batch, pixels: pixels)
        }
        add(Step(work: .convert(view(other), view(layout)), from: there.place, to: made))
        available[Key(source: source, layout: layout)] = (made, there.channels)
        return made
    }

    private mutating func newMap(channels: Int) -> Place {
        lives.append(.init(bytes: 4 * channels * batch * pixels, first: Int.max, last: -1))
        return .map(lives.count - 1)
    }

    private mutating func add(_ step: Step) {
        for case .map(let map) in [step.from, step.to] {
            lives[map].first = min(lives[map].first, steps.count)
            lives[map].last = max(lives[map].last, steps.count)
        }
        steps.append(step)
    }
}
