import ConvCore
import Foundation

/// The memory that all candidates of a problem work in, so that a difference between two of them cannot come from the
/// pages that their buffers happen to lie in.
///
/// One mapping holds src, weights, bias, dst, packed weights and scratch, each between *guard bands* whose pattern is
/// checked after a run. ``renew()`` moves it to other physical pages between rounds.
public final class Arena {
    public enum Region: Int, CaseIterable, Sendable {
        case src, weights, bias, dst, packed, scratch
    }

    public let bytes: Int
    private let sizes: [Int]
    private let offsets: [Int]
    private var base: UnsafeMutableRawPointer
    /// Whether the pages are this object's, to move and to give back.
    private let owned: Bool

    /// Bytes of a guard band at least: a few cache lines, enough for a stray vector row.
    public static let guardBytes = 2048
    /// A quiet NaN with a payload that no computation makes.
    static let guardPattern: UInt32 = 0x7FC5_A5A5
    static let unwrittenPattern: UInt32 = 0x7FC0_DEAD

    /// Sizes in bytes. Throws where the system does not give the memory.
    public init(src: Int, weights: Int, bias: Int, dst: Int, packed: Int, scratch: Int) throws {
        sizes = [src, weights, bias, dst, packed, scratch]
        (offsets, bytes) = Self.layout(sizes)
        owned = true
        // Twice: ``renew()`` holds the old and the new pages for a moment.
        try FreeMemory.require(2 * Self.mapped(bytes))
        base = try Self.map(bytes)
        paintGuards()
    }

    /// The arena of the cases in memory that is the caller's, such as pages that another process maps too. It must have
    /// ``bytes(_:cases:)`` and outlive the arena, which never moves.
    public init(borrowing memory: UnsafeMutableRawPointer, _ p: Problem, cases: [Trial.Case]) {
        sizes = Self.sizes(p, cases: cases)
        (offsets, bytes) = Self.layout(sizes)
        owned = false
        base = memory
        paintGuards()
    }

    deinit { if owned { munmap(base, Self.mapped(bytes)) } }

    /// The arena that fits every one of the cases.
    public convenience init(_ p: Problem, cases: [Trial.Case]) throws {
        let s = Self.sizes(p, cases: cases)
        try self.init(src: s[0], weights: s[1], bias: s[2], dst: s[3], packed: s[4], scratch: s[5])
    }

    /// Whole pages that hold the arena of the cases.
    public static func bytes(_ p: Problem, cases: [Trial.Case]) -> Int { layout(sizes(p, cases: cases)).bytes }

    /// By region. Those that depend on the problem alone come first, so that builds whose kernels want other packed weights
    /// or scratch still share them.
    private static func sizes(_ p: Problem, cases: [Trial.Case]) -> [Int] {
        let needs = cases.map { $0.candidate.kernel.memory(p, $0.candidate.configuration, $0.pool.threads) }
        return [
            4 * p.srcCount, 4 * p.weightCount, 4 * p.biasCount, 4 * p.dstCount, needs.map(\.packed).max() ?? 0,
            needs.map(\.scratch).max() ?? 0,
        ]
    }

    private static let pageBytes = 4096

    /// Bytes of the mapping for so many.
    private static func mapped(_ bytes: Int) -> Int { (bytes + AlignedMemory.largePage - 1) / AlignedMemory.largePage * AlignedMemory.largePage }

    private static func layout(_ sizes: [Int]) -> (offsets: [Int], bytes: Int) {
        var offsets: [Int] = []
        var end = guardBytes
        for (region, size) in sizes.enumerated() {
            // As in a block; by chance, with 256 channels and any odd window, they would lie whole pages apart.
            if region == Region.dst.rawValue {
                end += (AlignedMemory.mapSpacing - (end - offsets[0]) % pageBytes + pageBytes) % pageBytes
            }
            offsets.append(end)
            end += AlignedMemory.rounded(size) + guardBytes
        }
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        return (offsets, (end + page - 1) / page * page)
    }

