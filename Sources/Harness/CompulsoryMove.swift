import CPUFeatures
import ConvCore
import ThreadPool

/// A problem's compulsory bytes and no computation: src and weights read, dst written, once each, in the pages in which the kernels work. Timed
/// in their rounds it tells what the caches and the memory gave at that moment: an L3 shared with strangers changes by a fifth within
/// an hour, and a profile of the machine is older than that.
package struct CompulsoryMove {
    let probe: ISAProbe
    /// With stores that pass the caches, which are the faster ones from about L3's size on.
    let pastCaches: Bool

    /// Every way that may be the fastest for a problem on so many threads. None where the maps are so small that what the loops take at
    /// once leaves out more than a tenth of them.
    package static func ways(_ p: Problem, _ probe: ISAProbe, threads: Int) -> [CompulsoryMove] {
        let inside = CompulsoryMove(probe: probe, pastCaches: false)
        guard inside.bytes(p) > 0.9 * p.compulsoryBytes else { return [] }
        let holds = l2.map { Double($0.bytes(threads: threads, cpus: ThreadPool.usableCPUs)) } ?? 0
        return p.compulsoryBytes > holds ? [inside, CompulsoryMove(probe: probe, pastCaches: true)] : [inside]
    }

    private static let l2 = MachineProfile.cacheLevels().first { $0.level == 2 }

    /// What the loops of the probe take at once, in floats: eight vectors. The rest of a map is left out.
    private var unit: Int { 8 * probe.lanes }

    /// Bytes that a run moves.
    package func bytes(_ p: Problem) -> Double {
        Double([p.srcCount, p.weightCount, p.dstCount].reduce(0) { $0 + $1 / unit * unit } * MemoryLayout<Float>.stride)
    }

    /// A thread's part, in floats from where src, weights and dst begin: inputs are copied to where the outputs lie, and what one of the two
    /// has more is read or written by itself.
    package struct Part {
        package let weights, copied, onlyRead, onlyWritten: Range<Int>
    }

    package func part(_ p: Problem, index: Int, of parts: Int) -> Part {
        let (inputs, outputs) = (p.srcCount / unit, p.dstCount / unit)
        let common = min(inputs, outputs)
        /// Of so many units behind the first ones.
        func own(_ units: Int, from first: Int = 0) -> Range<Int> {
            let share = ThreadPool.share(of: units, index: index, parts: parts)
            return (first + share.lowerBound) * unit..<(first + share.upperBound) * unit
        }
        return Part(
            weights: own(p.weightCount / unit), copied: own(common), onlyRead: own(inputs - common, from: common),
            onlyWritten: own(outputs - common, from: common))
    }

    package func plan(_ p: Problem, arena: Arena, pool: ThreadPool) -> Kernel.Plan {
        let (probe, pastCaches) = (probe, pastCaches)
        let parts = (0..<pool.threads).map { part(p, index: $0, of: pool.threads) }
        let weights = UnsafePointer(arena.floats(.weights))
        return Kernel.Plan { src, dst in
            pool.run { index in
                let own = parts[index]
                func read(_ map: UnsafePointer<Float>, _ range: Range<Int>) {
                    if !range.isEmpty { keepAlive(probe.read(map + range.lowerBound, range.count, 1)) }
                }
                read(weights, own.weights)
                let (from, to, count) = (src + own.copied.lowerBound, dst + own.copied.lowerBound, own.copied.count)
                let (further, more) = (dst + own.onlyWritten.lowerBound, own.onlyWritten.count)
                if pastCaches {
                    atrous_copy_past_caches(from, to, UInt(count))
                    atrous_fill_past_caches(further, UInt(more), 1)
                } else {
                    if count > 0 { keepAlive(probe.copy(from, to, count, 1)) }
                    if more > 0 { keepAlive(probe.write(further, more, 1)) }
                }
                read(src, own.onlyRead)
            }
        }
    }
}
