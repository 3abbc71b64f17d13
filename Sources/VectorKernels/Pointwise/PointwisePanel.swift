import ConvCore
import ThreadPool

/// Pointwise convolution as a blocked matrix product on PyTorch's layout, NCHW: dst[oc][pixel] = Σ weights[oc][ic] · src[ic][pixel].
///
/// Pixels lie along the vectors. All tiles of m output channels multiply one panel of n vectors of pixels × k input channels
/// (kept in L2) before the next, reading it where it lies; only a panel that ends inside a vector is copied. Weights are
/// packed by tile at plan time, so that the m values to broadcast lie side by side. Under a short reduction a row of tiles computes as
/// many panels as half of L1 holds inputs of before the next row does: there a tile costs more than its multiply-adds, and each row of dst is
/// a page of its own. On a Zen 3 that takes 0.54 (3 to 17 channels on 80 × 80), 0.70 (16 to 9) and 0.84 (32 to 17 on 40 × 40) of the time, and
/// from 128 channels on as long. Compute-bound. Threads share channels × panels. Lost: copying every panel into a running stream, 1–8 %
/// slower on YOLOv5's maps (each row is a new page, whose wait the copy does not hide and the first tile does) and no faster on maps of
/// 64×64 or 160×160, whose rows share cache sets.
/// Loop structure: Goto, van de Geijn, "Anatomy of high-performance matrix multiplication", TOMS 2008.
let pointwisePanel = Kernel(
    name: "pw-panel-\(isaName)", layer: .pw, family: .tiled, isa: isaName, layout: .nchw, threaded: true,
    summary: "blocked matrix product on NCHW, weights packed, pixels read in place",
    space: ConfigurationSpace(
        [
            Parameter("m", [4, 5, 6, 8, 10, 12], standard: standardTileRows, "output channels in a register tile"),
            Parameter("n", [1, 2, 3, 4], standard: vectorRegisters == 32 ? 3 : 2, "vectors of pixels in a register tile"),
            Parameter("k", [128, 256, 512, 4096], standard: 4096, "input channels per block of the reduction"),
        ],
        constraint: matrixTileConstraint,
        admits: { c in isCompiledTile(c["m"], c["n"]) }),
    memory: { p, c, threads in
        let job = PanelJob(p, c, threads: threads)
        return Kernel.Memory(packed: 4 * job.packedCount, scratch: threads * 4 * job.scratchCount)
    },
    plan: { p, c, inputs in
        let packed = inputs.packed.assumingMemoryBound(to: Float.self)
        let job = PanelJob(p, c, threads: inputs.threads)
        job.pack(inputs.weights, into: packed)
        return Kernel.Plan { [bias = inputs.bias, pool = inputs.pool, scratch = inputs.scratch] src, dst in
            pool.run { index in
                let own = (scratch + index * 4 * job.scratchCount).assumingMemoryBound(to: Float.self)
                job.run(index, src: src, weights: packed, bias: bias, panel: own, dst: dst)
            }
        }
    })

/// A class, since the copying of a large struct becomes a shared function with instructions of this level.
private final class PanelJob: Sendable {
    let problem: Problem
    let tileRows: Int
    let depthBlock: Int
    let width: Int
    let panelsPerImage: Int
    let grid: TileGrid

    init(_ p: Problem, _ c: Configuration, threads: Int) {
        problem = p
        tileRows = c["m"]
        width = c["n"] * lanes
        depthBlock = min(c["k"], p.ic)
        panelsPerImage = pixelPanels(p, most: c["n"])
        grid = TileGrid(rows: p.oc, tileRows: c["m"], panels: p.batch * panelsPerImage, threads: threads)
    }

    var packedCount: Int { (problem.oc + tileRows - 1) / tileRows * tileRows * problem.ic }
    /// Floats of a thread's panel, a whole number of cache lines.
    var scratchCount: Int { AlignedMemory.rounded(4 * depthBlock * width) / 4 }

