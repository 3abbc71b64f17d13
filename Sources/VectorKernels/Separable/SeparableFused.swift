import ConvCore
import ThreadPool

/// A separable through a tile that stays in cache, NHWC: for a few output rows the depthwise unit fills a buffer of
/// `[pixel][channel]`, and the pointwise product reads it at once.
///
/// Register tiles, dead taps and packing are those of `dw-tile` and `pw-tile`. Saved: the map between the two, which is
/// written and read once less, and a fork of the threads. While a block is multiplied, the source of the next is asked for:
/// 8 % of 512 to 128 channels on 80×80 pixels behind a single tap. Threads share the output rows.
let separableFused = SeparableKernel(
    name: "sep-fused-\(isaName)", isa: isaName, layout: .nhwc,
    summary: "depthwise rows into a buffer that stays in cache, multiplied from there",
    space: ConfigurationSpace(
        [
            Parameter("t", [4, 6, 8], standard: multiplyAddIsFused ? 6 : 4, "pixels in the depthwise register tile"),
            Parameter("v", [1, 2, 4], standard: vectorRegisters == 32 ? 4 : 2, "vectors in the depthwise register tile"),
            Parameter("m", [4, 6, 8, 12], standard: standardTileRows, "pixels in the product's register tile"),
            Parameter("n", [1, 2, 3], standard: 2, "vectors of output channels in the product's register tile"),
            Parameter("k", [256, 512, 4096], standard: 512, "channels per block of the reduction"),
            Parameter("r", [40, 80, 160, 320], standard: 80, "pixels in the buffer, at least a row"),
        ],
        constraint: "\(matrixTileConstraint); \(pixelConstraint)",
        admits: { c in isCompiledPixelTile(c["t"], c["v"]) && isCompiledTile(c["m"], c["n"]) }),
    appliesFollowing: { wholeVectorsOfOutput($0) },
    memory: { dw, pw, c, threads in
        Kernel.Memory(
            packed: depthwiseBytes(dw) + 4 * PackedPanels(pw, width: c["n"] * lanes).count,
            scratch: threads * bufferBytes(dw, c))
    },
    plan: { dw, pw, c, inputs in
        let taps = inputs.pointwise.packed.assumingMemoryBound(to: Float.self)
        packTapMajor(dw, inputs.depthwiseWeights, into: taps)
        let panels = PackedPanels(pw, width: c["n"] * lanes)
        let packed = (inputs.pointwise.packed + depthwiseBytes(dw)).assumingMemoryBound(to: Float.self)
        panels.pack(inputs.pointwise.weights, group: 0, ocPerGroup: pw.oc, into: packed)
        let job = DepthwiseJob(
            problem: dw, tilePixels: c["t"], tileVectors: c["v"], blockChannels: dw.ic, weights: taps,
            bias: inputs.depthwiseBias)
        let (m, k, blockRows, bytes) = (c["m"], c["k"], rowsPerBlock(dw, c), bufferBytes(dw, c))
        let dstStep = inputs.pointwise.dstStep ?? pw.oc
        let isFar = liesFar(pw, inputs.pointwise)
        let (bias, following) = (inputs.pointwise.bias, inputs.pointwise.following)
        return Kernel.Plan { [pool = inputs.pointwise.pool, scratch = inputs.pointwise.scratch] src, dst in
            pool.run { index in
                let buffer = (scratch + index * bytes).assumingMemoryBound(to: Float.self)
                let share = ThreadPool.share(of: dw.batch * dw.oh, index: index, parts: pool.threads)
                // Equal blocks: a last one of a single row would read all weights for little.
                let blocks = (share.count + blockRows - 1) / blockRows
                for block in 0..<blocks {
                    let part = ThreadPool.share(of: share.count, index: block, parts: blocks)
                    let first = share.lowerBound + part.lowerBound
                    let next = newSource(dw, row: first + part.count, rows: min(part.count, share.upperBound - first - part.count))
                    for row in 0..<part.count {
                        let image = (first + row) / dw.oh
                        job.runRow(
                            oh: (first + row) % dw.oh, channels: 0..<dw.ic, src: src + image * dw.ih * dw.iw * dw.ic,
                            dst: buffer + row * dw.ow * dw.ic)
                    }
                    runPointwiseBlocks(
                        pw, rows: 0..<(part.count * dw.ow), panelRange: 0..<panels.panels, panels: panels, m: m,
                        depthBlock: k, rowBlock: part.count * dw.ow, src: buffer, srcStep: pw.ic, isFar: isFar, weights: packed, bias: bias,
                        following: following, dst: dst + first * dw.ow * dstStep, dstStep: dstStep,
                        next: next.isEmpty ? nil : UnsafeBufferPointer(start: src + next.lowerBound, count: next.count))
                }
            }
        }
    })

private func depthwiseBytes(_ dw: Problem) -> Int { AlignedMemory.rounded(4 * dw.kh * dw.kw * paddedChannels(dw)) }

private func rowsPerBlock(_ dw: Problem, _ c: Configuration) -> Int { min(dw.batch * dw.oh, max(1, c["r"] / dw.ow)) }

private func bufferBytes(_ dw: Problem, _ c: Configuration) -> Int {
    AlignedMemory.rounded(4 * rowsPerBlock(dw, c) * dw.ow * dw.ic)
}

/// The floats of src that `rows` output rows from `row` on are the first to read.
private func newSource(_ dw: Problem, row: Int, rows: Int) -> Range<Int> {
    guard rows > 0 else { return 0..<0 }
    let image = row / dw.oh
    let reach = (dw.kh - 1) * dw.dilationH - dw.padTop
    let first = image * dw.ih + min(dw.ih - 1, max(0, (row % dw.oh - 1) * dw.strideH + reach + 1))
    let last = min(dw.batch * dw.ih, first + rows * dw.strideH)
    return first * dw.iw * dw.ic..<last * dw.iw * dw.ic
}
