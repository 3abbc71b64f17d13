import ConvCore
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
        // Units of 16 rows of the copy: channels where the source is NCHW, pixels where it is NHWC.
        let rows = from.layout == .nchw ? from.channels : from.pixels
        let columns = from.layout == .nchw ? from.pixels : from.channels
        let bands = (rows + bandRows - 1) / bandRows
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
                    transpose(src, step: from.step, rows: count, columns: columns, to: dst + first, step: to.step)
                }
            }
        }
    }

    /// A cache line of floats, so that the lines that are written are written whole.
    private static let bandRows = 16

    /// target[c][r] = source[r][c], in blocks of 4 × 4 that are turned in registers.
    private static func transpose(
        _ source: UnsafePointer<Float>, step: Int, rows: Int, columns: Int, to target: UnsafeMutablePointer<Float>,
        step targetStep: Int
    ) {
        var c = 0
        while c &+ 4 <= columns {
            var r = 0
            while r &+ 4 <= rows {
                let from = UnsafeRawPointer(source + (r &* step &+ c))
                let stride = step &* 4
                let a0 = from.loadUnaligned(as: SIMD4<Float>.self)
                let a1 = (from + stride).loadUnaligned(as: SIMD4<Float>.self)
                let a2 = (from + 2 &* stride).loadUnaligned(as: SIMD4<Float>.self)
                let a3 = (from + 3 &* stride).loadUnaligned(as: SIMD4<Float>.self)
                let to = UnsafeMutableRawPointer(target + (c &* targetStep &+ r))
                let toStride = targetStep &* 4
                to.storeBytes(of: SIMD4(a0[0], a1[0], a2[0], a3[0]), as: SIMD4<Float>.self)
                (to + toStride).storeBytes(of: SIMD4(a0[1], a1[1], a2[1], a3[1]), as: SIMD4<Float>.self)
                (to + 2 &* toStride).storeBytes(of: SIMD4(a0[2], a1[2], a2[2], a3[2]), as: SIMD4<Float>.self)
                (to + 3 &* toStride).storeBytes(of: SIMD4(a0[3], a1[3], a2[3], a3[3]), as: SIMD4<Float>.self)
                r &+= 4
            }
            while r < rows {
                for k in 0..<4 { target[(c &+ k) &* targetStep &+ r] = source[r &* step &+ c &+ k] }
                r &+= 1
            }
            c &+= 4
        }
        while c < columns {
            for r in 0..<rows { target[c &* targetStep &+ r] = source[r &* step &+ c] }
            c &+= 1
        }
    }
}
