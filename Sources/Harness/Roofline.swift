import ConvCore

/// The least time that a problem can take on a machine: effective FLOPs at the FMA peak, or compulsory bytes at the
/// bandwidth of the smallest cache level that holds them, whichever is longer.
/// Source: Williams, Waterman, Patterson, "Roofline: an insightful visual performance model", CACM 2009.
public struct Roofline: Sendable {
    public let machine: MachineProfile
    public let threads: Int

    public init(_ machine: MachineProfile, threads: Int) {
        self.machine = machine
        self.threads = threads
    }

    /// Nanoseconds. Reading, writing and both together each have their own measured limit. With a cold cache all bytes
    /// come from memory.
    public func floorNs(_ p: Problem, cold: Bool = false) -> Double {
        let compute = p.effectiveFLOPs / machine.peakGflops(threads: threads)
        guard let b = machine.bandwidth(cold ? "memory" : level(p.compulsoryBytes), threads: threads) else { return compute }
        return max(
            compute, p.compulsoryReadBytes / b.readGBps, p.compulsoryWriteBytes / b.writeGBps,
            p.compulsoryBytes / max(b.readGBps, b.writeGBps, b.copyGBps))
    }

    /// The smallest level that holds so many bytes; a private cache holds its share once per thread.
    public func level(_ bytes: Double) -> String {
        for cache in machine.caches.sorted(by: { $0.level < $1.level }) {
            let copies = max(1, min(threads, machine.cpus / max(cache.sharedBy, 1)))
            if bytes <= Double(cache.bytes * copies) { return "L\(cache.level)" }
        }
        return "memory"
    }
}
