import ConvCore
import ThreadPool

/// A pointwise product on NHWC with tiles for at most half of the threads: they share the reduction, too.
///
/// Each thread multiplies a part of the input channels into sums of its own. When all are there, the caller adds up those of each tile in registers, and bias and
/// activation follow: a few tiles are done sooner than another fork and join. Two threads of a busy Zen 3 take, of one's time for 16 output channels of one
/// pixel, 0.89 for 512 input channels, 0.78 for 1024 and 0.54 for 4096, without the split 1.24 for 511; of four pixels 1.05 for 512 and 0.71 for 4096.
///
/// Lost: parts of 128 channels (256 in all took as long as 255 unsplit, or longer); all threads adding up after a second fork.
final class DepthSplit: Sendable {
    private let problem: Problem
    private let panels: PackedPanels
    private let tileRows: Int
    /// Tiles of pixels × panels.
    private let tiles: Int
    private let parts: Int

    /// nil where there are tiles for more than half of the threads, or where two parts would be too short to pay for the sums' way from core to core.
    init?(_ p: Problem, _ c: Configuration, threads: Int) {
        problem = p
        panels = PackedPanels(p, width: c["n"] * lanes)
        tileRows = c["m"]
        tiles = (p.batch * p.oh * p.ow + tileRows - 1) / tileRows * panels.panels
        parts = min(threads / tiles, p.ic / leastDepth)
        guard parts > 1 else { return nil }
    }

    /// Every part's sums of every tile, then the list of those of one.
    var scratchBytes: Int { sumBytes + AlignedMemory.rounded(parts * MemoryLayout<Addend>.stride) }
    private var tileFloats: Int { tileRows * panels.width }
    private var sumBytes: Int { AlignedMemory.rounded(4 * tileFloats) * tiles * parts }

    /// `inputs.packed` holds the weights, packed.
    func plan(_ inputs: Kernel.PlanInputs) -> Kernel.Plan {
        let weights = UnsafePointer(inputs.packed.assumingMemoryBound(to: Float.self))
        let dstStep = inputs.dstStep ?? problem.oc
        return Kernel.Plan { [self, bias = inputs.bias, following = inputs.following, pool = inputs.pool, scratch = inputs.scratch] src, dst in
            pool.run { index in
                let (tile, part) = index.quotientAndRemainder(dividingBy: parts)
                if tile < tiles { multiply(tile, part, src: src, weights: weights, sums: sums(scratch, tile, part)) }
            }
            let addends = (scratch + sumBytes).assumingMemoryBound(to: Addend.self)
            for tile in 0..<tiles {
                for part in 0..<parts { addends[part] = Addend(sums: sums(scratch, tile, part), row: panels.width) }
                addUp(tile, addends, weights: weights, bias: bias, following: following, dst: dst, dstStep: dstStep)
            }
        }
    }

    private func sums(_ scratch: UnsafeMutableRawPointer, _ tile: Int, _ part: Int) -> UnsafeMutablePointer<Float> {
        (scratch + (tile * parts + part) * AlignedMemory.rounded(4 * tileFloats)).assumingMemoryBound(to: Float.self)
    }

    private func multiply(
        _ tile: Int, _ part: Int, src: UnsafePointer<Float>, weights: UnsafePointer<Float>, sums: UnsafeMutablePointer<Float>
    ) {
        let depth = ThreadPool.share(of: problem.ic, index: part, parts: parts)
        let (row, panel) = place(tile)
        run(
            row, panel, a: src + (row * problem.ic + depth.lowerBound), b: weights + (panel * panels.panelCount + depth.lowerBound * panels.width), c: sums,
            cRow: panels.width, depth: depth.count)
    }

    private func addUp(
        _ tile: Int, _ addends: UnsafePointer<Addend>, weights: UnsafePointer<Float>, bias: UnsafePointer<Float>?, following: Kernel.Following?,
        dst: UnsafeMutablePointer<Float>, dstStep: Int
    ) {
        let (row, panel) = place(tile)
        let column = panel * panels.width
        run(
            row, panel, a: weights, b: weights, c: dst + (row * dstStep + column), cRow: dstStep, depth: 0, addends: addends,
            bias: bias.map { $0 + column }, following: following?.from(channel: column), activation: problem.activation)
    }

    private func place(_ tile: Int) -> (row: Int, panel: Int) {
        let (position, panel) = tile.quotientAndRemainder(dividingBy: panels.panels)
        return (position * tileRows, panel)
    }

    private func run(
        _ row: Int, _ panel: Int, a: UnsafePointer<Float>, b: UnsafePointer<Float>, c: UnsafeMutablePointer<Float>, cRow: Int, depth: Int,
        addends: UnsafePointer<Addend>? = nil, bias: UnsafePointer<Float>? = nil, following: Kernel.Following? = nil, activation: Activation = .none
    ) {
        let columns = min(panels.width, problem.oc - panel * panels.width)
        let vectors = (columns + lanes - 1) / lanes
        var tap = Tap(a: 0, b: 0)
        withUnsafePointer(to: &tap) { tap in
            let t = TileArguments(
                a: a, b: b, c: c, taps: tap, tapCount: 1, depth: depth, aRow: problem.ic, aStep: 1, bStep: panels.width, cRow: cRow,
                start: bias.map { .columns($0) } ?? .zero, finish: true, activation: activation, following: following,
                lastLanes: columns - (vectors - 1) * lanes, addends: addends, addendCount: addends == nil ? 0 : parts)
            runPackedTile(min(tileRows, problem.batch * problem.oh * problem.ow - row), vectors, t)
        }
    }
}

/// Input channels of a part.
private let leastDepth = 256
