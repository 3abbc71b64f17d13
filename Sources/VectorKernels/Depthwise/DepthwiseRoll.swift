import ConvCore
import ThreadPool

/// Depthwise convolution under 3 × 3 taps that keeps its map, NHWC: each column of `t` pixels of a dilation phase walked down with
/// three rows of sums in registers.
///
/// Every input is loaded once per column of tiles and goes at once into the three rows of outputs that it lies under, (t + 2)/t loads
/// and one store per output. So nothing has to be found in L1 again, where pixels of one phase that lie a power of two apart share a
/// few cache sets, and a line that is fetched from L2 or L3 has done its work. Order: rows of phases, column tiles, phases along a row
/// (neighbouring pixels), vectors of channels, rows.
///
/// Of attainable, at 16 lanes on YOLOv5's maps of 40 × 40 and more, dilation 2 to 5: 76 to 88 % (`dw-phase` 57 to 81), where all pixels
/// of a tile share a set 57 to 84 % (36 to 64). At 8 lanes 50 to 60 % (40 to 63). On phases of three rows `dw-phase` passes it.
///
/// Lost: asking for the outputs of a row before its sums, or for inputs or outputs of the next vectors (up to 13 % slower at 16 lanes,
/// 18 % at 8); rows of seven sums, 31 registers, of which the compiler spills some; at 8 lanes, the two vectors of a line taking turns every 1 to 8 rows, so that it is fetched once (5 to 40 % slower).
///
/// Hangs on where dst lies: see `AlignedMemory.mapSpacing`.
let depthwiseRoll = Kernel(
    name: "dw-roll-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: .nhwc, threaded: true,
    summary: "3×3 taps: three rows of sums rolled down a column of pixels, every input loaded once",
    space: ConfigurationSpace(
        [
            Parameter("t", [2, 3, 4, 5, 6], standard: vectorRegisters == 32 ? 6 : 3, "most pixels in a row of sums"),
            Parameter("g", [4, 8, 16, 1000], standard: 1000, "most vectors of channels in a unit of work"),
        ],
        constraint: "4·t + 3 ≤ \(vectorRegisters) registers: 3·t sums, t + 2 inputs, a weight",
        admits: { 4 * $0["t"] + 3 <= vectorRegisters }),
    supports: { p in
        guard p.kh == 3, p.kw == 3 else { return .no(reason: "\(p.kh)×\(p.kw) taps; it takes 3×3; dw-phase takes others") }
        guard p.strideH == 1, p.strideW == 1, p.oh == p.ih, p.ow == p.iw, p.padTop == p.dilationH, p.padLeft == p.dilationW
        else { return .no(reason: "the map changes or shifts; it takes stride 1 and a padding of the dilation") }
        return p.ic % lanes == 0 ? .yes : .no(reason: "\(p.ic) channels are no whole vectors of \(lanes); dw-phase takes them")
    },
    memory: { p, _, _ in Kernel.Memory(packed: 4 * (p.weightCount + p.ic)) },
    plan: { p, c, inputs in
        let weights = inputs.packed.assumingMemoryBound(to: Float.self)
        packVectorMajor(p, inputs.weights, into: weights)
        let starts = weights + p.weightCount
        for channel in 0..<p.ic { starts[channel] = inputs.bias?[channel] ?? 0 }
        let job = RollJob(p, mostPixels: c["t"], blockVectors: c["g"], weights: weights, starts: starts)
        return Kernel.Plan { [pool = inputs.pool] src, dst in
            pool.run { index in
                job.run(ThreadPool.share(of: job.units, index: index, parts: pool.threads), src: src, dst: dst)
            }
        }
    })

/// The map cut into units of work: an image × a block of channels × a row of phases × a column tile × a phase along the row. A class,
/// since the copying of a large struct becomes a shared function with instructions of this level.
private final class RollJob: Sendable {
    let problem: Problem
    nonisolated(unsafe) let weights: UnsafePointer<Float>
    nonisolated(unsafe) let starts: UnsafePointer<Float>
    /// Of the image, in both directions.
    let phaseRows, phaseColumns: Int
    /// Tiles of the longest phase along a row.
    let parts: Int
    let vectors, blockVectors: Int

