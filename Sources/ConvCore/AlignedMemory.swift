/// A block of memory that is given back when its owner goes. 64-byte aligned: a cache line, and the widest vector.
public final class AlignedMemory: @unchecked Sendable {
    public let start: UnsafeMutableRawPointer
    public let bytes: Int
    public static let alignment = 64

    public init(bytes: Int) {
        self.bytes = bytes
        start = .allocate(byteCount: max(bytes, Self.alignment), alignment: Self.alignment)
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
