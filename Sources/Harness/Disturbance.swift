import Foundation
import ThreadPool

/// Notices that something else had the processor during a sample: time that the hypervisor took (steal), a forced switch
/// to another process, or a reference loop of fixed length that ran slowly.
struct DisturbanceWatch {
    /// Median duration of the reference loop, from the set-up.
    private let referenceNs: Double
    private let stat: Int32

    /// A slower reference loop than this marks a sample: frequency steps and a busy sibling show as 10 % and more.
    static let slowdown = 1.10

    struct Snapshot {
        let stealTicks: UInt64
        let switches: Int
        let referenceNs: Double
    }

    init() {
        stat = open("/proc/stat", O_RDONLY | O_CLOEXEC)
        referenceNs = Statistics.median((0..<31).map { _ in Self.timeReference() })
    }

    func close() { if stat >= 0 { _ = Foundation.close(stat) } }

    func snapshot() -> Snapshot {
        Snapshot(stealTicks: stealTicks(), switches: ThreadPool.forcedSwitches, referenceNs: Self.timeReference())
    }

    func disturbed(from a: Snapshot, to b: Snapshot) -> Bool {
        b.stealTicks != a.stealTicks || b.switches != a.switches
            || max(a.referenceNs, b.referenceNs) > referenceNs * Self.slowdown
    }

    /// A chain of dependent integer multiplies: its time is the clock's and nothing else's. About 10 µs.
    private static func timeReference() -> Double {
        let start = Clock.now()
        var x = start | 1
        for _ in 0..<10_000 { x = x &* 0x9E37_79B9_7F4A_7C15 ^ 1 }
        let end = Clock.now()
        return Double(end - start) + (x == 0 ? 1 : 0)
    }

    /// The eighth figure of /proc/stat's first line; 0 where there is none.
    private func stealTicks() -> UInt64 {
        guard stat >= 0 else { return 0 }
        return withUnsafeTemporaryAllocation(byteCount: 256, alignment: 1) { buffer in
            let count = pread(stat, buffer.baseAddress, 255, 0)
            guard count > 0 else { return 0 }
            var field = 0
            var value: UInt64 = 0
            var inNumber = false
            for byte in buffer[0..<count] {
                if byte >= 48, byte <= 57 {
                    value = inNumber ? value * 10 + UInt64(byte - 48) : UInt64(byte - 48)
                    inNumber = true
                } else if inNumber {
                    field += 1
                    if field == 8 { return value }
                    inNumber = false
                } else if byte == 10 {
                    return 0
                }
            }
            return 0
        }
    }
}
