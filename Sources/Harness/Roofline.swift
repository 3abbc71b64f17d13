import ConvCore
import Foundation

/// The least time that a problem can take on a machine: effective FLOPs at the FMA peak, or compulsory bytes at the
/// bandwidth that a working set of that size has, whichever is longer.
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
        guard let b = cold ? machine.bandwidth("memory", threads: threads) : bandwidth(p.compulsoryBytes) else { return compute }
        return max(
            compute, p.compulsoryReadBytes / b.readGBps, p.compulsoryWriteBytes / b.writeGBps,
            p.compulsoryBytes / max(b.readGBps, b.writeGBps, b.copyGBps))
    }

    /// What a working set of so many bytes can have. A step from level to level up to the private caches; behind them the bandwidth
    /// falls gradually, as a shared cache holds less and less of the set, and is read off the profile's sweep. Without a sweep, as
    /// in files of older versions, the steps go on.
    public func bandwidth(_ bytes: Double) -> MachineProfile.Bandwidth? {
        let level = level(bytes)
        let stepped = machine.bandwidth(level, threads: threads)
        guard !MachineProfile.privateLevels.contains(level), let sweep = machine.sweep?.filter({ $0.threads == threads }), !sweep.isEmpty else { return stepped }
        var knots = sweep + ["L3", "memory"].compactMap { machine.bandwidth($0, threads: threads) }
        if var edge = machine.bandwidth("L2", threads: threads), let size = capacity(ofLevel: 2) {
            edge.workingSet = Int(size)
            knots.append(edge)
        }
        return Self.interpolated(knots, bytes: bytes)
    }

    /// Between the two knots whose working sets enclose it, in proportion to the size's logarithm; outside them that of the nearest.
    /// What a larger set was seen to have, a smaller one can have too: no knot counts for less than those behind it.
    private static func interpolated(_ knots: [MachineProfile.Bandwidth], bytes: Double) -> MachineProfile.Bandwidth? {
        var knots = knots.sorted { $0.workingSet < $1.workingSet }
        for i in knots.indices.dropLast().reversed() { knots[i].keepBest(of: knots[i + 1]) }
        guard let above = knots.firstIndex(where: { bytes <= Double($0.workingSet) }) else { return knots.last }
        guard above > 0 else { return knots[0] }
        let (a, b) = (knots[above - 1], knots[above])
        let share = log(bytes / Double(a.workingSet)) / log(Double(b.workingSet) / Double(a.workingSet))
        func between(_ value: KeyPath<MachineProfile.Bandwidth, Double>) -> Double {
            a[keyPath: value] + share * (b[keyPath: value] - a[keyPath: value])
        }
        var result = b
        (result.readGBps, result.writeGBps, result.copyGBps) = (between(\.readGBps), between(\.writeGBps), between(\.copyGBps))
        result.workingSet = Int(bytes)
        return result
    }

    /// The smallest level that holds so many bytes; a private cache holds its share once per thread.
    public func level(_ bytes: Double) -> String {
        let holds = machine.caches.map(\.level).sorted().first { bytes <= capacity(ofLevel: $0) ?? 0 }
        return holds.map { "L\($0)" } ?? "memory"
    }

    private func capacity(ofLevel level: Int) -> Double? {
        machine.caches.first { $0.level == level }.map { Double($0.bytes(threads: threads, cpus: machine.cpus)) }
    }
}
