import ConvCore
import KernelRegistry
import ThreadPool

/// Where a map, or a slice of the channels of one, lies. Steps are in floats.
struct MapView {
    let layout: Layout
    let channels, batch, pixels: Int
    /// From one channel to the next (NCHW), or from one pixel to the next (NHWC).
    let step: Int
    /// From one image to the next.
    let imageStep: Int

    /// A slice of `channels` out of a map that has `total` of them.
    init(_ layout: Layout, channels: Int, of total: Int, batch: Int, pixels: Int) {
        self.layout = layout
        self.channels = channels
        self.batch = batch
        self.pixels = pixels
        step = layout == .nchw ? pixels : total
        imageStep = total * pixels
    }

    /// `pixels` neighbours of planes that have `whole` of them, in one image.
    init(planes channels: Int, pixels: Int, of whole: Int) {
        layout = .nchw
        self.channels = channels
        batch = 1
        self.pixels = pixels
        step = whole
        imageStep = channels * whole
    }

    /// Floats from the map's start to the slice that begins at `channel`.
    func offset(channel: Int) -> Int { layout == .nchw ? channel * pixels : channel }
}

/// Copies maps between layouts, and into the slices of a concatenation, on all threads of a pool.
enum MapConversion {
    /// `source` and `target` may not overlap; both views are of the same channels, batch and pixels.
    static func run(
        _ source: UnsafePointer<Float>, _ from: MapView, to target: UnsafeMutablePointer<Float>, _ to: MapView,
        pool: ThreadPool
    ) {
        // Units of some rows of the copy: channels where the source is NCHW, pixels where it is NHWC.
        let rows = from.layout == .nchw ? from.channels : from.pixels
        let columns = from.layout == .nchw ? from.pixels : from.channels
        let bandRows = bandRows(rows, from.layout, threads: pool.threads)
        let bands = (rows + bandRows - 1) / bandRows
        let past = to.layout == .nchw && 4 * to.imageStep * to.batch >= pastBytes
        nonisolated(unsafe) let source = source
        nonisolated(unsafe) let target = target
        pool.run { index in
            for unit in ThreadPool.share(of: bands * from.batch, index: index, parts: pool.threads) {
                let first = unit % bands * bandRows
                let count = min(bandRows, rows - first)
                let image = unit / bands
                let src = source + image * from.imageStep + first * from.step
                let dst = target + image * to.imageStep
                if from.layout == to.layout {
                    for r in 0..<count { (dst + (first + r) * to.step).update(from: src + r * from.step, count: columns) }
                } else {
                    transpose(src, from.step, count, columns, dst + first, to.step, past)
                }
            }
        }
    }

    /// Rows of a unit, in whole cache lines of floats, so that the lines that are written are written whole. From pixels to planes so many
    /// lines of every plane in a row: every plane lies in pages of its own. 128 × 6400 took 0.23 ms for 0.28 … 0.38 with one line.
    private static func bandRows(_ rows: Int, _ source: Layout, threads: Int) -> Int {
        guard source == .nhwc else { return line }
        return threads == 1 ? 8 * line : max(line, min(8 * line, rows / (4 * threads) / line * line))
    }
    private static let line = 16

    /// Maps of so many bytes or more, which the next reader finds in no cache of his own anyway, go past the caches: 128 × 6400 in
    /// 0.13 ms for 0.23.
    private static let pastBytes = 2 << 20

    /// Of the highest level that this CPU and `ATROUS_ISA` allow.
    private static let transpose = KernelRegistry.transposition(upTo: (try? InstructionSet.usable()) ?? .baseline)
}
