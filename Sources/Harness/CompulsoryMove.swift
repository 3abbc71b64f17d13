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

    /// Every way that may be the fastest for a problem.
    package static func ways(_ p: Problem, _ probe: ISAProbe) -> [CompulsoryMove] {
        let caches = MachineProfile.cacheLevels()
        let holds = caches.first { $0.level == 2 }.map { Double($0.bytes) } ?? 0
        return (p.compulsoryBytes > holds ? [false, true] : [false]).map { CompulsoryMove(probe: probe, pastCaches: $0) }
    }

    /// What the loops of the probe take at once, in floats: eight vectors. The rest of a map is left out.
    private var unit: Int { 8 * probe.lanes }

    /// Bytes that a run moves.
    package func bytes(_ p: Problem) -> Double {
        Double([p.srcCount, p.weightCount, p.dstCount].reduce(0) { $0 + $1 / unit * unit } * MemoryLayout<Float>.stride)
    }

    /// Inputs are copied to where the outputs lie; what one of them has more is read or written by itself. Every thread moves its part.
    package func plan(_ p: Problem, arena: Arena, pool: ThreadPool) -> Kernel.Plan {
        let (probe, unit, pastCaches) = (probe, unit, pastCaches)
        let weights = UnsafePointer(arena.floats(.weights))
        let (inputs, outputs) = (p.srcCount / unit, p.dstCount / unit)
        let copied = min(inputs, outputs)
        return Kernel.Plan { src, dst in
            pool.run { index in
                /// Of so many units behind the first ones: where this thread's part begins, and its length, in floats.
                func own(_ units: Int, from first: Int = 0) -> (start: Int, count: Int) {
                    let share = ThreadPool.share(of: units, index: index, parts: pool.threads)
                    return ((first + share.lowerBound) * unit, share.count * unit)
                }
                let read = own(p.weightCount / unit)
                keepAlive(probe.read(weights + read.start, read.count, 1))
                let copy = own(copied)
                let onlyRead = own(inputs - copied, from: copied)
                let onlyWritten = own(outputs - copied, from: copied)
                if pastCaches {
                    atrous_copy_past_caches(src + copy.start, dst + copy.start, UInt(copy.count))
                    atrous_fill_past_caches(dst + onlyWritten.start, UInt(onlyWritten.count), 1)
                } else {
                    keepAlive(probe.copy(src + copy.start, dst + copy.start, copy.count, 1))
                    keepAlive(probe.write(dst + onlyWritten.start, onlyWritten.count, 1))
                }
                keepAlive(probe.read(src + onlyRead.start, onlyRead.count, 1))
            }
        }
    }
}