    init(_ p: Problem, mostPixels: Int, blockVectors: Int, weights: UnsafePointer<Float>, starts: UnsafePointer<Float>) {
        problem = p
        self.weights = weights
        self.starts = starts
        phaseRows = min(p.dilationH, p.oh)
        phaseColumns = min(p.dilationW, p.ow)
        parts = ((p.ow + p.dilationW - 1) / p.dilationW + mostPixels - 1) / mostPixels
        vectors = p.ic / lanes
        self.blockVectors = min(blockVectors, vectors)
    }

    private var blocks: Int { (vectors + blockVectors - 1) / blockVectors }

    var units: Int { problem.batch * blocks * phaseRows * parts * phaseColumns }

    func run(_ share: Range<Int>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>) {
        let p = problem
        let step = p.dilationW * p.ic
        let rowStep = p.dilationH * p.iw * p.ic
        for unit in share {
            let left = unit % phaseColumns
            let part = unit / phaseColumns % parts
            let top = unit / phaseColumns / parts % phaseRows
            let block = unit / phaseColumns / parts / phaseRows % blocks
            let image = unit / phaseColumns / parts / phaseRows / blocks
            let width = (p.ow - left + p.dilationW - 1) / p.dilationW
            let tile = ThreadPool.share(of: width, index: part, parts: parts)
            guard !tile.isEmpty else { continue }
            let rows = (p.oh - top + p.dilationH - 1) / p.dilationH
            let end = min(vectors, (block + 1) * blockVectors)
            // Sums that are activated where they lie should not have left L1.
            let together = activatesStored(p.activation) ? max(1, activatedBytes / (rows * tile.count * lanes * 4)) : end
            var vector = block * blockVectors
            while vector < end {
                let groups = min(together, end - vector)
                let channel = vector * lanes
                let first = (image * p.ih + top) * p.iw + left
                runRollTile(
                    tile.count,
                    RollArguments(
                        src: src + (first * p.ic + channel + (tile.lowerBound - 1) * step), weights: weights + channel * 9,
                        starts: starts + channel, dst: dst + (first * p.ic + channel + tile.lowerBound * step), rows: rows,
                        step: step, rowStep: rowStep, hasLeft: tile.lowerBound > 0, hasRight: tile.upperBound < width,
                        groups: groups, activation: p.activation))
                vector += groups
            }
        }
    }
}

/// Of a tile whose sums are activated where they lie: half of L1.
private let activatedBytes = 16 << 10

/// What a column of tiles computes: `rows` × T outputs, a dilation apart in both directions, in src and dst alike. Steps are in floats.
struct RollArguments {
    /// The input to the left of the first output of the first row; in the padding unless `hasLeft`.
    var src: UnsafePointer<Float>
    /// `[vector][3][3][lane]`
    var weights: UnsafePointer<Float>
    /// What the sums begin with: bias or zero, by channel.
    var starts: UnsafePointer<Float>
    var dst: UnsafeMutablePointer<Float>
    /// All of the phase: above and below them is padding.
    var rows: Int
    var step, rowStep: Int
    /// Whether the inputs beside the outputs of a row lie in the image.
    var hasLeft, hasRight: Bool
    /// Neighbouring vectors of channels to compute.
    var groups: Int
    var activation: Activation
}

/// T pixels under W = T + 2 inputs; only the type is used.
enum RollShape<let T: Int, let W: Int> {}

/// The sums stay in registers down all rows.
@inline(__always)
private func rollTile<let T: Int, let W: Int>(_ a: borrowing RollArguments, _ shape: RollShape<T, W>.Type) {
    for group in 0..<a.groups {
        let weights = a.weights + group &* 9 &* lanes
        let start = a.starts + group &* lanes
        var above = zeros(InlineArray<T, Vector>.self)
        var on = zeros(InlineArray<T, Vector>.self)
        for t in 0..<T { on[t] = load(start) }
        var x = a.src + group &* lanes
        var out = a.dst + (group &* lanes &- a.rowStep)
        for row in 0..<a.rows {
            rollRow(row, x, out, weights, start, &above, &on, a, shape)
            x += a.rowStep
            out += a.rowStep
        }
        finishSums(&above, out, a)
    }
}

