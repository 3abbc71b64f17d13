import ConvCore
import KernelRegistry
import ThreadPool

/// Where a map, or a slice of the channels of one, lies. Steps are in floats.
struct MapView {
    let layout: Layout
    let channels, batch, pixels: Int
    let steps: Layout.Steps
    /// From one image to the next.
    let imageStep: Int

    /// A slice of `channels` out of a map that has `total` of them.
    init(_ layout: Layout, channels: Int, of total: Int, batch: Int, pixels: Int) {
        self.layout = layout
        self.channels = channels
        self.batch = batch
        self.pixels = pixels
        steps = layout.steps(channels: total, pixels: pixels)
        imageStep = total * pixels
    }

    /// `pixels` neighbours out of a map of one image that has `whole` of them.
    init(_ layout: Layout, channels: Int, pixels: Int, ofPixels whole: Int) {
        self.layout = layout
        self.channels = channels
        batch = 1
        self.pixels = pixels
        steps = layout.steps(channels: channels, pixels: whole)
        imageStep = channels * whole
    }

    /// Floats from the map's start to the slice that begins at `channel`.
    func offset(channel: Int) -> Int { steps.offset(channel: channel, pixel: 0) }

    /// Whether rows of it are pixels, whose channels lie side by side; else they are channels.
    var rowsArePixels: Bool { layout != .nchw }
    var rowStep: Int { rowsArePixels ? steps.pixel : steps.channel }
}

/// Copies maps between layouts, and into the slices of a concatenation, on all threads of a pool.
enum MapConversion {
    /// `source` and `target` may not overlap; both views are of the same channels, batch and pixels.
    static func run(
        _ source: UnsafePointer<Float>, _ from: MapView, to target: UnsafeMutablePointer<Float>, _ to: MapView,
        pool: ThreadPool
    ) {
        // Channels that lie one step apart in both.
        let block = from.layout == .nchw16c || to.layout == .nchw16c ? Layout.blockChannels : from.channels
        precondition(from.channels % block == 0, "\(from.channels) channels are no whole blocks")
        let blocks = from.channels / block
        if !from.rowsArePixels, to.layout == .nhwc, to.rowStep % sharedSetFloats == 0 {
            return runByPixels(source, from, to: target, to, pool: pool)
        }
        // Units of some rows of the copy.
        let rows = from.rowsArePixels ? from.pixels : block
        let columns = from.rowsArePixels ? block : from.pixels
        let bandRows = bandRows(rows, from, threads: pool.threads)
        let bands = (rows + bandRows - 1) / bandRows
        let past = to.layout == .nchw && 4 * to.imageStep * to.batch >= pastBytes
        nonisolated(unsafe) let source = source
        nonisolated(unsafe) let target = target
        pool.run { index in
            for unit in ThreadPool.share(of: bands * blocks * from.batch, index: index, parts: pool.threads) {
                let first = unit / blocks % bands * bandRows
                let count = min(bandRows, rows - first)
                let image = unit / blocks / bands
                let channel = unit % blocks * block
                let src = source + image * from.imageStep + from.offset(channel: channel) + first * from.rowStep
                let dst = target + image * to.imageStep + to.offset(channel: channel)
                if from.rowsArePixels != to.rowsArePixels {
                    transpose(src, from.rowStep, count, columns, dst + first, to.rowStep, past)
                } else if columns == Layout.blockChannels {
                    copyBlocks(src, from.rowStep, count, dst + first * to.rowStep, to.rowStep)
                } else {
                    for r in 0..<count { (dst + (first + r) * to.rowStep).update(from: src + r * from.rowStep, count: columns) }
                }
            }
        }
    }

    /// Planes to pixels that lie so far apart that their lines share a few cache sets: of one line of each in turn few are under way at a
    /// time, so all channels of a line of pixels in turn. In a block on a Zen 5, between maps that no private cache holds, 1024 channels of
    /// 20 × 20 in 0.08 ms for 0.19, 512 in 0.02 for 0.06, 256 of 40 × 40 in 0.04 for 0.055. Back to planes, the same order is slower.
    private static func runByPixels(
        _ source: UnsafePointer<Float>, _ from: MapView, to target: UnsafeMutablePointer<Float>, _ to: MapView, pool: ThreadPool
    ) {
        let lines = (from.pixels + line - 1) / line
        nonisolated(unsafe) let source = source
        nonisolated(unsafe) let target = target
        pool.run { index in
            for unit in ThreadPool.share(of: lines * from.batch, index: index, parts: pool.threads) {
                let (image, first) = (unit / lines, unit % lines * line)
                transpose(
                    source + image * from.imageStep + first, from.rowStep, from.channels, min(line, from.pixels - first),
                    target + image * to.imageStep + first * to.rowStep, to.rowStep, false)
            }
        }
    }
    /// 1 KiB: the lines of pixels a multiple of it apart lie in four at most of a first cache's 64 sets.
    private static let sharedSetFloats = 256

    /// `count` rows of a block of channels; a call for each would take longer than the copy.
    private static func copyBlocks(
        _ source: UnsafePointer<Float>, _ step: Int, _ count: Int, _ target: UnsafeMutablePointer<Float>, _ targetStep: Int
    ) {
        for r in 0..<count {
            let line = UnsafeRawPointer(source + r * step).loadUnaligned(as: SIMD16<Float>.self)
            UnsafeMutableRawPointer(target + r * targetStep).storeBytes(of: line, as: SIMD16<Float>.self)
        }
    }

    /// Rows of a unit, in whole cache lines of floats, so that the lines that are written are written whole. From pixels to planes so many
    /// lines of every plane in a row: every plane lies in pages of its own. 128 × 6400 took 0.23 ms for 0.28 … 0.38 with one line.
    private static func bandRows(_ rows: Int, _ source: MapView, threads: Int) -> Int {
        guard source.rowsArePixels else { return line }
        return threads == 1 ? 8 * line : max(line, min(8 * line, rows / (4 * threads) / line * line))
    }
    private static let line = 16

    /// Maps of so many bytes or more, which the next reader finds in no cache of his own anyway, go past the caches: 128 × 6400 in
    /// 0.13 ms for 0.23.
    private static let pastBytes = 2 << 20

    /// Does what is done once in a process, which allocates: before a run that must not.
    static func prepare() { _ = transpose }

    /// Of the highest level that this CPU and `ATROUS_ISA` allow.
    private static let transpose = KernelRegistry.transposition(upTo: (try? InstructionSet.usable()) ?? .baseline)
}
