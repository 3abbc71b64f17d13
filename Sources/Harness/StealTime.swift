import Foundation
import ThreadPool

/// Time that the hypervisor gave to others, of the CPUs that this process may use.
public final class StealTime: Sendable {
    public static let shared = StealTime()

    private let file = open("/proc/stat", O_RDONLY | O_CLOEXEC)
    /// Whether this process may use all CPUs: then /proc/stat's first line, which sums them, is enough.
    private let all = ThreadPool.usableCPUs == ProcessInfo.processInfo.processorCount
    private let own = Set((0..<ThreadPool.usableCPUs).map { ThreadPool.systemNumber(ofCPU: $0) })
    /// Rows of some 100 bytes a CPU.
    private static let longest = 1 << 17

    deinit { if file >= 0 { close(file) } }

    /// Hundredths of a second since the system's start, the CPUs' summed; 0 where the system does not tell.
    public var ticks: Int {
        guard file >= 0 else { return 0 }
        let bytes = all ? 255 : Self.longest
        return withUnsafeTemporaryAllocation(byteCount: bytes, alignment: 1) { buffer in
            let count = pread(file, buffer.baseAddress, bytes, 0)
            return count > 0 ? Self.ticks(in: buffer[0..<count], of: all ? nil : own) : 0
        }
    }

    /// The eighth figure of the row `cpu`, or with `cpus` of each row `cpuN` of those.
    public static func ticks(in text: some Collection<UInt8>, of cpus: Set<Int>?) -> Int {
        var sum = 0
        for line in text.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " "))
            guard fields.count > 8, fields[0].starts(with: "cpu".utf8) else { break }
            let number = Int(String(decoding: fields[0].dropFirst(3), as: UTF8.self))
            let wanted = cpus.map { cpus in number.map(cpus.contains) ?? false } ?? (number == nil)
            if wanted { sum += Int(String(decoding: fields[8], as: UTF8.self)) ?? 0 }
            if cpus == nil { break }
        }
        return sum
    }
}
