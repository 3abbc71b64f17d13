import ConvCore
import ThreadPool

/// Depthwise convolution under 3 × 3 taps that keeps its map, NHWC: each column of `t` pixels of a dilation phase walked down with
/// three rows of sums in registers.
///
/// Every line of inputs is met once per column of tiles and goes at once into the three rows of outputs that it lies under: (t + 2)/t
/// lines and one store per output, beside nine weights, from L1, per `t` outputs. So nothing has to be found in L1 again, where pixels of one phase that lie a power of two apart share a
/// few cache sets, and a line that is fetched from L2 or L3 has done its work. Order: rows of phases, column tiles, phases along a row
/// (neighbouring pixels), vectors of channels, rows.
///
/// Of attainable, at 16 lanes on YOLOv5's maps of 40 × 40 and more, dilation 2 to 5: 76 to 88 % (`dw-phase` 57 to 81), where all pixels
/// of a tile share a set 57 to 84 % (36 to 64). At 8 lanes 50 to 60 % (40 to 63). On phases of three rows `dw-phase` passes it.
///
/// With 8 lanes a line holds two vectors, and where the lines of a walk share few sets the second finds it gone: `h` = 2 walks both down
/// together. Beside three pixels of one vector, on a disturbed Zen 3: 8 % slower to 39 % faster where pixels of a phase lie a multiple
/// of 4 KiB apart (512 channels at dilation 2 and 4, 256 at 4), 6 % slower on the mean of all maps, 45 % on phases of three rows.
///
/// Lost: asking for the outputs of a row before its sums, or for inputs or outputs of the next vectors (up to 13 % slower at 16 lanes,
/// 18 % at 8); rows of seven sums, 31 registers, of which the compiler spills some; at 8 lanes, the two vectors of a line taking turns
/// every 1 to 8 rows (5 to 40 % slower).
///
/// Hangs on where dst lies: see `AlignedMemory.mapSpacing`.
let depthwiseRoll = Kernel(
    name: "dw-roll-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: .nhwc, threaded: true,
    summary: "3×3 taps: three rows of sums rolled down a column of pixels, every input loaded once",
    space: ConfigurationSpace(
        [
            Parameter("t", [2, 3, 4, 5, 6], standard: vectorRegisters == 32 ? 6 : 3, "most pixels in a row of sums"),
            Parameter("h", [1, 2], standard: 1, "neighbouring vectors of channels walked down together"),
            Parameter("g", [4, 8, 16, 1000], standard: 1000, "most vectors of channels in a unit of work"),
        ],
        constraint: holdsInputs
            ? "(2·h + 2)·t + 3 ≤ \(vectorRegisters) registers: 3·t sums, 2·t of another vector, t + 2 inputs, a weight"
            : "(2·h + 1)·t + 5 ≤ \(vectorRegisters) registers: 3·t sums, 2·t of another vector, three weights, an input, one over",
        admits: { fitsRoll(pixels: $0["t"], vectors: $0["h"]) }),
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
        let job = RollJob(p, mostPixels: c["t"], together: c["h"], blockVectors: c["g"], weights: weights, starts: starts)
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
    /// Vectors that one tile walks down together.
    let together: Int

    init(_ p: Problem, mostPixels: Int, together: Int, blockVectors: Int, weights: UnsafePointer<Float>, starts: UnsafePointer<Float>) {
        problem = p
        self.weights = weights
        self.starts = starts
        phaseRows = min(p.dilationH, p.oh)
        phaseColumns = min(p.dilationW, p.ow)
        parts = ((p.ow + p.dilationW - 1) / p.dilationW + mostPixels - 1) / mostPixels
        vectors = p.ic / lanes
        self.together = together
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
            let most = activatesStored(p.activation) ? max(together, activatedBytes / (rows * tile.count * lanes * 4)) : end
            var vector = block * blockVectors
            while vector < end {
                // The odd one out is walked down alone.
                let remaining = min(most, end - vector)
                let abreast = min(together, remaining)
                let groups = remaining / abreast * abreast
                let channel = vector * lanes
                let first = (image * p.ih + top) * p.iw + left
                runRollTile(
                    tile.count, abreast,
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

/// T pixels under W = T + 2 inputs × H vectors of channels; only the type is used.
enum RollShape<let T: Int, let W: Int, let H: Int> {}

/// Whether all inputs of a row fit the registers beside the sums, each weight coming from L1 once per T multiply-adds. With 16 the
/// three weights of a column of taps do, each input coming from L1 up to three times.
private let holdsInputs = vectorRegisters == 32

/// Of the vectors that are walked down together all but one have two rows of sums under way.
@inline(__always)
private func fitsRoll(pixels t: Int, vectors h: Int) -> Bool {
    (holdsInputs ? (2 &* h &+ 2) &* t &+ 3 : (2 &* h &+ 1) &* t &+ 5) <= vectorRegisters
}

/// The sums stay in registers down all rows.
@inline(__always)
private func rollTile<let T: Int, let W: Int, let H: Int>(_ a: borrowing RollArguments, _ shape: RollShape<T, W, H>.Type) {
    var src = a.src
    var weights = a.weights
    var start = a.starts
    var dst = a.dst
    let (step, rowStep) = (a.step, a.rowStep)
    for _ in 0..<a.groups / H {
        var above = zeros(TileShape<H, T>.self)
        var on = zeros(TileShape<H, T>.self)
        for h in 0..<H {
            for t in 0..<T { on[h][t] = load(start + h &* lanes) }
        }
        var x = src
        var out = dst - rowStep
        for row in 0..<a.rows {
            // Written out: see `windowRow` of the phase tile.
            rollRow(0, row, x, out, weights, start, &above, &on, a, shape)
            rollRow(1, row, x, out, weights, start, &above, &on, a, shape)
            x += rowStep
            out += rowStep
        }
        for h in 0..<H { finishSums(&above[h], out + h &* lanes, step, a.activation) }
        src += H &* lanes
        weights += 9 &* H &* lanes
        start += H &* lanes
        dst += H &* lanes
    }
}

/// A row of inputs of vector `h` goes into the sums of the rows of outputs `above`, `on` and below it; then the one above is stored to
/// `out`, and the others move up. What a sum starts with is loaded once a row: held in a register, it would be the one too many of the
/// largest tiles.
@inline(__always)
private func rollRow<let T: Int, let W: Int, let H: Int>(
    _ h: Int, _ row: Int, _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ weights: UnsafePointer<Float>,
    _ start: UnsafePointer<Float>, _ above: inout TileShape<H, T>, _ on: inout TileShape<H, T>, _ a: borrowing RollArguments,
    _ shape: RollShape<T, W, H>.Type
) {
    guard h < H else { return }
    let c = h &* lanes
    var below = zeros(InlineArray<T, Vector>.self)
    for t in 0..<T { below[t] = load(start + c) }
    if holdsInputs {
        feedHeld(row, x + c, weights + 9 &* c, &above[h], &on[h], &below, a, shape)
    } else if row == 0 {
        feedAnew(h, x, weights, isFirst: true, isLast: false, &above[h], &on[h], &below, a, shape)
    } else if row < a.rows &- 1 {
        feedAnew(h, x, weights, isFirst: false, isLast: false, &above[h], &on[h], &below, a, shape)
    } else {
        feedAnew(h, x, weights, isFirst: false, isLast: true, &above[h], &on[h], &below, a, shape)
    }
    if row > 0 { finishSums(&above[h], out + c, a.step, a.activation) }
    above[h] = on[h]
    on[h] = below
}

/// All taps of a row of inputs, which stay in registers.
@inline(__always)
private func feedHeld<let T: Int, let W: Int, let H: Int>(
    _ row: Int, _ x: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, _ above: inout InlineArray<T, Vector>,
    _ on: inout InlineArray<T, Vector>, _ below: inout InlineArray<T, Vector>, _ a: borrowing RollArguments,
    _ shape: RollShape<T, W, H>.Type
) {
    var value = zeros(InlineArray<W, Vector>.self)
    if a.hasLeft { value[0] = load(x) }
    for j in 1..<W - 1 { value[j] = load(x + j &* a.step) }
    if a.hasRight { value[W - 1] = load(x + (W - 1) &* a.step) }
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
    }
}

/// Column `k` of a row of taps: into every sum the input that lies `k` places from the left of its window.
@inline(__always)
private func feed<let T: Int, let W: Int>(
    _ k: Int, _ weights: UnsafePointer<Float>, _ value: borrowing InlineArray<W, Vector>, _ sum: inout InlineArray<T, Vector>
) {
    let weight = load(weights + k &* lanes)
    for t in 0..<T { sum[t] = multiplyAdd(value[t &+ k], weight, sum[t]) }
}

/// All taps of a row of inputs, column by column: the weights of one stay in registers, the inputs are loaded anew for the next.
@inline(__always)
private func feedAnew<let T: Int, let W: Int, let H: Int>(
    _ h: Int, _ x: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, isFirst: Bool, isLast: Bool,
    _ above: inout InlineArray<T, Vector>, _ on: inout InlineArray<T, Vector>, _ below: inout InlineArray<T, Vector>,
    _ a: borrowing RollArguments, _ shape: RollShape<T, W, H>.Type
) {
    column(0, h, x, weights, isFirst: isFirst, isLast: isLast, &above, &on, &below, a, shape)
    column(1, h, x, weights, isFirst: isFirst, isLast: isLast, &above, &on, &below, a, shape)
    column(2, h, x, weights, isFirst: isFirst, isLast: isLast, &above, &on, &below, a, shape)
}

@inline(__always)
private func column<let T: Int, let W: Int, let H: Int>(
    _ k: Int, _ h: Int, _ x: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, isFirst: Bool, isLast: Bool,
    _ above: inout InlineArray<T, Vector>, _ on: inout InlineArray<T, Vector>, _ below: inout InlineArray<T, Vector>,
    _ a: borrowing RollArguments, _ shape: RollShape<T, W, H>.Type
) {
    let w = loadedAnew(weights) + (9 &* h &+ k) &* lanes
    let (up, level, down) = (load(w + 6 &* lanes), load(w + 3 &* lanes), load(w))
    let x = loadedAnew(x)
    for t in 0..<T {
        if k == 0, t == 0, !a.hasLeft { continue }
        if k == 2, t == T - 1, !a.hasRight { continue }
        let value = load(x + ((t &+ k) &* a.step &+ h &* lanes))
        if !isFirst { above[t] = multiplyAdd(value, up, above[t]) }
        on[t] = multiplyAdd(value, level, on[t])
        if !isLast { below[t] = multiplyAdd(value, down, below[t]) }
    }
}

@inline(__always)
private func finishSums<let T: Int>(
    _ sum: inout InlineArray<T, Vector>, _ out: UnsafeMutablePointer<Float>, _ step: Int, _ activation: Activation
) {
    if activation == .relu {
        for t in 0..<T { sum[t] = larger(sum[t], Vector(repeating: 0)) }
    }
    for t in 0..<T { store(out + t &* step, sum[t]) }
}

@inline(never)
private func roll<let T: Int, let W: Int, let H: Int>(_ a: borrowing RollArguments, _ shape: RollShape<T, W, H>.Type) {
    guard fitsRoll(pixels: T, vectors: H) else { return }
    rollTile(a, shape)
    activateStored(rows: a.rows, pixels: T, a.dst, rowStep: a.rowStep, step: a.step, groups: a.groups, a.activation)
}

/// Runs the tile of `t` pixels × `h` vectors.
@inline(__always)
private func runRollTile(_ t: Int, _ h: Int, _ a: borrowing RollArguments) {
    switch h &* 8 &+ t {
    case 9: roll(a, RollShape<1, 3, 1>.self)
    case 10: roll(a, RollShape<2, 4, 1>.self)
    case 11: roll(a, RollShape<3, 5, 1>.self)
    case 12: roll(a, RollShape<4, 6, 1>.self)
    case 13: roll(a, RollShape<5, 7, 1>.self)
    case 14: roll(a, RollShape<6, 8, 1>.self)
    case 17: roll(a, RollShape<1, 3, 2>.self)
    case 18: roll(a, RollShape<2, 4, 2>.self)
    case 19: roll(a, RollShape<3, 5, 2>.self)
    case 20: roll(a, RollShape<4, 6, 2>.self)
    default: preconditionFailure("no such tile")
    }
}
