extension Problem {
    /// Whether both axes fall into dense phases: outputs that share inputs lie one place apart, see ``Axis/phaseStride``.
    public var hasDensePhases: Bool { rows.phaseStride == 1 && columns.phaseStride == 1 }
}

extension Axis {
    /// Outputs from one to the next that shares its inputs: a dilated axis is that many interleaved dense ones.
    public var phaseStep: Int { kernel == 1 ? 1 : dilation / Self.greatestDivisor(stride, dilation) }

    /// Places of a phase, see ``PhaseTile``, from one of its outputs to the next: the dense axis's own stride. 1 where the stride
    /// divides the dilation, or there is a single tap.
    public var phaseStride: Int { kernel == 1 ? 1 : stride / Self.greatestDivisor(stride, dilation) }

    /// Inputs from one place of a phase to the next.
    public var placeStep: Int { kernel == 1 ? stride : dilation }

    private static func greatestDivisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : greatestDivisor(b, a % b) }

    /// Outputs of the longest phase.
    public var longestPhase: Int { (output + phaseStep - 1) / phaseStep }

    /// How many phases, from the first on, have as many; the others have one fewer.
    public var longestPhases: Int { (output - 1) % phaseStep + 1 }

    /// The outputs of every phase cut into tiles of at most `most`, as equal as can be: phase by phase, each from its first
    /// output on. A tile's outputs lie ``phaseStep`` apart, its inputs ``placeStep``.
    public func phaseTiles(most: Int) -> [PhaseTile] { phaseTiles(most: most, of: self) }

    /// The same of an axis that holds a part of the taps of `whole`, whose phases these are.
    private func phaseTiles(most: Int, of whole: Axis) -> [PhaseTile] {
        let step = whole.phaseStep
        var result: [PhaseTile] = []
        for phase in 0..<min(step, output) {
            let outputs = (output - phase + step - 1) / step
            let parts = (outputs + most - 1) / most
            for part in 0..<parts {
                let first = outputs * part / parts
                let count = outputs * (part + 1) / parts - first
                result.append(phaseTile(first: phase + first * step, count: count, of: whole))
            }
        }
        return result
    }

    /// Every tile, in the parts of the taps that it meets, in their order: a kernel with more taps than have `room` in registers is taken in
    /// parts of widths that `isWidth` accepts (1 among them). A part that meets nothing but padding is left out.
    public func partTiles(most: Int, room: Int, isWidth: (Int) -> Bool) -> [[PartTile]] {
        let parts = parts(room: room, isWidth: isWidth)
        let tiles = parts.map { part in
            Axis(
                input: input, output: output, kernel: part.count, stride: stride, dilation: dilation,
                pad: pad - part.lowerBound * dilation
            ).phaseTiles(most: most, of: self)
        }
        return tiles[0].indices.map { tile in
            // A tile in the padding, under no tap at all, still takes the bias.
            let live = parts.indices.filter { !tiles[$0][tile].places.isEmpty }
            return (live.isEmpty ? [0] : live).map { part in
                let tile = tiles[part][tile]
                return PartTile(
                    tile: tile, tap: parts[part].lowerBound + tile.taps.lowerBound, resumes: part != live.first ?? 0,
                    finishes: part == live.last ?? 0)
            }
        }
    }

    /// Whether two tiles in their parts differ in nothing but their place.
    public static func areAlike(_ a: [PartTile], _ b: [PartTile]) -> Bool {
        a.count == b.count && zip(a, b).allSatisfy { $0.tap == $1.tap && $0.tile.isAlike($1.tile) }
    }

    /// As few parts as there is room for, as equal as the widths allow.
    private func parts(room: Int, isWidth: (Int) -> Bool) -> [Range<Int>] {
        var result: [Range<Int>] = []
        var first = 0
        while first < kernel {
            let left = kernel - first
            let count = (left + room - 1) / room
            var width = (left + count - 1) / count
            while !isWidth(width) { width -= 1 }
            result.append(first..<first + width)
            first += width
        }
        return result
    }

    /// A tile under a part of the taps.
    public struct PartTile: Sendable, Equatable {
        public let tile: PhaseTile
        /// The whole axis's tap that is the tile's first.
        public let tap: Int
        /// Whether an earlier part has left sums, and whether no later one follows.
        public let resumes, finishes: Bool
    }

    private func phaseTile(first: Int, count: Int, of whole: Axis) -> PhaseTile {
        let (step, spacing) = (whole.phaseStep, whole.placeStep)
        // From the first to the last tap that is live for any output.
        var live: Range<Int>?
        for o in 0..<count {
            let taps = taps(first + o * step)
            guard !taps.isEmpty else { continue }
            live = live.map { min($0.lowerBound, taps.lowerBound)..<max($0.upperBound, taps.upperBound) } ?? taps
        }
        // A tile with no live tap has one tap and no live place.
        var taps = live ?? 0..<1
        if taps.count % 2 == 0, taps.count < kernel {
            taps = taps.lowerBound > 0 ? taps.lowerBound - 1..<taps.upperBound : 0..<taps.upperBound + 1
        }
        let origin = first * stride - pad + taps.lowerBound * dilation
        let places = whole.phaseStride * (count - 1) + taps.count
        let firstLive = origin >= 0 ? 0 : min(places, (-origin + spacing - 1) / spacing)
        let lastLive = input > origin ? min(places, (input - origin + spacing - 1) / spacing) : 0
        return PhaseTile(
            first: first, count: count, stride: whole.phaseStride, taps: taps, origin: origin,
            places: live == nil || lastLive < firstLive ? 0..<0 : firstLive..<lastLive)
    }

    /// Outputs of one phase and the dense window of inputs under them: output `first + t·phaseStep` meets tap
    /// `taps.lowerBound + k` at place `t·stride + k`.
    public struct PhaseTile: Sendable, Equatable {
        public let first, count: Int
        /// ``Axis/phaseStride``
        public let stride: Int
        /// The taps of the window: all of the kernel's or an odd number, so that few widths have to be compiled. One that is
        /// there for this reason alone meets no place in the image.
        public let taps: Range<Int>
        /// The input at place 0; may lie in the padding.
        public let origin: Int
        /// The places that lie in the image.
        public let places: Range<Int>

        /// Whether the two differ in nothing but their place.
        public func isAlike(_ other: PhaseTile) -> Bool { count == other.count && taps == other.taps && places == other.places }

        /// How far apart an output and an input that it meets can be, where the tile is a whole phase: as many inputs
        /// as outputs, at the same places. nil elsewhere. Kept, since kernels ask with every tile.
        public let wholePhaseRadius: Int?

        init(first: Int, count: Int, stride: Int, taps: Range<Int>, origin: Int, places: Range<Int>) {
            (self.first, self.count, self.stride, self.taps, self.origin, self.places) = (first, count, stride, taps, origin, places)
            let radius = taps.count / 2
            wholePhaseRadius = stride == 1 && taps.count % 2 == 1 && places == radius..<(radius + count) ? radius : nil
        }
    }
}
