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
let depthwiseRoll = rollKernel(
    "dw-roll", .nhwc, summary: "3×3 taps: three rows of sums rolled down a column of pixels, every input loaded once",
    further: [Parameter("g", [4, 8, 16, 1000], standard: 1000, "most vectors of channels in a unit of work")]
) { p in
    p.ic % lanes == 0 ? .yes : .no(reason: "\(p.ic) channels are no whole vectors of \(lanes); dw-phase takes them")
}

/// The same walk on blocks of 16 channels, each a map of its own: see ``depthwisePhaseBlocked``. Columns of tiles that differ in their
/// place alone are walked down one after the other.
let depthwiseRollBlocked = rollKernel(
    "dw-roll-blocked", .nchw16c, summary: "3×3 taps on blocks of channels: three rows of sums rolled down a column of pixels, every input loaded once",
    further: []
) { wholeBlocks($0.ic, insteadOf: "dw-phase") }

private func rollKernel(
    _ algorithm: String, _ layout: Layout, summary: String, further: [Parameter],
    supportsChannels: @escaping @Sendable (Problem) -> Kernel.Support
) -> Kernel {
    Kernel(
        name: "\(algorithm)-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: layout, threaded: true, summary: summary,
        space: ConfigurationSpace(
            [
                Parameter("t", [2, 3, 4, 5, 6], standard: vectorRegisters == 32 ? 6 : 3, "most pixels in a row of sums"),
                Parameter("h", [1, 2], standard: 1, "neighbouring vectors of channels walked down together"),
            ] + further,
            constraint: holdsInputs
                ? "(2·h + 2)·t + 3 ≤ \(vectorRegisters) registers: 3·t sums, 2·t of another vector, t + 2 inputs, a weight"
                : "(2·h + 1)·t + 5 ≤ \(vectorRegisters) registers: 3·t sums, 2·t of another vector, three weights, an input, one over",
            admits: { fitsRoll(pixels: $0["t"], vectors: $0["h"]) && (layout == .nhwc || $0["h"] <= blockVectors) }),
        supports: { p in
            guard p.kh == 3, p.kw == 3 else { return .no(reason: "\(p.kh)×\(p.kw) taps; it takes 3×3; dw-phase takes others") }
            guard p.strideH == 1, p.strideW == 1, p.oh == p.ih, p.ow == p.iw, p.padTop == p.dilationH, p.padLeft == p.dilationW
            else { return .no(reason: "the map changes or shifts; it takes stride 1 and a padding of the dilation") }
            return supportsChannels(p)
        },
        memory: { p, _, _ in Kernel.Memory(packed: 4 * (p.weightCount + p.ic)) },
        plan: { p, c, inputs in
            let weights = inputs.packed.assumingMemoryBound(to: Float.self)
            packVectorMajor(p, inputs.weights, into: weights)
            let starts = weights + p.weightCount
            for channel in 0..<p.ic { starts[channel] = inputs.bias?[channel] ?? 0 }
            let isBlocked = layout == .nchw16c
            let job = RollJob(
                p, layout, mostPixels: c["t"], together: c["h"], passVectors: isBlocked ? blockVectors : c["g"], threads: inputs.threads,
                weights: weights, starts: starts)
            return Kernel.Plan { [pool = inputs.pool] src, dst in
                pool.run { index in
                    job.run(ThreadPool.share(of: job.units, index: index, parts: pool.threads), src: src, dst: dst)
                }
            }
        })
}

/// The map cut into units of work: an image × channels × a row of phases × columns. A class, since the copying of a large struct becomes
/// a shared function with instructions of this level.
private final class RollJob: Sendable {
    let problem: Problem
    nonisolated(unsafe) let weights: UnsafePointer<Float>
    nonisolated(unsafe) let starts: UnsafePointer<Float>
    /// Of the image.
    let phaseRows: Int
    /// In blocks of channels in runs of those alike.
    let columns: [PhaseColumn]
    /// Of all channels, and those that go over the map together: in blocks of channels those of a block.
    let vectors, passVectors: Int
    /// Vectors that one tile walks down together.
    let together: Int
    let isBlocked: Bool
    /// Floats from one pixel to the next.
    let pixelStep: Int

    init(
        _ p: Problem, _ layout: Layout, mostPixels: Int, together: Int, passVectors: Int, threads: Int, weights: UnsafePointer<Float>,
        starts: UnsafePointer<Float>
    ) {
        problem = p
        self.weights = weights
        self.starts = starts
        phaseRows = min(p.dilationH, p.oh)
        isBlocked = layout == .nchw16c
        columns = PhaseColumn.all(width: p.ow, dilation: p.dilationW, most: mostPixels, inRuns: isBlocked && sharesMaps(p, threads: threads))
        vectors = p.ic / lanes
        self.together = together
        self.passVectors = min(passVectors, vectors)
        pixelStep = layout.steps(channels: p.ic, pixels: p.ih * p.iw).pixel
    }

