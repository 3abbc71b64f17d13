/// How the values of a feature map lie in memory. Weights are always `[oc][ic / groups][kh][kw]`.
public enum Layout: String, CaseIterable, Sendable {
    /// Batch, channel, row, column: PyTorch's default.
    case nchw
    /// Batch, row, column, channel: PyTorch's `channels_last`.
    case nhwc

    /// Copies a map of `batch × channels × height × width` floats from `source` in layout `from` to `target` in `to`.
    /// The two may not overlap.
    public static func convert(
        _ source: UnsafePointer<Float>, from: Layout, to target: UnsafeMutablePointer<Float>, as to: Layout,
        batch: Int, channels: Int, pixels: Int
    ) {
        let image = channels * pixels
        guard from != to else { return target.update(from: source, count: batch * image) }
        // Rows and columns of the matrix that is transposed for each image.
        let (rows, columns) = from == .nchw ? (channels, pixels) : (pixels, channels)
        let block = 16
        for n in 0..<batch {
            let src = source + n * image
            let dst = target + n * image
            for r0 in stride(from: 0, to: rows, by: block) {
                for c0 in stride(from: 0, to: columns, by: block) {
                    for r in r0..<min(r0 + block, rows) {
                        for c in c0..<min(c0 + block, columns) { dst[c * rows + r] = src[r * columns + c] }
                    }
                }
            }
        }
    }
}
