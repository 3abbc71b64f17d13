import ConvCore

/// im2col: the matrix whose column `j` holds the inputs of output pixel `pixels.lowerBound + j`, its row order that of the
/// weights (`[ic / groups][kh][kw]`). Inputs in the padding are zeros. `columns` is `[reduction][pixels.count]`.
/// Source: Chellapilla, Puri, Simard, "High performance convolutional neural networks for document processing", 2006.
func unfold(
    _ p: Problem, src: UnsafePointer<Float>, pixels: Range<Int>, columns: UnsafeMutablePointer<Float>
) {
    var out = columns
    let firstRow = pixels.lowerBound / p.ow
    let lastRow = (pixels.upperBound - 1) / p.ow
    for c in 0..<p.icPerGroup {
        let plane = src + c * p.ih * p.iw
        for kh in 0..<p.kh {
            for kw in 0..<p.kw {
                let shift = kw * p.dilationW - p.padLeft
                // Output columns whose input column ow·stride + shift lies inside the image.
                let liveFirst = shift >= 0 ? 0 : min(p.ow, (-shift + p.strideW - 1) / p.strideW)
                let liveLast = p.iw > shift ? min(p.ow, (p.iw - shift + p.strideW - 1) / p.strideW) : 0
                for oh in firstRow...lastRow {
                    let from = oh == firstRow ? pixels.lowerBound - oh * p.ow : 0
                    let to = oh == lastRow ? pixels.upperBound - oh * p.ow : p.ow
                    let ih = oh * p.strideH - p.padTop + kh * p.dilationH
                    let inside = ih >= 0 && ih < p.ih
                    let first = inside ? min(max(from, liveFirst), to) : to
                    let last = inside ? max(min(to, liveLast), first) : to
                    (out).update(repeating: 0, count: first - from)
                    let row = plane + ih * p.iw + shift
                    if p.strideW == 1 {
                        (out + (first - from)).update(from: row + first, count: last - first)
                    } else {
                        for ow in first..<last { out[ow - from] = row[ow * p.strideW] }
                    }
                    (out + (last - from)).update(repeating: 0, count: to - last)
                    out += to - from
                }
            }
        }
    }
}
