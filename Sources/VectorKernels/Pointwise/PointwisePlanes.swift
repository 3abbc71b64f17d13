import CVector
import ConvCore
import ThreadPool

/// Pointwise convolution by the loop of `pw-tile` on planes (NCHW), as PyTorch hands a map over, into NHWC: the pixels of a tile are
/// neighbours in every plane. A map that one or two layers read need not be copied for them: on 80 × 80 pixels the product takes within 3 %
/// of `pw-tile`'s time, and the copy of 128 channels would take 25 % of that of 128 to 64.
let pointwiseTileFromPlanes = Kernel(
    name: "pw-tile-from-planes-\(isaName)", layer: .pw, family: .tiled, isa: isaName, layout: .nhwc, srcLayout: .nchw, threaded: true,
    stridesDst: true, appliesFollowing: { wholeVectorsOfOutput($0) },
    summary: "blocked matrix product on register tiles, weights packed, activations broadcast from planes, pixels of dst side by side",
    space: planesSpace,
    memory: { p, c, _ in Kernel.Memory(packed: 4 * PackedPanels(p, width: c["n"] * lanes).count) },
    plan: { p, c, inputs in
        let panels = PackedPanels(p, width: c["n"] * lanes)
        let packed = inputs.packed.assumingMemoryBound(to: Float.self)
        panels.pack(inputs.weights, group: 0, ocPerGroup: p.oc, into: packed)
        let pixels = p.oh * p.ow
        let (m, r) = (c["m"], c["r"])
        let grid = TileGrid(rows: p.batch * pixels, tileRows: m, panels: panels.panels, threads: inputs.threads)
        let dstStep = inputs.dstStep ?? p.oc
        let channelStep = inputs.srcChannelStep ?? pixels
        let isFar = liesFar(p, inputs)
        return Kernel.Plan { [bias = inputs.bias, following = inputs.following, pool = inputs.pool] src, dst in
            pool.run { index in
                eachImage(of: grid.rows(of: index), pixels: pixels) { image, rows in
                    runPointwiseBlocks(
                        p, rows: rows, panelRange: grid.panels(of: index), panels: panels, m: m, depthBlock: p.ic, rowBlock: r,
                        src: src + image * channelStep * p.ic, srcStep: 1, srcChannelStep: channelStep, isFar: isFar, weights: packed,
                        bias: bias, following: following, dst: dst + image * pixels * dstStep, dstStep: dstStep)
                }
            }
        }
    })

/// The other way: NHWC into planes, as PyTorch expects a map. The sums of a panel and some 64 pixels go to a buffer in L1 and are turned
/// over there, in whole cache lines of the planes, which are on their way to memory while the next sums are made; a map that is turned over
/// as a whole is written and read once more, at the speed of memory. Costs 1 % of a reduction over 512 channels, 7 % of one over 128,
/// with 16 pixels at a time 2 and 11 %.
let pointwiseTileToPlanes = Kernel(
    name: "pw-tile-to-planes-\(isaName)", layer: .pw, family: .tiled, isa: isaName, layout: .nchw, srcLayout: .nhwc, threaded: true,
    summary: "blocked matrix product on register tiles, weights packed, activations broadcast in place, sums turned over into planes",
    space: planesSpace,
    memory: { p, c, threads in
        let panels = PackedPanels(p, width: c["n"] * lanes)
        return Kernel.Memory(
            packed: 4 * panels.count, scratch: threads * AlignedMemory.rounded(4 * pixelsTurnedOver(p, c["m"]) * panels.width))
    },
    plan: { p, c, inputs in
        let panels = PackedPanels(p, width: c["n"] * lanes)
        let packed = inputs.packed.assumingMemoryBound(to: Float.self)
        panels.pack(inputs.weights, group: 0, ocPerGroup: p.oc, into: packed)
        let pixels = p.oh * p.ow
        let m = c["m"]
        let lines = pixelsOfWholeLines(m)
        let group = pixelsTurnedOver(p, m)
        // Every block begins with a line of the planes.
        let r = (c["r"] + group - 1) / group * group
        let grid = TileGrid(rows: p.batch * pixels, tileRows: lines, panels: panels.panels, threads: inputs.threads)
        let channelStep = inputs.dstChannelStep ?? pixels
        let isFar = liesFar(p, inputs)
        let follows = inputs.srcIsPart ? min(r, pixels) * p.ic : 0
        return Kernel.Plan { [bias = inputs.bias, pool = inputs.pool, scratch = inputs.scratch] src, dst in
            // What is computed next, if this is not the end of the map.
            let next = follows > 0 ? UnsafeBufferPointer(start: src + p.batch * pixels * p.ic, count: follows) : nil
            let past = goesPast(dst, step: channelStep) && 4 * p.batch * p.oc * channelStep >= planesPastBytes
            pool.run { index in
                let sums = (scratch + index * AlignedMemory.rounded(4 * group * panels.width)).assumingMemoryBound(to: Float.self)
                eachImage(of: grid.rows(of: index), pixels: pixels) { image, rows in
                    runPointwiseBlocks(
                        p, rows: rows, panelRange: grid.panels(of: index), panels: panels, m: m, depthBlock: p.ic, rowBlock: r,
                        src: src + image * pixels * p.ic, srcStep: p.ic, isFar: isFar, weights: packed, bias: bias,
                        dst: dst + image * channelStep * p.oc, dstStep: 1, planes: (sums, group, channelStep, past), next: next)
                }
                if past { atrous_finish_stores() }
            }
        }
    })

/// Pixels of whole tiles that are whole cache lines of a plane.
private func pixelsOfWholeLines(_ m: Int) -> Int {
    var pixels = m
    while pixels % 16 != 0 { pixels += m }
    return pixels
}

/// Pixels of a buffer: whole lines, or all of an image.
private func pixelsTurnedOver(_ p: Problem, _ m: Int) -> Int {
    let lines = pixelsOfWholeLines(m)
    return min((64 + lines - 1) / lines * lines, p.oh * p.ow)
}

/// Maps of so many bytes or more, which the next reader finds in no cache of his own anyway, go past the caches.
private let planesPastBytes = 2 << 20

/// Of the kernels that read or write planes: what is fast in `pw-tile`, whose loop they share.
private let planesSpace = ConfigurationSpace(
    [
        Parameter("m", [4, 6, 8, 12], standard: standardTileRows, "pixels in a register tile"),
        Parameter("n", [2, 3, 4], standard: 2, "vectors of output channels in a register tile"),
        Parameter("r", [48, 120, 240], standard: 120, "pixels per block, at least"),
    ],
    constraint: matrixTileConstraint, admits: { isCompiledTile($0["m"], $0["n"]) })
