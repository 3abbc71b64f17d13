import CPUFeatures
import ConvCore
import Foundation
import ThreadPool

/// What this machine is and can do: the denominators of every roofline figure.
public struct MachineProfile: Sendable, Codable {
    public var cpu: String
    /// Vendor, family, model and stepping (`AuthenticAMD-25-17-1`); nil in older files and where the CPU does not tell.
    public var cpuID: String?
    /// CPUs that the process may use.
    public var cpus: Int
    public var caches: [CacheLevel]
    /// Instruction-set levels in use, lowest first.
    public var levels: [String]
    public var peaks: [Peak]
    public var bandwidths: [Bandwidth]
    /// Of working sets between those of the private caches, L3 and memory, each named by the two levels that it lies between; nil
    /// in older files.
    public var sweep: [Bandwidth]?
    /// Nanoseconds.
    public var clockStepNs: Double
    public var pool: [PoolCost]

    public struct CacheLevel: Sendable, Codable {
        /// 1, 2, 3
        public var level: Int
        public var bytes: Int
        /// CPUs that share one.
        public var sharedBy: Int

        /// What so many threads have of it together: one for every group of CPUs that they lie on.
        func bytes(threads: Int, cpus: Int) -> Int { bytes * max(1, min(threads, cpus / max(sharedBy, 1))) }
    }
    public struct Peak: Sendable, Codable {
        public var isa: String
        public var threads: Int
        /// Single-precision multiply-adds, two FLOPs each.
        public var gflops: Double
    }
    public struct Bandwidth: Sendable, Codable {
        /// `L1`, `L2`, `L3` or `memory`
        public var level: String
        public var threads: Int
        public var readGBps: Double
        public var writeGBps: Double
        /// Bytes read plus bytes written.
        public var copyGBps: Double
        /// Bytes of all threads' working sets together.
        public var workingSet: Int

        mutating func keepBest(of other: Bandwidth) {
            readGBps = max(readGBps, other.readGBps)
            writeGBps = max(writeGBps, other.writeGBps)
            copyGBps = max(copyGBps, other.copyGBps)
        }
    }
    public struct PoolCost: Sendable, Codable {
        public var threads: Int
        /// An empty fork and join while the workers poll.
        public var forkJoinNs: Double
        /// The same after the workers went to sleep.
        public var wakeNs: Double
    }

    /// A short name for folders: `intel-xeon-platinum-8488c-v4-4cpu`. A name without a number, as virtual machines give it, tells
    /// no model; family and model do: `amd-epyc-25-17-v4-2cpu`.
    public var slug: String {
        let words = cpu.lowercased().map { $0.isLetter || $0.isNumber ? $0 : "-" }
        let name = String(words).split(separator: "-").filter { !["r", "tm", "cpu", "processor", "core"].contains($0) }
            .prefix(5).joined(separator: "-")
            + (cpu.contains(where: \.isNumber) ? "" : (cpuID ?? "").split(separator: "-").dropFirst().prefix(2).map { "-\($0)" }.joined())
        return "\(name.isEmpty ? "unknown" : name)-\(levels.last ?? "baseline")-\(cpus)cpu"
    }

    /// The highest measured FMA rate with so many threads, in GFLOP/s.
    public func peakGflops(threads: Int) -> Double {
        peaks.filter { $0.threads == threads }.map(\.gflops).max()
            ?? Double(threads) * (peaks.filter { $0.threads == 1 }.map(\.gflops).max() ?? .nan)
    }

    /// Of one thread, at one level.
    public func peakGflops(isa: String) -> Double {
        peaks.first { $0.threads == 1 && $0.isa == isa }?.gflops ?? peakGflops(threads: 1)
    }

    /// Caches that a CPU does not share, as ``Bandwidth/level`` names them.
    static let privateLevels = ["L1", "L2"]

    public func bandwidth(_ level: String, threads: Int) -> Bandwidth? {
        bandwidths.first { $0.level == level && $0.threads == threads }
    }
}

extension MachineProfile {
    /// Measures everything that a roofline needs, with one thread and with each of `threads`. Takes between one and two seconds per
    /// thread count. A peak is what the machine can do undisturbed: where the threads together stay far below their number
    /// times one thread's peak, another process had a CPU, and the pass is repeated, keeping the best of each figure.
    public static func measure(probes: [ISAProbe], threads: [Int]) -> MachineProfile {
        ThreadPool.withPinnedCaller {
            var profile = pass(probes: probes, threads: threads)
            var passes = 1
            while !profile.scales, passes < 5 {
                usleep(300_000)
                profile.keepBest(of: pass(probes: probes, threads: threads))
                passes += 1
            }
            return profile
        }
    }

    /// Whether every thread count that the CPUs can serve reaches most of its share of the FMA peak.
    public var scales: Bool {
        let one = peakGflops(threads: 1)
        return Set(peaks.map(\.threads)).allSatisfy { count in
            count > cpus || peakGflops(threads: count) > 0.8 * Double(count) * one
        }
    }

