/// The channels of a depthwise layer in groups of whole vectors, as many vectors each as let kh input rows of the group and
/// its weights stay within a budget. Channels that fill no group of that width are in groups of one vector, the last of
/// which may be partly empty.
public struct ChannelGroups: Sendable {
    private let channels, taps, lanes: Int
    /// Vectors of a wide group.
    private let wide: Int
    private let wideGroups: Int
    /// Groups in all.
    public let count: Int
    /// Bytes of kh input rows of a wide group, rounded up to whole cache lines.
    public let rowsBytes: Int
    /// ``rowsBytes`` and room for the number of the row that each place of the ring holds.
    public let ringBytes: Int

    /// `most`: the widest group in vectors; `budget` in bytes.
    public init(_ p: Problem, lanes: Int, most: Int, budget: Int) {
        channels = p.ic
        taps = p.kh * p.kw
        self.lanes = lanes
        let bytesPerVector = 4 * lanes * (p.kh * p.iw + taps)
        wide = max(1, min(most, budget / bytesPerVector, (p.ic + lanes - 1) / lanes))
        wideGroups = p.ic / (wide * lanes)
        count = wideGroups + (p.ic - wideGroups * wide * lanes + lanes - 1) / lanes
        rowsBytes = AlignedMemory.rounded(4 * lanes * wide * p.kh * p.iw)
        ringBytes = rowsBytes + AlignedMemory.rounded(8 * p.kh)
    }

    public func firstChannel(_ group: Int) -> Int {
        group < wideGroups ? group * wide * lanes : (wideGroups * wide + group - wideGroups) * lanes
    }

    public func vectors(_ group: Int) -> Int { group < wideGroups ? wide : 1 }

    /// Bytes of ``pack(_:into:)``'s result.
    public var weightBytes: Int { 4 * taps * lanes * ((channels + lanes - 1) / lanes) }

    /// `[c][kh][kw]` → per group `[kh][kw][channels of the group]`, zero where a vector is not full; a group begins at
    /// its first channel times the number of taps.
    public func pack(_ weights: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>) {
        for group in 0..<count {
            let first = firstChannel(group)
            let width = vectors(group) * lanes
            for tap in 0..<taps {
                for c in 0..<width {
                    target[first * taps + tap * width + c] = first + c < channels ? weights[(first + c) * taps + tap] : 0
                }
            }
        }
    }
}
