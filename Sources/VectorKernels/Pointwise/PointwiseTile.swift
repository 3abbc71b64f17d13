import ConvCore
import ThreadPool

/// Pointwise convolution as a blocked matrix product, NHWC: dst[pixel][oc] = Σ src[pixel][ic] · weights[ic][oc].
///
/// Activations are broadcast straight from src (no copy of them at all), weights are packed into panels at plan time, and
/// m × n accumulators stay in registers over a block of k input channels. For each block of `r` pixels (kept in L2) and
/// each panel (in L1 where k · n is small, else in L2) all tiles of m pixels run, each reading the panel once. Compute-bound.
/// Threads share the grid of pixel blocks × panels; where it leaves at least half of them idle, the input channels, too: see ``DepthSplit``.
/// Loop structure: Goto, van de Geijn, "Anatomy of high-performance matrix multiplication", TOMS 2008, without packing A.
let pointwiseTile = Kernel(
    name: "pw-tile-\(isaName)", layer: .pw, family: .tiled, isa: isaName, layout: .nhwc, threaded: true,
    stridesDst: true, appliesFollowing: { wholeVectorsOfOutput($0) },
    summary: "blocked matrix product on register tiles, weights packed, activations broadcast in place",
    space: tileSpace(constraint: matrixTileConstraint) { _ in true },
    memory: { p, c, threads in
        Kernel.Memory(packed: 4 * PackedPanels(p, width: c["n"] * lanes).count, scratch: DepthSplit(p, c, threads: threads)?.scratchBytes ?? 0)
    },
    plan: { p, c, inputs in
        let panels = PackedPanels(p, width: c["n"] * lanes)
        let packed = inputs.packed.assumingMemoryBound(to: Float.self)
        panels.pack(inputs.weights, group: 0, ocPerGroup: p.oc, into: packed)
        if let split = DepthSplit(p, c, threads: inputs.threads) { return split.plan(inputs) }
        let (m, k, r) = (c["m"], c["k"], c["r"])
        let rows = p.batch * p.oh * p.ow
        let grid = TileGrid(rows: rows, tileRows: m, panels: panels.panels, threads: inputs.threads)
        let dstStep = inputs.dstStep ?? p.oc
        let isFar = liesFar(p, inputs)
        let follows = inputs.srcIsPart ? min(r, rows) * p.ic : 0
        return Kernel.Plan { [bias = inputs.bias, following = inputs.following, pool = inputs.pool] src, dst in
            // What is computed next, if this is not the end of the map.
            let next = follows > 0 ? UnsafeBufferPointer(start: src + rows * p.ic, count: follows) : nil
            pool.run { index in
                runPointwiseBlocks(
                    p, rows: grid.rows(of: index), panelRange: grid.panels(of: index), panels: panels, m: m, depthBlock: k, rowBlock: r,
                    src: src, srcStep: p.ic, isFar: isFar, weights: packed, bias: bias, following: following, dst: dst, dstStep: dstStep,
                    next: next)
            }
        }
    })

/// The same product on blocks of 16 channels: a block of them is a tap of the sum, and every vector of output channels, or two of a
/// half or four of a quarter of a block, goes to a map of its own.
let pointwiseTileBlocked = Kernel(
    name: "pw-tile-blocked-\(isaName)", layer: .pw, family: .tiled, isa: isaName, layout: .nchw16c, threaded: true,
    summary: "blocked matrix product on register tiles, weights packed, activations broadcast from blocks of channels",
    space: tileSpace(constraint: "\(matrixTileConstraint); panels that part no block") { c in
        lanes == Layout.blockChannels || Layout.blockChannels % (c["n"] * lanes) == 0
    },
    supports: { p in wholeBlocks(p.ic, insteadOf: "pw-tile").and(wholeBlocks(p.oc, insteadOf: "pw-tile")) },
    memory: { p, c, _ in Kernel.Memory(packed: panelBytes(p, c) + p.ic / Layout.blockChannels * MemoryLayout<Tap>.stride) },
    plan: { p, c, inputs in
        let panels = PackedPanels(p, width: c["n"] * lanes)
        let packed = inputs.packed.assumingMemoryBound(to: Float.self)
        panels.pack(inputs.weights, group: 0, ocPerGroup: p.oc, into: packed)
        let taps = (inputs.packed + panelBytes(p, c)).assumingMemoryBound(to: Tap.self)
        let pixels = p.oh * p.ow
        let block = Layout.blockChannels
        for i in 0..<p.ic / block { taps[i] = Tap(a: i * block * pixels, b: i * block * panels.width) }
        let (m, k, r) = (c["m"], c["k"], c["r"])
        let grid = TileGrid(rows: p.batch * pixels, tileRows: m, panels: panels.panels, threads: inputs.threads)
        let isFar = liesFar(p, inputs)
        return Kernel.Plan { [bias = inputs.bias, pool = inputs.pool] src, dst in
            pool.run { index in
                eachImage(of: grid.rows(of: index), pixels: pixels) { image, rows in
                    runPointwiseBlocks(
                        p, rows: rows, panelRange: grid.panels(of: index), panels: panels, m: m, depthBlock: k, rowBlock: r,
                        src: src + image * pixels * p.ic, srcStep: block, isFar: isFar, weights: packed, bias: bias,
                        dst: dst + image * pixels * p.oc, dstStep: block, blocks: (block * pixels, UnsafePointer(taps)))
                }
            }
        }
    })

private func panelBytes(_ p: Problem, _ c: Configuration) -> Int {
    AlignedMemory.rounded(4 * PackedPanels(p, width: c["n"] * lanes).count)
}

private func tileSpace(constraint: String, admits: @escaping @Sendable (Configuration) -> Bool) -> ConfigurationSpace {
    ConfigurationSpace(
        [
            Parameter("m", [4, 5, 6, 8, 10, 12], standard: standardTileRows, "pixels in a register tile"),
            Parameter("n", [1, 2, 3, 4], standard: 2, "vectors of output channels in a register tile"),
            // Blocks of 512 were 1 to 4 % slower on a Zen 5 from 1024 channels on.
            Parameter("k", [128, 256, 512, 1024, 4096], standard: 4096, "input channels per block of the reduction"),
            Parameter("r", [48, 120, 240, 100_000], standard: 120, "pixels per block"),
        ],
        constraint: constraint, admits: { c in isCompiledTile(c["m"], c["n"]) && admits(c) })
}