    private mutating func keepBest(of other: MachineProfile) {
        for i in peaks.indices { peaks[i].gflops = max(peaks[i].gflops, other.peaks[i].gflops) }
        for i in bandwidths.indices { bandwidths[i].keepBest(of: other.bandwidths[i]) }
        for i in (sweep ?? []).indices { sweep![i].keepBest(of: other.sweep![i]) }
        for i in pool.indices {
            pool[i].forkJoinNs = min(pool[i].forkJoinNs, other.pool[i].forkJoinNs)
            pool[i].wakeNs = min(pool[i].wakeNs, other.pool[i].wakeNs)
        }
    }

    /// What can be told of this machine without measuring.
    public static func unmeasured(levels: [String]) -> MachineProfile {
        MachineProfile(
            cpu: cpuName(), cpuID: cpuIdentity(), cpus: ThreadPool.usableCPUs, caches: cacheLevels(), levels: levels, peaks: [],
            bandwidths: [], clockStepNs: 0, pool: [])
    }

    /// Which sets the sweep is made of: bytes of all threads together, and the measured levels that they lie between. Close together
    /// behind the private caches, where the bandwidth falls at once (on a Zen 5, of 250 GB/s at 1 MiB 160 are left at 1.2 and 115 to 130
    /// at 2), doubled then, and close around L3's size, where it falls again, sooner where strangers share it. Empty without an L3 or before
    /// its and memory's bandwidth are known; what `bandwidths` holds is not measured again.
    public func sweepSets(threads: Int) -> [(level: String, bytes: Int)] {
        func capacity(_ level: Int) -> Int? { caches.first { $0.level == level }?.bytes(threads: threads, cpus: cpus) }
        guard let l2 = capacity(2), let l3 = capacity(3), let inner = bandwidth("L3", threads: threads)?.workingSet,
            let outer = bandwidth("memory", threads: threads)?.workingSet
        else { return [] }
        let behind = [9, 10, 12].map { l2 / 8 * $0 }
        let doubled = sequence(first: 2 * l2) { 2 * $0 }.prefix { $0 <= l3 / 4 }
        let around = [2, 3, 4, 6, 8].map { l3 / 4 * $0 }
        return Set(behind + doubled + around).filter { $0 > l2 && $0 != inner && $0 < outer }.sorted()
            .map { ($0 < inner ? "L2 to L3" : "L3 to memory", $0) }
    }

    private static func pass(probes: [ISAProbe], threads: [Int]) -> MachineProfile {
        var profile = unmeasured(levels: probes.map(\.name))
        profile.clockStepNs = Clock.resolutionNs()
        profile.sweep = []
        let caches = profile.caches
        for count in Set([1] + threads).sorted() {
            let pool = ThreadPool(threads: count, pinned: true)
            for probe in probes {
                profile.peaks.append(Peak(isa: probe.name, threads: count, gflops: peak(probe, pool)))
            }
            for (name, bytes) in workingSets(caches) {
                profile.bandwidths.append(bandwidth(name, bytes: bytes, probe: probes.last!, pool: pool))
            }
            for (name, bytes) in profile.sweepSets(threads: count) {
                profile.sweep!.append(bandwidth(name, bytes: bytes / count, probe: probes.last!, pool: pool))
            }
            if count > 1 { profile.pool.append(poolCost(pool)) }
            pool.park()
        }
        return profile
    }

    /// Bytes per thread that lie well inside each level. L3 is often shared with strangers, so its set is small; memory's
    /// is several times L3.
    private static func workingSets(_ caches: [CacheLevel]) -> [(String, Int)] {
        let l1 = caches.first { $0.level == 1 }?.bytes ?? 32 << 10
        let l2 = caches.first { $0.level == 2 }?.bytes ?? 512 << 10
        let l3 = caches.first { $0.level == 3 }?.bytes ?? 8 << 20
        return [
            ("L1", l1 / 2), ("L2", l2 / 2), ("L3", max(min(l3 / 4, 8 << 20), 2 * l2)),
            ("memory", min(max(4 * l3, 64 << 20), 256 << 20)),
        ]
    }

    private static func peak(_ probe: ISAProbe, _ pool: ThreadPool) -> Double {
        let rounds = 100_000
        let flops = Double(rounds * probe.multiplyAddsPerRound * probe.lanes * 2 * pool.threads)
        return flops / best(10) { pool.run { _ in keepAlive(probe.multiplyAdds(rounds)) } }
    }

