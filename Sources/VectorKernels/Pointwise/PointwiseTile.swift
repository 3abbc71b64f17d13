import ConvCore
import ThreadPool

/// Pointwise convolution as a blocked matrix product, NHWC: dst[pixel][oc] = Σ src[pixel][ic] · weights[ic][oc].
///
/// Activations are broadcast straight from src (no copy of them at all), weights are packed into panels at plan time, and
/// m × n accumulators stay in registers over a block of k input channels. For each block of `r` pixels (kept in L2) and
/// each panel (kept in L1) all tiles of m pixels run, so a panel is read from L1 once per tile. Compute-bound.
/// Threads share the grid of pixel blocks × panels.
/// Loop structure: Goto, van de Geijn, "Anatomy of high-performance matrix multiplication", TOMS 2008, without packing A.
let pointwiseTile = Kernel(
    name: "pw-tile-\(isaName)", layer: .pw, family: .tiled, isa: isaName, layout: .nhwc, threaded: true,
    summary: "blocked matrix product on register tiles, weights packed, activations broadcast in place",
    space: ConfigurationSpace(
        [
            Parameter("m", [4, 5, 6, 8, 10, 12], standard: vectorRegisters == 32 ? 8 : 6, "pixels in a register tile"),
            Parameter("n", [1, 2, 3, 4], standard: 2, "vectors of output channels in a register tile"),
            Parameter("k", [128, 256, 512, 4096], standard: 512, "input channels per block of the reduction"),
            Parameter("r", [48, 120, 240, 100_000], standard: 120, "pixels per block"),
        ],
        constraint: "m·n + n + 1 ≤ \(vectorRegisters) registers, and a compiled tile",
        admits: { c in fitsRegisters(c["m"], c["n"]) && c["m"] <= packedTiles[c["n"] - 1].count }),
    memory: { p, c, _ in Kernel.Memory(packed: 4 * PackedPanels(p, vectors: c["n"]).count) },
    plan: { p, c, inputs in
        let panels = PackedPanels(p, vectors: c["n"])
        let packed = inputs.packed.assumingMemoryBound(to: Float.self)
        panels.pack(inputs.weights, group: 0, ocPerGroup: p.oc, into: packed)
        let shape = MatrixShape(
            rows: p.batch * p.oh * p.ow, depth: p.ic, columns: p.oc, tileRows: c["m"], rowBlock: c["r"],
            depthBlock: c["k"])
        let work = shape.split(panels: panels.panels, threads: inputs.threads)
        let tiles = packedTiles[c["n"] - 1]
        let activation = p.activation
        return Kernel.Plan { [bias = inputs.bias, pool = inputs.pool] src, dst in
            pool.run { index in
                guard index < work.count else { return }
                runBlocks(
                    shape, work[index], panels: panels, tiles: tiles, src: src, weights: packed, bias: bias, dst: dst,
                    activation: activation)
            }
        }
    })

/// Sizes of a product and of its blocks.
private struct MatrixShape {
    let rows, depth, columns: Int
    let tileRows, rowBlock, depthBlock: Int

    /// The part of the product that one thread computes.
    struct Part {
        var rows: Range<Int>
        var panels: Range<Int>
    }

    /// Cuts the grid of row tiles × panels into as many near-square parts as there are threads: over the rows as long as
    /// every thread then has whole tiles to do, over the panels otherwise.
    func split(panels: Int, threads: Int) -> [Part] {
        let tiles = (rows + tileRows - 1) / tileRows
        // The number of row cuts that leaves the least work to the busiest thread; fewer panel cuts on a tie.
        var best = (cost: Int.max, cuts: 1)
        for cuts in 1...threads where threads % cuts == 0 {
            let columnCuts = threads / cuts
            let cost = ((tiles + cuts - 1) / cuts) * ((panels + columnCuts - 1) / columnCuts)
            if cost <= best.cost { best = (cost, cuts) }
        }
        let columnCuts = threads / best.cuts
        var parts: [Part] = []
        for i in 0..<best.cuts {
            let share = ThreadPool.share(of: tiles, index: i, parts: best.cuts)
            for j in 0..<columnCuts {
                parts.append(Part(
                    rows: (share.lowerBound * tileRows)..<min(share.upperBound * tileRows, rows),
                    panels: ThreadPool.share(of: panels, index: j, parts: columnCuts)))
            }
        }
        return parts
    }
}

@inline(never)
private func runBlocks(
    _ shape: MatrixShape, _ part: MatrixShape.Part, panels: PackedPanels, tiles: [TileFunction],
    src: UnsafePointer<Float>, weights: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
    dst: UnsafeMutablePointer<Float>, activation: Activation
) {
    var tap = Tap(a: 0, b: 0)
    withUnsafePointer(to: &tap) { tap in
        var rowStart = part.rows.lowerBound
        while rowStart < part.rows.upperBound {
            let rowEnd = min(rowStart + shape.rowBlock, part.rows.upperBound)
            var depthStart = 0
            while depthStart < shape.depth {
                let depth = min(shape.depthBlock, shape.depth - depthStart)
                for panel in part.panels {
                    let column = panel * panels.width
                    let columns = min(panels.width, shape.columns - column)
                    let start: TileArguments.Start =
                        depthStart > 0 ? .partial : bias.map { .columns($0 + column) } ?? .zero
                    // A panel whose last vectors are all filling is served by a narrower tile of the same stride.
                    var t = TileArguments(
                        a: src, b: weights + panel * panels.panelCount + depthStart * panels.width, c: dst + column,
                        taps: tap, tapCount: 1, depth: depth, aRow: shape.depth, aStep: 1, bStep: panels.width,
                        cRow: shape.columns, start: start, finish: depthStart + depth == shape.depth,
                        activation: activation, lastLanes: (columns - 1) % lanes + 1)
                    let narrow = packedTiles[(columns - 1) / lanes]
                    let menu = columns > panels.width - lanes ? tiles : narrow
                    var row = rowStart
                    while row < rowEnd {
                        let count = min(shape.tileRows, rowEnd - row)
                        t.a = src + row * shape.depth + depthStart
                        t.c = dst + row * shape.columns + column
                        menu[count - 1](t)
                        row += count
                    }
                }
                depthStart += depth
            }
            rowStart = rowEnd
        }
    }
}