    private var passes: Int { (vectors + passVectors - 1) / passVectors }

    var units: Int { problem.batch * passes * phaseRows * columns.count }

    func run(_ share: Range<Int>, src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>) {
        let p = problem
        for unit in share {
            let tile = columns[unit % columns.count]
            let run = tile.run
            let top = unit / columns.count % phaseRows
            let pass = unit / columns.count / phaseRows % passes
            let image = unit / columns.count / phaseRows / passes
            let first = top * p.iw + tile.first
            let rows = (p.oh - top + p.dilationH - 1) / p.dilationH
            let own = pass * passVectors..<min(vectors, (pass + 1) * passVectors)
            // Sums that are activated where they lie should not have left L1.
            let most = activatesStored(p.activation) ? max(1, activatedBytes / (rows * tile.count * lanes * 4)) : Int.max
            let map = isBlocked ? image * passes + pass : image
            let offset = (map * p.oh * p.ow + first) * pixelStep - (isBlocked ? own.lowerBound * lanes : 0)
            if isBlocked {
                for vector in stride(from: own.lowerBound, to: own.upperBound, by: together) {
                    var done = 0
                    while done < run.count {
                        let groups = min(most, run.count - done)
                        walk(
                            tile, vector, together, rows: rows, groups: groups, groupStep: run.step * pixelStep, weightGroupStep: 0, startGroupStep: 0,
                            src: src + (offset + done * run.step * pixelStep), dst: dst + (offset + done * run.step * pixelStep))
                        done += groups
                    }
                }
            } else {
                var vector = own.lowerBound
                while vector < own.upperBound {
                    // The odd one out is walked down alone.
                    let remaining = own.upperBound - vector
                    let abreast = min(together, remaining)
                    let groups = max(1, min(most, remaining) / abreast)
                    walk(
                        tile, vector, abreast, rows: rows, groups: groups, groupStep: abreast * lanes, weightGroupStep: 9 * abreast * lanes,
                        startGroupStep: abreast * lanes, src: src + offset, dst: dst + offset)
                    vector += groups * abreast
                }
            }
        }
    }

