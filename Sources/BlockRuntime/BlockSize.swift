/// The input of a block: `[batch, cin, height, width]`.
package struct BlockSize: Sendable, Hashable, CustomStringConvertible {
    package var batch: Int
    package var cin: Int
    package var height: Int
    package var width: Int
    /// Output channels; nil is the description's own, or else cin.
    package var cout: Int?

    package init(batch: Int = 1, cin: Int, height: Int, width: Int, cout: Int? = nil) {
        self.batch = batch
        self.cin = cin
        self.height = height
        self.width = width
        self.cout = cout
    }

    /// Reads `NxCxHxW`. Throws ``BlockError``.
    package init(parsing text: String) throws(BlockError) {
        let numbers = text.lowercased().split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard numbers.count == 4, let n = numbers[0], let c = numbers[1], let h = numbers[2], let w = numbers[3] else {
            throw .badSize(text)
        }
        for (key, value) in [("batch", n), ("cin", c), ("height", h), ("width", w)] {
            try BlockDescription.checkSize(key, value)
        }
        self.init(batch: n, cin: c, height: h, width: w)
    }

    /// `1x64x20x20`
    package var description: String { "\(batch)x\(cin)x\(height)x\(width)" }
}
