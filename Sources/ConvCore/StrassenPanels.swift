/// Pointwise weights combined and packed for a Strassen–Winograd product, at plan time.
///
/// Input channels are cut into `chunks` products that are added up, each into 2ᴸ blocks of `depth` channels; output
/// channels into 2ᴸ blocks of `columns`, a whole number of vectors, and those into panels of at most `width`. What is
/// missing reads as zero. In memory: chunk by chunk, group by group of seven products, panel by panel, product by product, input channel by
/// input channel, so that the products of one panel and group read one running stream.
public struct StrassenPanels: Sendable {
    public let levels: Int
    public let width: Int
    public let chunks: Int
    /// Input channels of a block.
    public let depth: Int
    /// Output channels of a block.
    public let columns: Int
    /// Panels of a block.
    public let panels: Int
    private let ic, oc: Int

    /// `width`: output channels of a tile; a multiple of `lanes`. `chunkDepth`: the most input channels of a chunk.
    public init(_ p: Problem, levels: Int, width: Int, lanes: Int, chunkDepth: Int) {
        let side = 1 << levels
        self.levels = levels
        self.width = width
        ic = p.ic
        oc = p.oc
        (chunks, depth) = Self.cut(p.ic, levels: levels, chunkDepth: chunkDepth)
        columns = (p.oc + side * lanes - 1) / (side * lanes) * lanes
        panels = (columns + width - 1) / width
    }

    /// Into how many chunks, and how many channels of a block, so many input channels are cut.
    public static func cut(_ ic: Int, levels: Int, chunkDepth: Int) -> (chunks: Int, depth: Int) {
        let wanted = (ic + chunkDepth - 1) / chunkDepth
        let depth = (ic + (wanted << levels) - 1) / (wanted << levels)
        return ((ic + (depth << levels) - 1) / (depth << levels), depth)
    }

    public var products: Int { StrassenCombinations.products(levels: levels) }
    /// Floats of one combination of one panel.
    public var productCount: Int { depth * width }
    /// Of seven products each: one per product of the outer level, or with a single level one.
    public var groups: Int { products / 7 }
    /// Floats of a group, for one panel.
    public var groupCount: Int { 7 * productCount }
    public var count: Int { chunks * panels * products * productCount }
    /// Of a product's first float, from that of the first; products go in groups as ``StrassenProgram/Step/group`` says.
    public func offset(chunk: Int, panel: Int, product: Int) -> Int {
        ((chunk * groups + product / 7) * panels + panel) * groupCount + product % 7 * productCount
    }
    /// Floats of the bias, with zeros where channels are missing.
    public var biasCount: Int { columns << levels }

    /// Packs `[oc][ic]`. Sums are worked out in double precision and rounded once.
    public func pack(_ weights: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>) {
        target.update(repeating: 0, count: count)
        let side = 1 << levels
        var sums = [Double](repeating: 0, count: depth)
        for product in 0..<products {
            let terms = StrassenCombinations.termsOfB(levels: levels, product: product)
            for chunk in 0..<chunks {
                for column in 0..<columns {
                    for k in 0..<depth { sums[k] = 0 }
                    for term in terms {
                        let channel = term.column * columns + column
                        let firstTerm = (chunk * side + term.row) * depth
                        guard channel < oc, firstTerm < ic else { continue }
                        let row = weights + channel * ic + firstTerm
                        for k in 0..<min(depth, ic - firstTerm) { sums[k] += Double(term.coefficient * row[k]) }
                    }
                    let panel = target + offset(chunk: chunk, panel: column / width, product: product)
                    for k in 0..<depth { panel[k * width + column % width] = Float(sums[k]) }
                }
            }
        }
    }
}