    /// src and dst are the tile's first output's place, of the first channel.
    private func walk(
        _ tile: PhaseColumn, _ vector: Int, _ abreast: Int, rows: Int, groups: Int, groupStep: Int, weightGroupStep: Int, startGroupStep: Int,
        src: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>
    ) {
        let p = problem
        let step = p.dilationW * pixelStep
        let channel = vector * lanes
        runRollTile(
            tile.count, abreast,
            RollArguments(
                src: src + (channel - step), weights: weights + channel * 9, starts: starts + channel, dst: dst + channel, rows: rows, step: step,
                rowStep: p.dilationH * p.iw * pixelStep, hasLeft: tile.hasLeft, hasRight: tile.hasRight, groups: groups, groupStep: groupStep,
                weightGroupStep: weightGroupStep, startGroupStep: startGroupStep, activation: p.activation))
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
    /// How many times to walk down: neighbouring vectors of channels, or other columns of the map.
    var groups: Int
    /// From one of them to the next: in src and dst, in the weights, in the starts.
    var groupStep, weightGroupStep, startGroupStep: Int
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
    for _ in 0..<a.groups {
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
        src += a.groupStep
        weights += a.weightGroupStep
        start += a.startGroupStep
        dst += a.groupStep
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
    let (x, w) = (x + c, weights + 9 &* c)
    if row == 0 {
        feed(x, w, isFirst: true, isLast: false, &above[h], &on[h], &below, a, shape)
    } else if row < a.rows &- 1 {
        feed(x, w, isFirst: false, isLast: false, &above[h], &on[h], &below, a, shape)
    } else {
        feed(x, w, isFirst: false, isLast: true, &above[h], &on[h], &below, a, shape)
    }
    if row > 0 { finishSums(&above[h], out + c, a.step, a.activation) }
    above[h] = on[h]
    on[h] = below
}

/// All taps of a row of inputs, column by column. `isFirst`: there is no row of outputs above, `isLast`: none below.
@inline(__always)
private func feed<let T: Int, let W: Int, let H: Int>(
    _ x: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, isFirst: Bool, isLast: Bool, _ above: inout InlineArray<T, Vector>,
    _ on: inout InlineArray<T, Vector>, _ below: inout InlineArray<T, Vector>, _ a: borrowing RollArguments,
    _ shape: RollShape<T, W, H>.Type
) {
    if holdsInputs {
        var value = zeros(InlineArray<T, Vector>.self)
        for t in 0..<T { value[t] = load(x + (t &+ 1) &* a.step) }
        heldColumn(0, value, weights, isFirst: isFirst, isLast: isLast, &above, &on, &below)
        heldColumn(1, value, weights, isFirst: isFirst, isLast: isLast, &above, &on, &below)
        heldColumn(2, value, weights, isFirst: isFirst, isLast: isLast, &above, &on, &below)
        // Beside the tile: nothing is computed in the padding.
        if a.hasLeft { side(0, 0, load(x), weights, isFirst: isFirst, isLast: isLast, &above, &on, &below) }
        if a.hasRight { side(2, T &- 1, load(x + (W &- 1) &* a.step), weights, isFirst: isFirst, isLast: isLast, &above, &on, &below) }
    } else {
        column(0, x, weights, isFirst: isFirst, isLast: isLast, &above, &on, &below, a, shape)
        column(1, x, weights, isFirst: isFirst, isLast: isLast, &above, &on, &below, a, shape)
        column(2, x, weights, isFirst: isFirst, isLast: isLast, &above, &on, &below, a, shape)
    }
}

/// Column `k` of the taps over the inputs under the tile, which are held: into every sum the one that lies k − 1 places to its right.
@inline(__always)
private func heldColumn<let T: Int>(
    _ k: Int, _ value: borrowing InlineArray<T, Vector>, _ weights: UnsafePointer<Float>, isFirst: Bool, isLast: Bool,
    _ above: inout InlineArray<T, Vector>, _ on: inout InlineArray<T, Vector>, _ below: inout InlineArray<T, Vector>
) {
    if !isFirst { heldRow(k, value, weights + 6 &* lanes, &above) }
    heldRow(k, value, weights + 3 &* lanes, &on)
    if !isLast { heldRow(k, value, weights, &below) }
}

@inline(__always)
private func heldRow<let T: Int>(
    _ k: Int, _ value: borrowing InlineArray<T, Vector>, _ weights: UnsafePointer<Float>, _ sum: inout InlineArray<T, Vector>
) {
    let weight = load(weights + k &* lanes)
    for t in 0..<T {
        let j = t &+ k &- 1
        if j >= 0, j < T { sum[t] = multiplyAdd(value[j], weight, sum[t]) }
    }
}

/// An input beside the tile, under column `k` of the taps, into the sums of pixel `t`.
@inline(__always)
private func side<let T: Int>(
    _ k: Int, _ t: Int, _ value: Vector, _ weights: UnsafePointer<Float>, isFirst: Bool, isLast: Bool,
    _ above: inout InlineArray<T, Vector>, _ on: inout InlineArray<T, Vector>, _ below: inout InlineArray<T, Vector>
) {
    let w = weights + k &* lanes
    if !isFirst { above[t] = multiplyAdd(value, load(w + 6 &* lanes), above[t]) }
    on[t] = multiplyAdd(value, load(w + 3 &* lanes), on[t])
    if !isLast { below[t] = multiplyAdd(value, load(w), below[t]) }
}

/// Column `k` of the taps, whose three weights stay in registers; the inputs are loaded anew for the next.
@inline(__always)
private func column<let T: Int, let W: Int, let H: Int>(
    _ k: Int, _ x: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, isFirst: Bool, isLast: Bool,
    _ above: inout InlineArray<T, Vector>, _ on: inout InlineArray<T, Vector>, _ below: inout InlineArray<T, Vector>,
    _ a: borrowing RollArguments, _ shape: RollShape<T, W, H>.Type
) {
    let w = loadedAnew(weights) + k &* lanes
    let (up, level, down) = (load(w + 6 &* lanes), load(w + 3 &* lanes), load(w))
    let x = loadedAnew(x)
    for t in 0..<T {
        if k == 0, t == 0, !a.hasLeft { continue }
        if k == 2, t == T - 1, !a.hasRight { continue }
        let value = load(x + (t &+ k) &* a.step)
        if !isFirst { above[t] = multiplyAdd(value, up, above[t]) }
        on[t] = multiplyAdd(value, level, on[t])
        if !isLast { below[t] = multiplyAdd(value, down, below[t]) }
    }
}

@inline(never)
private func roll<let T: Int, let W: Int, let H: Int>(_ a: borrowing RollArguments, _ shape: RollShape<T, W, H>.Type) {
    guard fitsRoll(pixels: T, vectors: H) else { return }
    rollTile(a, shape)
    activateStored(
        rows: a.rows, pixels: T, a.dst, rowStep: a.rowStep, step: a.step, groups: a.groups, vectors: H, groupStep: a.groupStep, a.activation)
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