    public func pointer(_ region: Region) -> UnsafeMutableRawPointer { base + offsets[region.rawValue] }
    public func floats(_ region: Region) -> UnsafeMutablePointer<Float> {
        pointer(region).assumingMemoryBound(to: Float.self)
    }
    /// Bytes of a region.
    public func size(_ region: Region) -> Int { sizes[region.rawValue] }
    public var start: UnsafeRawPointer { UnsafeRawPointer(base) }

    /// Moves everything into freshly mapped pages: the new mapping is made and touched before the old one is given back, so
    /// the pages differ. Pointers taken before are void.
    public func renew() throws {
        precondition(owned, "a borrowed arena stays where it is")
        let next = try Self.map(bytes)
        next.copyMemory(from: base, byteCount: bytes)
        munmap(base, Self.mapped(bytes))
        base = next
    }

    /// Fills dst with a NaN that says "never written".
    func paintDst() {
        let words = pointer(.dst).assumingMemoryBound(to: UInt32.self)
        words.update(repeating: Self.unwrittenPattern, count: sizes[Region.dst.rawValue] / 4)
    }

    /// The region whose guard band was written into, and how many bytes past its end (positive) or before its start
    /// (negative) the first stray byte lies.
    func strayWrite() -> (region: Region, distance: Int)? {
        for region in Region.allCases {
            let start = offsets[region.rawValue]
            for band in bands(region) {
                for at in stride(from: band.lowerBound, to: band.upperBound, by: 4)
                where base.load(fromByteOffset: at, as: UInt32.self) != Self.guardPattern {
                    return (region, at < start ? at - start : at - start - sizes[region.rawValue])
                }
            }
        }
        return nil
    }

    /// Writes the pattern into all guard bands.
    func paintGuards() {
        for region in Region.allCases {
            for band in bands(region) {
                (base + band.lowerBound).assumingMemoryBound(to: UInt32.self).update(
                    repeating: Self.guardPattern, count: band.count / 4)
            }
        }
    }

    /// Before and behind a region. Two neighbours share what lies between them half and half, so that a stray write is laid to the
    /// nearer one.
    private func bands(_ region: Region) -> [Range<Int>] {
        let place = region.rawValue
        func end(_ place: Int) -> Int { offsets[place] + sizes[place] }
        func middle(behind place: Int) -> Int { (offsets[place] + AlignedMemory.rounded(sizes[place]) + offsets[place + 1]) / 2 }
        let before = place == 0 ? offsets[0] - Self.guardBytes : middle(behind: place - 1)
        let behind = place + 1 == offsets.count ? offsets[place] + AlignedMemory.rounded(sizes[place]) + Self.guardBytes : middle(behind: place)
        return [before..<offsets[place], end(place)..<behind]
    }

    /// In large pages where the system has them, as the maps of a block: in small ones what a kernel takes hangs on which frames they
    /// got, by a third on 256 channels of 40 × 40.
    private static func map(_ bytes: Int) throws -> UnsafeMutableRawPointer {
        let length = mapped(bytes)
        let largePage = AlignedMemory.largePage
        let reserved = mmap(nil, length + largePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let reserved, reserved != MAP_FAILED else { throw HarnessError.outOfMemory(bytes: bytes, free: 0) }
        let before = (largePage - Int(bitPattern: reserved) % largePage) % largePage
        if before > 0 { munmap(reserved, before) }
        let memory = reserved + before
        munmap(memory + length, largePage - before)
        #if os(Linux)
        madvise(memory, length, Int32(MADV_HUGEPAGE))
        #endif
        // Every page is touched here and not in a timed run.
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        for at in stride(from: 0, to: bytes, by: page) { memory.storeBytes(of: 0, toByteOffset: at, as: UInt8.self) }
        return memory
    }
}
