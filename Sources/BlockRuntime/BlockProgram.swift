import ConvCore

/// The stages of a block as a list of steps over maps: which map each kernel reads and writes, and the conversions
/// between layouts that lie between them.
///
/// First comes what leads from the block's input to the concatenation by itself (residual): when the branches run, a copy of the input is
/// then alive no longer, and there is room for their scratch.
///
/// Threads share a step by tiles, or have lanes (``BlockStage/lane``) or bands (``BlockStage/band``) of their own. All that they share
/// before the concatenation is read comes before the lanes, so that threads wait for each other once.
///
/// The concatenation is never made by copying where that can be helped: its map exists from the start, and a kernel that
/// can (``Kernel/stridesDst``, or NCHW and blocks of channels with a single image) writes its slice at once.
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
        /// The thread that takes it, beside the lanes of others; nil where all share it.
        var lane: Int?
        /// In floats, into `from` and `to`.
        var fromOffset = 0
        var toOffset = 0
        /// Floats from one pixel of `to` to the next, where that is a slice.
        var dstStep: Int?
        /// Floats from one channel of `from` to the next, where a band of planes is read.
        var srcChannelStep: Int?
        /// The same of `to`.
        var dstChannelStep: Int?
        /// To where another band lies in `from` and `to`.
        var fromAdvance = Advance()
        var toAdvance = Advance()
    }

    /// Floats from one pixel of the block, or one image, to the next; none in a map that holds a single band.
    struct Advance {
        var pixel = 0
        var image = 0
    }

    private(set) var steps: [Step] = []
    /// The steps that are repeated for every band, always the last ones; empty where no stage has a band.
    private(set) var banded = 0..<0
    /// The steps that are in lanes, one lane after the other; empty where no stage is.
    private(set) var laned = 0..<0
    /// Bytes from one thread's band of a map to the next one's; 0 for a whole map.
    private(set) var bandBytes: [Int] = []
    /// When each map is written and last read, as step numbers.
    private(set) var lives: [MapMemory.Life] = []
    /// Where the last unit of a stage is found after its steps, one band of it where it has one: by stage.
    private(set) var results: [Int: (place: Place, offset: Int, view: MapView)] = [:]

    private let units: [BlockUnit]
    private let batch, pixels, width: Int
    private let bands: Bands?
    /// Of the steps that are being added.
    private var lane: Int?
    /// The layouts that a source is there in, and whether only a band of it is.
    private var available: [Key: (place: Place, channels: Int, isBand: Bool)] = [:]
    private struct Key: Hashable {
        /// −1 is the block's input, −2 the concatenation.
        let source: Int
        let layout: Layout
    }

    /// `input` and `output` are the layouts in which the caller holds the block's ends.
    /// `problems` are those of each stage.
    init(_ stages: [BlockStage], problems: [[Problem]], units: [BlockUnit], size: BlockSize, threads: Int, input: Layout, output: Layout) {
        self.units = units
        batch = size.batch
        pixels = size.height * size.width
        width = size.width
        bands = stages.bands(at: size, threads: threads)
        available[Key(source: -1, layout: input)] = (.input, units.first { $0.inputs.contains(.block) }?.ic ?? 0, false)
        // The map of the concatenation, and the channel at which each unit that ends there begins.
        var slices: [Int: Int] = [:]
        var concatenation: (place: Place, layout: Layout, channels: Int)?
        let reader = stages.concatenationReader(of: units) ?? stages.count
        if reader < stages.count {
            let stage = stages[reader]
            let channels = units[stage.units.lowerBound].ic
            let parts = units.slices(of: stage.units.lowerBound)
            precondition(parts.reduce(0) { $0 + units[$1.source].oc } == channels, "a concatenation of units only")
            for (source, channel) in parts { slices[source] = channel }
            concatenation = (newMap(channels: channels, stage), stage.kernel.srcLayout, channels)
        }
        let aside = units.leadingToTheConcatenationAlone
        /// When a stage has its turn: the bands begin when all else is done.
        func turn(_ index: Int) -> Int {
            let stage = stages[index]
            if stage.band != nil { return 4 }
            if stage.lane != nil { return 2 }
            return index >= reader ? 3 : aside.contains(stage.units.lowerBound) ? 0 : 1
        }
        var (lanesStart, lanesEnd, bandsStart): (Int?, Int?, Int?) = (nil, nil, nil)
        func order(_ index: Int) -> (Int, Int, Int) { (turn(index), stages[index].lane.map { $0 % threads } ?? 0, index) }
        for index in stages.indices.sorted(by: { order($0) < order($1) }) {
            let stage = stages[index]
            let first = units[stage.units.lowerBound]
            if stage.band != nil && bandsStart == nil || stage.lane != nil && lanesStart == nil {
                // Threads read at once what is turned over here.
                for other in stages.indices where turn(other) == turn(index) {
                    let source = source(of: units[stages[other].units.lowerBound])
                    if isMade(source) { _ = place(of: source, in: stages[other].kernel.srcLayout) }
                }
                if stage.band != nil { bandsStart = steps.count } else { lanesStart = steps.count }
            }
            if stage.lane == nil, lanesStart != nil, lanesEnd == nil { lanesEnd = steps.count }
            lane = stage.lane.map { $0 % threads }
            let last = units[stage.units.upperBound - 1]
            let (layout, srcLayout) = (stage.kernel.layout, stage.kernel.srcLayout)
            let origin = source(of: first)
            if origin == -2, let concatenation {
                available[Key(source: -2, layout: concatenation.layout)] = (concatenation.place, concatenation.channels, stage.band != nil)
            }
            let from = place(of: origin, in: srcLayout)
            let source = available[Key(source: origin, layout: srcLayout)]!
            let srcSteps = srcLayout.steps(channels: source.channels, pixels: pixels)
            let isPart = stage.band != nil && !source.isBand
            let fromAdvance = isPart ? Advance(pixel: srcSteps.pixel, image: source.channels * pixels) : Advance()
            let srcChannelStep = isPart && srcLayout == .nchw ? srcSteps.channel : nil
            // The concatenation has one reader, which may overwrite it; any other map may have more.
            let inPlace = stage.kernel.isEpilogue || origin == -2 && stage.kernel.runsInPlace(problems[index])
            let extent = extent(stage)
            let whole = MapView(layout, channels: last.oc, of: last.oc, batch: extent.batch, pixels: extent.pixels)
            let isEnd = index == stages.count - 1
            if let channel = slices[stage.units.upperBound - 1], let concatenation {
                let slice = MapView(
                    concatenation.layout, channels: last.oc, of: concatenation.channels, batch: extent.batch, pixels: extent.pixels)
                let offset = slice.offset(channel: channel)
                if layout == concatenation.layout, layout == .nhwc ? stage.kernel.stridesDst : batch == 1 {
                    add(Step(
                        work: .stage(index), from: from, to: concatenation.place, toOffset: offset,
                        dstStep: layout == .nhwc ? concatenation.channels : nil, srcChannelStep: srcChannelStep, fromAdvance: fromAdvance))
                } else {
                    let own = newMap(channels: last.oc, stage)
                    add(Step(work: .stage(index), from: from, to: own))
                    add(Step(work: .convert(whole, slice), from: own, to: concatenation.place, toOffset: offset))
                }
                results[index] = (concatenation.place, offset, slice)
            } else if isEnd, layout == output {
                let view = stage.band == nil ? whole : MapView(output, channels: last.oc, pixels: extent.pixels, ofPixels: pixels)
                let toAdvance = stage.band == nil ? Advance() : Advance(pixel: view.steps.pixel, image: last.oc * pixels)
                add(Step(
                    work: .stage(index), from: from, to: .output, srcChannelStep: srcChannelStep,
                    dstChannelStep: stage.band != nil && output == .nchw ? pixels : nil, fromAdvance: fromAdvance, toAdvance: toAdvance))
                results[index] = (.output, 0, view)
            } else {
                let own = inPlace ? from : newMap(channels: last.oc, stage)
                add(Step(work: .stage(index), from: from, to: own, srcChannelStep: srcChannelStep, fromAdvance: fromAdvance))
                results[index] = (own, 0, whole)
                available[Key(source: stage.units.upperBound - 1, layout: layout)] = (own, last.oc, stage.band != nil)
                if isEnd, stage.band != nil {
                    let target = MapView(output, channels: last.oc, pixels: extent.pixels, ofPixels: pixels)
                    add(Step(work: .convert(whole, target), from: own, to: .output, toAdvance: Advance(pixel: target.steps.pixel, image: last.oc * pixels)))
                } else if isEnd {
                    let target = MapView(output, channels: last.oc, of: last.oc, batch: batch, pixels: pixels)
                    add(Step(work: .convert(whole, target), from: own, to: .output))
                }
            }
        }
        banded = (bandsStart ?? steps.count)..<steps.count
        // What the first band reads the last one reads, too; and what one thread has done with another may be writing.
        for map in lives.indices where lives[map].last >= banded.lowerBound {
            lives[map].first = min(lives[map].first, banded.lowerBound)
            lives[map].last = steps.count - 1
        }
        guard let lanesStart, let lanesEnd else { return }
        laned = lanesStart..<lanesEnd
        for map in lives.indices where lives[map].first < lanesEnd && lives[map].last >= lanesStart {
            // Nobody knows how far another lane is: only what one of them writes and reads has a time in it.
            let users = Set(steps.filter { $0.from == .map(map) || $0.to == .map(map) }.map(\.lane))
            if users.count == 1, let lane = users.first! {
                lives[map].lane = lane
            } else {
                lives[map].first = min(lives[map].first, lanesStart)
                lives[map].last = max(lives[map].last, lanesEnd - 1)
            }
        }
    }

    /// What a unit reads, as in ``Key/source``.
    private func source(of unit: BlockUnit) -> Int {
        switch unit.inputs[0] {
        case _ where unit.inputs.count > 1: -2
        case .block: -1
        case .unit(let unit): unit
        }
    }

    private func isMade(_ source: Int) -> Bool { Layout.allCases.contains { available[Key(source: source, layout: $0)] != nil } }

    /// Of the maps that a stage writes.
    private func extent(_ stage: BlockStage?) -> (batch: Int, pixels: Int) { stage?.band.map { (1, $0 * width) } ?? (batch, pixels) }

    /// The place where a source lies in a layout; converts it when it is there only in another.
    private mutating func place(of source: Int, in layout: Layout) -> Place {
        if let there = available[Key(source: source, layout: layout)] { return there.place }
        let other = Layout.allCases.first { available[Key(source: source, layout: $0)] != nil }
        guard let other, let there = available[Key(source: source, layout: other)] else {
            preconditionFailure("a stage reads \(source) before it is made")
        }
        precondition(!there.isBand, "what lies in bands is read as it is")
        let made = newMap(channels: there.channels)
        func view(_ layout: Layout) -> MapView {
            MapView(layout, channels: there.channels, of: there.channels, batch: batch, pixels: pixels)
        }
        add(Step(work: .convert(view(other), view(layout)), from: there.place, to: made))
        available[Key(source: source, layout: layout)] = (made, there.channels, false)
        return made
    }

    /// `stage`: that writes it; nil for a copy of a whole map.
    private mutating func newMap(channels: Int, _ stage: BlockStage? = nil) -> Place {
        let extent = extent(stage)
        let bytes = 4 * channels * extent.batch * extent.pixels
        let workers = stage?.band == nil ? nil : bands?.workers
        bandBytes.append(workers == nil ? 0 : AlignedMemory.rounded(bytes))
        lives.append(.init(bytes: workers.map { $0 * AlignedMemory.rounded(bytes) } ?? bytes, first: Int.max, last: -1))
        return .map(lives.count - 1)
    }

    private mutating func add(_ step: Step) {
        for case .map(let map) in [step.from, step.to] {
            lives[map].first = min(lives[map].first, steps.count)
            lives[map].last = max(lives[map].last, steps.count)
        }
        steps.append(step)
        steps[steps.count - 1].lane = lane
    }
}

extension [BlockUnit] {
    /// The units between the block's input and the concatenation whose maps no two units read: residual, and not compress and what follows.
    fileprivate var leadingToTheConcatenationAlone: Set<Int> {
        var result: Set<Int> = []
        for case .unit(let end) in first(where: { $0.inputs.count > 1 })?.inputs ?? [] {
            let way = wayAlone(to: end)
            if let begin = way.last, self[begin].inputs == [.block] { result.formUnion(way) }
        }
        return result
    }
}
