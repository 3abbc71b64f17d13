/// How the values of a feature map lie in memory. Weights are always `[oc][ic / groups][kh][kw]`.
public enum Layout: String, CaseIterable, Sendable {
    /// Batch, channel, row, column: PyTorch's default.
    case nchw
    /// Batch, row, column, channel: PyTorch's `channels_last`.
    case nhwc
    /// Batch, block of 16 channels, row, column, channel of the block: oneDNN's `nChw16c`. Takes whole blocks only.
    case nchw16c

    /// Channels of a block of ``nchw16c``: a cache line of floats.
    public static let blockChannels = 16

    /// Whether a map of so many channels can lie so.
    public func holds(channels: Int) -> Bool { self != .nchw16c || channels % Self.blockChannels == 0 }

    /// Floats from one value of a map to the next one along each direction.
    public struct Steps: Sendable, Equatable {
        /// From one channel to the next within 16 that begin at a multiple of 16, and from 16 such channels to the next 16.
        public let channel, block: Int
        public let pixel: Int

        /// From an image's start to a value.
        public func offset(channel c: Int, pixel p: Int) -> Int {
            c / Layout.blockChannels * block + c % Layout.blockChannels * channel + p * pixel
        }
    }

    /// Of an image of `channels × pixels`.
    public func steps(channels: Int, pixels: Int) -> Steps {
        let block = Self.blockChannels
        return switch self {
        case .nchw: Steps(channel: pixels, block: block * pixels, pixel: 1)
        case .nhwc: Steps(channel: 1, block: block, pixel: channels)
        case .nchw16c: Steps(channel: 1, block: block * pixels, pixel: block)
        }
    }

    /// Copies a map of `batch × channels × height × width` floats from `source` in layout `from` to `target` in `to`, both of which hold
    /// so many channels. The two may not overlap.
    public static func convert(
        _ source: UnsafePointer<Float>, from: Layout, to target: UnsafeMutablePointer<Float>, as to: Layout,
        batch: Int, channels: Int, pixels: Int
    ) {
        precondition(from.holds(channels: channels) && to.holds(channels: channels), "\(channels) channels are no whole blocks")
        let image = channels * pixels
        guard from != to else { return target.update(from: source, count: batch * image) }
        let (read, write) = (from.steps(channels: channels, pixels: pixels), to.steps(channels: channels, pixels: pixels))
        for n in 0..<batch {
            for c0 in stride(from: 0, to: channels, by: blockChannels) {
                for p0 in stride(from: 0, to: pixels, by: blockChannels) {
                    let src = source + n * image + read.offset(channel: c0, pixel: p0)
                    let dst = target + n * image + write.offset(channel: c0, pixel: p0)
                    for c in 0..<min(blockChannels, channels - c0) {
                        for p in 0..<min(blockChannels, pixels - p0) {
                            dst[c * write.channel + p * write.pixel] = src[c * read.channel + p * read.pixel]
                        }
                    }
                }
            }
        }
    }
}