    /// `[oc][ic]` → per tile of channels `[ic][m]`, zero-filled.
    func pack(_ weights: UnsafePointer<Float>, into packed: UnsafeMutablePointer<Float>) {
        packed.update(repeating: 0, count: packedCount)
        for channel in 0..<problem.oc {
            let tile = packed + channel / tileRows * tileRows * problem.ic + channel % tileRows
            for k in 0..<problem.ic { tile[k * tileRows] = weights[channel * problem.ic + k] }
        }
    }

    func run(
        _ index: Int, src: UnsafePointer<Float>, weights: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
        panel: UnsafeMutablePointer<Float>, dst: UnsafeMutablePointer<Float>
    ) {
        let p = problem
        let pixels = p.oh * p.ow
        let channels = grid.rows(of: index)
        guard !channels.isEmpty else { return }
        var tap = Tap(a: 0, b: 0)
        withUnsafePointer(to: &tap) { tap in
            let panels = grid.panels(of: index)
            var number = panels.lowerBound
            while number < panels.upperBound {
                let image = number / panelsPerImage
                let part = pixelPanel(p, number % panelsPerImage, of: panelsPerImage)
                let pixel = part.pixels.lowerBound
                // Whole vectors at the end of a map would reach past it.
                let copied = part.lastLanes < lanes
                let joined = copied ? 1 : joinedPanels(number..<panels.upperBound, like: part)
                let target = dst + image * p.oc * pixels + pixel
                var first = 0
                while first < p.ic {
                    let depth = min(depthBlock, p.ic - first)
                    let source = src + (image * p.ic + first) * pixels + pixel
                    if copied {
                        copyPanel(
                            source, stride: pixels, rows: depth, lastLanes: part.lastLanes, vectors: part.vectors, into: panel)
                    }
                    var channel = channels.lowerBound
                    while channel < channels.upperBound {
                        let rows = min(tileRows, channels.upperBound - channel)
                        let t = TileArguments(
                            a: weights + channel * p.ic + first * tileRows, b: copied ? UnsafePointer(panel) : source,
                            c: target + channel * pixels, taps: tap,
                            tapCount: 1, depth: depth, aRow: 1, aStep: tileRows, bStep: copied ? part.vectors * lanes : pixels, cRow: pixels,
                            start: first > 0 ? .partial : bias.map { .rows($0 + channel) } ?? .zero,
                            finish: first + depth == p.ic, activation: p.activation,
                            lastLanes: part.lastLanes, tiles: joined, bTileStep: part.vectors * lanes, cTileStep: part.vectors * lanes)
                        runPackedTile(rows, part.vectors, t)
                        channel += rows
                    }
                    first += depth
                }
                number += joined
            }
        }
    }

    /// How many of these panels, of which `first` is the first, a row of tiles computes one after the other: of the same image and width, with
    /// inputs that stay in L1 from one row to the next.
    private func joinedPanels(_ numbers: Range<Int>, like first: (pixels: Range<Int>, vectors: Int, lastLanes: Int)) -> Int {
        let most = min(joinedFloats / (depthBlock * first.vectors * lanes), numbers.count, panelsPerImage - numbers.lowerBound % panelsPerImage)
        var count = 1
        while count < most {
            let next = pixelPanel(problem, (numbers.lowerBound + count) % panelsPerImage, of: panelsPerImage)
            guard next.vectors == first.vectors, next.lastLanes == lanes else { break }
            count += 1
        }
        return count
    }
}

/// Half of L1.
private let joinedFloats = 4096

/// `rows` rows of so many vectors, of the last of which only some lanes are there, side by side.
@inline(never)
private func copyPanel(
    _ source: UnsafePointer<Float>, stride: Int, rows: Int, lastLanes: Int, vectors: Int, into panel: UnsafeMutablePointer<Float>
) {
    var out = panel
    var from = source
    for _ in 0..<rows {
        for v in 0..<vectors &- 1 { store(out + v &* lanes, load(from + v &* lanes)) }
        store(out + (vectors &- 1) &* lanes, loadLanes(from + (vectors &- 1) &* lanes, 0, lastLanes))
        out += vectors &* lanes
        from += stride
    }
}