/// A row of inputs goes into the sums of the rows of outputs `above`, `on` and below it; then the one above is stored to `out`, and
/// the others move up. The T + 2 inputs stay in registers, the nine weights come from L1, one per T multiply-adds,
/// and what a sum starts with once a row: held in a register, it would be the one too many of the largest tiles.
@inline(__always)
private func rollRow<let T: Int, let W: Int>(
    _ row: Int, _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ weights: UnsafePointer<Float>, _ start: UnsafePointer<Float>,
    _ above: inout InlineArray<T, Vector>, _ on: inout InlineArray<T, Vector>, _ a: borrowing RollArguments,
    _ shape: RollShape<T, W>.Type
) {
    var value = zeros(InlineArray<W, Vector>.self)
    if a.hasLeft { value[0] = load(x) }
    for j in 1..<W - 1 { value[j] = load(x + j &* a.step) }
    if a.hasRight { value[W - 1] = load(x + (W - 1) &* a.step) }
    var below = zeros(InlineArray<T, Vector>.self)
    for t in 0..<T { below[t] = load(start) }
    if row == 0 {
        for k in 0..<3 {
            feed(k, weights + 3 &* lanes, value, &on)
            feed(k, weights, value, &below)
        }
    } else {
        if row < a.rows &- 1 {
            for k in 0..<3 {
                feed(k, weights + 6 &* lanes, value, &above)
                feed(k, weights + 3 &* lanes, value, &on)
                feed(k, weights, value, &below)
            }
        } else {
            for k in 0..<3 {
                feed(k, weights + 6 &* lanes, value, &above)
                feed(k, weights + 3 &* lanes, value, &on)
            }
        }
        finishSums(&above, out, a)
    }
    above = on
    on = below
}

/// Column `k` of a row of taps: into every sum the input that lies `k` places from the left of its window.
@inline(__always)
private func feed<let T: Int, let W: Int>(
    _ k: Int, _ weights: UnsafePointer<Float>, _ value: borrowing InlineArray<W, Vector>, _ sum: inout InlineArray<T, Vector>
) {
    let weight = load(weights + k &* lanes)
    for t in 0..<T { sum[t] = multiplyAdd(value[t &+ k], weight, sum[t]) }
}

@inline(__always)
private func finishSums<let T: Int>(
    _ sum: inout InlineArray<T, Vector>, _ out: UnsafeMutablePointer<Float>, _ a: borrowing RollArguments
) {
    if a.activation == .relu {
        for t in 0..<T { sum[t] = larger(sum[t], Vector(repeating: 0)) }
    }
    for t in 0..<T { store(out + t &* a.step, sum[t]) }
}

@inline(never)
private func roll<let T: Int, let W: Int>(_ a: borrowing RollArguments, _ shape: RollShape<T, W>.Type) {
    guard 4 &* T &+ 3 <= vectorRegisters else { return }
    rollTile(a, shape)
    activateStored(rows: a.rows, pixels: T, a.dst, rowStep: a.rowStep, step: a.step, groups: a.groups, a.activation)
}

/// Runs the tile of `t` pixels.
@inline(__always)
private func runRollTile(_ t: Int, _ a: borrowing RollArguments) {
    switch t {
    case 1: roll(a, RollShape<1, 3>.self)
    case 2: roll(a, RollShape<2, 4>.self)
    case 3: roll(a, RollShape<3, 5>.self)
    case 4: roll(a, RollShape<4, 6>.self)
    case 5: roll(a, RollShape<5, 7>.self)
    case 6: roll(a, RollShape<6, 8>.self)
    default: preconditionFailure("no such tile")
    }
}
