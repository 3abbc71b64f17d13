import Foundation

/// A block of memory that is given back when its owner goes. 64-byte aligned: a cache line, and the widest vector.
public final class AlignedMemory: @unchecked Sendable {
    public let start: UnsafeMutableRawPointer
    public let bytes: Int
    public static let alignment = 64

    /// Large pages are asked for from this size on: the pixels of a wide NHWC map, or of a slice of a concatenation, lie up to
    /// half a small page apart, so that a tile meets more pages than the first translation buffer holds.
    private static let largeBytes = 4 << 20
    public static let largePage = 2 << 20

    public init(bytes: Int) {
        self.bytes = bytes
        let large = bytes >= Self.largeBytes
        // Whole large pages, so that the last piece has one, too.
        let length = large ? (bytes + Self.largePage - 1) / Self.largePage * Self.largePage : max(bytes, Self.alignment)
        start = .allocate(byteCount: length, alignment: large ? Self.largePage : Self.alignment)
        #if os(Linux)
        // An offer, which the system may decline.
        if large { madvise(start, length, Int32(MADV_HUGEPAGE)) }
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

    /// What two maps that a kernel reads and writes should lie apart, beyond whole pages: a load waits for the stores under way to
    /// addresses of the same low 12 bits, and where the pixels of a tile are a power of two of floats apart those of one vector
    /// of channels share few of them. At a distance of 0, and of every multiple of what pixels lie apart, depthwise kernels run at half
    /// their speed on 256 channels; at one line or two the loads of the next vectors meet the stores.
    public static let mapSpacing = 3 * alignment

    /// `bytes` rounded up to whole alignment units.
    public static func rounded(_ bytes: Int) -> Int { (bytes + alignment - 1) / alignment * alignment }
}
