import ConvCore
import ThreadPool

// The pixels of an image in NCHW, cut into panels of vectors of neighbours, over the ends of rows.

/// So many of at most `most` vectors.
func pixelPanels(_ p: Problem, most: Int) -> Int { (pixelVectors(p) + most - 1) / most }

private func pixelVectors(_ p: Problem) -> Int { (p.oh * p.ow + lanes - 1) / lanes }

/// One of so many: its pixels, the vectors that they fill, and how many lanes of the last. Equal panels: a narrow last one would run at a
/// fraction of the speed.
func pixelPanel(_ p: Problem, _ number: Int, of panels: Int) -> (pixels: Range<Int>, vectors: Int, lastLanes: Int) {
    let part = ThreadPool.share(of: pixelVectors(p), index: number, parts: panels)
    let pixels = part.lowerBound * lanes..<min(part.upperBound * lanes, p.oh * p.ow)
    return (pixels, part.count, pixels.count - (part.count - 1) * lanes)
}
