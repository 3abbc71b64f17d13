import ConvCore
import ThreadPool

/// The rows of a block's images cut into bands, and which thread computes which.
struct Bands: Sendable {
    /// Rows of each.
    let rows: Int
    /// How many threads have bands.
    let workers: Int
    private let height, images: Int
    /// Lots, of which each goes to one thread: a band, or the last two of an image where they share rows. A kernel may gather its sums
    /// in dst, and what the later band leaves there does not hang on which thread is ahead.
    private let lotsPerImage: Int

    init(of rows: Int, size: BlockSize, threads: Int) {
        self.rows = rows
        height = size.height
        images = size.batch
        lotsPerImage = max(1, height / rows)
        workers = min(threads, images * lotsPerImage)
    }

    private var perImage: Int { (height + rows - 1) / rows }

    /// The bands that a worker computes, one after the other; the last worker has the most.
    func share(of worker: Int) -> Range<Int> {
        func first(_ lot: Int) -> Int { lot / lotsPerImage * perImage + lot % lotsPerImage }
        let lots = ThreadPool.share(of: images * lotsPerImage, index: worker, parts: workers)
        return first(lots.lowerBound)..<first(lots.upperBound)
    }

    /// Of all images.
    var count: Int { images * perImage }

    /// Where a band begins. The last of an image ends with the image, over some rows that the one before it computes as well.
    func place(of number: Int) -> (image: Int, row: Int) {
        let (image, place) = number.quotientAndRemainder(dividingBy: perImage)
        return (image, min(place * rows, height - rows))
    }
}

/// The end of a block in bands: what follows the last depthwise layers hangs, pixel by pixel, on the same place alone, so that some
/// rows of the image can go through all of it before the next rows begin. The concatenation, the largest map of the block, is then
/// as small as a band and stays in a private cache.
extension [BlockStage] {
    /// Those that its stages run in; nil where none does.
    func bands(at size: BlockSize, threads: Int) -> Bands? {
        lazy.compactMap(\.band).first.map { Bands(of: $0, size: size, threads: threads) }
    }

    /// The same, with the stages that end in the concatenation, and all from its reader on, in bands of so many rows. nil where that
    /// cannot be: see ``bandedTail(units:size:)``.
    package func inBands(of rows: Int, units: [BlockUnit], size: BlockSize) throws -> [BlockStage]? {
        guard (1...size.height).contains(rows), let tail = try bandedTail(units: units, size: size) else { return nil }
        return indices.map { tail.contains($0) ? BlockStage(units: self[$0].units, kernel: self[$0].kernel, band: rows) : self[$0] }
    }

    /// The numbers of the stages that a band goes through. nil where there is no concatenation, where one of them reads more than the
    /// pixel that it writes, where another stage reads what they make, or where a map between them is not NHWC, in which the pixels of a
    /// band lie side by side: only what is whole before the bands may be read in planes, and the block's output written so.
    func bandedTail(units: [BlockUnit], size: BlockSize) throws -> Set<Int>? {
        guard let reader = concatenationReader(of: units) else { return nil }
        let parts = units[self[reader].units.lowerBound].inputs
        let tail = Set(indices.filter { $0 >= reader || parts.contains(.unit(self[$0].units.upperBound - 1)) })
        for index in indices {
            let stage = self[index]
            let problems = try units[stage.units].map { try $0.problem(at: size) }
            let readsTail = units[stage.units.lowerBound].inputs.contains { source in
                tail.contains { .unit(self[$0].units.upperBound - 1) == source }
            }
            guard tail.contains(index) else {
                if readsTail { return nil }
                continue
            }
            guard problems.allSatisfy(\.isPixelwise), index >= reader || stage.kernel.stridesDst && !readsTail,
                stage.kernel.layout == .nhwc || index == count - 1
            else { return nil }
            // Nothing is turned over on the way of a band: what it reads is there as it is read, a band of it in NHWC.
            let sources = units[stage.units.lowerBound].inputs
            let readsAsMade = indices.allSatisfy { maker in
                guard sources.contains(.unit(self[maker].units.upperBound - 1)) else { return true }
                return self[maker].kernel.layout == stage.kernel.srcLayout && (stage.kernel.srcLayout == .nhwc || !tail.contains(maker))
            }
            guard readsAsMade else { return nil }
        }
        return tail
    }

    /// Throws ``PlanError`` where the stages that have a band are not those that can, or differ in it.
    func checkBands(units: [BlockUnit], size: BlockSize) throws {
        guard let first = first(where: { $0.band != nil }), let rows = first.band else { return }
        func refused(_ reason: String) -> PlanError {
            .bandsOrLanes(unit: BlockPlan.unitText(units[first.units]), reason)
        }
        guard (1...size.height).contains(rows) else { throw refused("a band of \(rows) rows does not fit \(size.height) rows; write 1 … \(size.height)") }
        guard let tail = try bandedTail(units: units, size: size) else {
            throw refused("it cannot run in bands: every map but the block's ends must be NHWC, and what ends in the concatenation or follows it 1×1; leave band empty")
        }
        guard indices.allSatisfy({ self[$0].band == (tail.contains($0) ? rows : nil) }) else {
            let names = tail.sorted().map { BlockPlan.unitText(units[self[$0].units]) }.joined(separator: ", ")
            throw refused("a band of \(rows) rows goes through \(names), and no other stage; write \(rows) as the band of those")
        }
    }
}

extension Problem {
    /// Whether an output hangs on the inputs of its own place alone.
    var isPixelwise: Bool { kh == 1 && kw == 1 && strideH == 1 && strideW == 1 && oh == ih && ow == iw }
}