    /// Each thread has its own buffers. Behind the private caches stores that pass the caches are tried as well, as kernels with
    /// large outputs use them: from about L3's size on they are the faster ones.
    private static func bandwidth(_ name: String, bytes: Int, probe: ISAProbe, pool: ThreadPool) -> Bandwidth {
        let unit = 8 * probe.lanes
        let count = max(unit, bytes / 4 / unit * unit)
        let half = max(unit, count / 2 / unit * unit)
        let memory = (0..<pool.threads).map { _ in AlignedMemory(floats: count) }
        for m in memory { m.floats.update(repeating: 1, count: count) }
        // At least 8 MiB per timing, so that the pool's cost vanishes.
        let rounds = max(1, (8 << 20) / (4 * count))
        let total = Double(4 * count * rounds * pool.threads)
        let copied = Double(2 * 4 * half * rounds * pool.threads)
        let repeats = bytes > 64 << 20 ? 3 : 10
        let read = best(repeats) { pool.run { i in keepAlive(probe.read(memory[i].floats, count, rounds)) } }
        var write = best(repeats) { pool.run { i in keepAlive(probe.write(memory[i].floats, count, rounds)) } }
        var copy = best(repeats) {
            pool.run { i in keepAlive(probe.copy(memory[i].floats, memory[i].floats + half, half, rounds)) }
        }
        if !Self.privateLevels.contains(name) {
            write = min(write, best(repeats) {
                pool.run { i in for _ in 0..<rounds { atrous_fill_past_caches(memory[i].floats, UInt(count), 1) } }
            })
            copy = min(copy, best(repeats) {
                pool.run { i in for _ in 0..<rounds { atrous_copy_past_caches(memory[i].floats, memory[i].floats + half, UInt(half)) } }
            })
        }
        return Bandwidth(
            level: name, threads: pool.threads, readGBps: total / read, writeGBps: total / write,
            copyGBps: copied / copy, workingSet: 4 * count * pool.threads)
    }

    private static func poolCost(_ pool: ThreadPool) -> PoolCost {
        pool.run { _ in }
        let batches = (0..<50).map { _ -> Double in
            let start = Clock.now()
            for _ in 0..<200 { pool.run { _ in } }
            return Double(Clock.now() - start) / 200
        }
        let wakes = (0..<50).map { _ -> Double in
            pool.park()
            let start = Clock.now()
            pool.run { _ in }
            return Double(Clock.now() - start)
        }
        return PoolCost(
            threads: pool.threads, forkJoinNs: Statistics.median(batches), wakeNs: Statistics.median(wakes))
    }

    /// The shortest of so many timings, in nanoseconds: a peak is what the machine can do undisturbed.
    private static func best(_ repeats: Int, _ body: () -> Void) -> Double {
        body()
        return (0..<repeats).map { _ -> Double in
            let start = Clock.now()
            body()
            return Double(Clock.now() - start)
        }.min()!
    }
}

extension MachineProfile {
    private static func cpuName() -> String {
        var buffer = [CChar](repeating: 0, count: 64)
        atrous_cpu_name(&buffer, 64)
        let name = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return name == "unknown" ? modelFromSystem() ?? name : name
    }

    /// Vendor, family, model and stepping of this CPU.
    public static func cpuIdentity() -> String? {
        var buffer = [CChar](repeating: 0, count: 64)
        atrous_cpu_identity(&buffer, 64)
        let text = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return text.isEmpty ? nil : text
    }

    /// /proc/cpuinfo's name, for CPUs that do not tell their own.
    private static func modelFromSystem() -> String? {
        guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8) else { return nil }
        for key in ["model name", "Model", "Hardware"] {
            for line in text.split(separator: "\n") where line.hasPrefix(key) {
                return line.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) }
            }
        }
        return nil
    }

    /// Data and unified caches of CPU 0, as the system lists them; typical sizes where it does not.
    public static func cacheLevels() -> [CacheLevel] {
        var levels: [CacheLevel] = []
        for index in 0..<8 {
            let folder = "/sys/devices/system/cpu/cpu0/cache/index\(index)/"
            func field(_ name: String) -> String? {
                (try? String(contentsOfFile: folder + name, encoding: .utf8))?.trimmingCharacters(in: .whitespacesAndNewlines)
            }
            guard let type = field("type"), type != "Instruction", let level = field("level").flatMap({ Int($0) }),
                let size = field("size"), let number = Int(size.filter(\.isNumber))
            else { continue }
            let unit = size.hasSuffix("K") ? 1 << 10 : size.hasSuffix("M") ? 1 << 20 : 1
            levels.append(
                CacheLevel(level: level, bytes: number * unit, sharedBy: countCPUs(field("shared_cpu_list") ?? "0")))
        }
        return levels.isEmpty
            ? [
                CacheLevel(level: 1, bytes: 32 << 10, sharedBy: 1), CacheLevel(level: 2, bytes: 512 << 10, sharedBy: 1),
                CacheLevel(level: 3, bytes: 8 << 20, sharedBy: 1),
            ] : levels
    }

    /// `0-3,8` → 5
    private static func countCPUs(_ list: String) -> Int {
        list.split(separator: ",").reduce(0) { sum, part in
            let ends = part.split(separator: "-").compactMap { Int($0) }
            return sum + (ends.count == 2 ? ends[1] - ends[0] + 1 : 1)
        }
    }
}
