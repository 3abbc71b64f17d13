import Foundation

/// A block of memory that is given back when its owner goes. 64-byte aligned: a cache line, and the widest vector.
public final class AlignedMemory: @unchecked Sendable {
    public let start: UnsafeMutableRawPointer
    public let bytes: Int
    public static let alignment = 64

    /// Large pages are asked for from this size on: the pixels of a wide NHWC map, or of a slice of a concatenation, lie up to
    /// half a small page apart, so that a tile meets more pages than the first translation buffer holds.
    private static let largeBytes = 4 << 20
    private static let largePage = 2 << 20

    public init(bytes: Int) {
        self.bytes = bytes
        let large = bytes >= Self.largeBytes
        start = .allocate(byteCount: max(bytes, Self.alignment), alignment: large ? Self.largePage : Self.alignment)
        #if os(Linux)
        // An offer, which the system may decline.
        if large { madvise(start, bytes, Int32(MADV_HUGEPAGE)) }
        #endif
    }

    /// Room for `count` floats, not set to anything.
    public convenience init(floats count: Int) { self.init(bytes: count * MemoryLayout<Float>.stride) }

    deinit { start.deallocate() }

    /// The memory as floats.
    public var floats: UnsafeMutablePointer<Float> { start.assumingMemoryBound(to: Float.self) }
    public var floatBuffer: UnsafeMutableBufferPointer<Float> {
        UnsafeMutableBufferPointer(start: floats, count: bytes / MemoryLayout<Float>.stride)
    }

    /// `bytes` rounded up to whole alignment units.
    public static func rounded(_ bytes: Int) -> Int { (bytes + alignment - 1) / alignment * alignment }
}
