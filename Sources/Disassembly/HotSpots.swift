import CSampleProfiler

/// Where running code spends its time: how often a timer found the process at which address.
public struct HotSpots: Sendable {
    /// Samples by address in the file that the code was loaded from, by file.
    public let counts: [String: [UInt64: Int]]
    public var total: Int { counts.values.reduce(0) { $0 + $1.values.reduce(0, +) } }

    /// Calls `body` until it returns false, and samples all the while.
    public init(while body: () -> Bool) throws(DisassemblyError) {
        var addresses = [UInt](repeating: 0, count: 100_000)
        let count: Int? = addresses.withUnsafeMutableBufferPointer { buffer in
            guard atrous_sampling_start(buffer.baseAddress!, buffer.count) == 0 else { return nil }
            while body() {}
            return atrous_sampling_stop()
        }
        guard let count else { throw .noSampling }
        var counts: [String: [UInt64: Int]] = [:]
        for address in addresses.prefix(count) {
            var path: UnsafePointer<CChar>?
            var offset: UInt = 0
            guard atrous_code_origin(address, &path, &offset) != 0, let path else { continue }
            counts[String(cString: path), default: [:]][UInt64(offset), default: 0] += 1
        }
        self.counts = counts
    }

    /// The file in which most samples lie.
    public var hottestFile: String? { counts.max { $0.value.values.reduce(0, +) < $1.value.values.reduce(0, +) }?.key }
}
