import ConvCore
import CVector

/// T pixels of a phase under rows of K taps, with inputs beside them in the row, left and right (1), or none (0); only the type is used.
private enum LineShape<let K: Int, let T: Int, let L: Int, let R: Int> {}
/// K columns of taps.
enum LineTaps<let K: Int> {}

/// P neighbouring phases together.
private enum PhaseCount<let P: Int> {}

/// How many of a row's weights are in registers beside so many sums and inputs; the others are operands from L1.
@inline(__always)
private func heldWeights(_ k: Int, beside vectors: Int) -> Int { max(0, min(k, vectorRegisters &- vectors)) }

/// T sums for each of `a.phases` phases; of few pixels two phases together, since fewer than eight sums keep the units waiting for each other. An odd
/// phase is not left over: three begin. By three throughout, with no register left for weights, four and ten phases took 1.13 and 1.07 times as long.
@inline(never)
private func line<let K: Int, let T: Int, let L: Int, let R: Int>(_ a: borrowing LineArguments, _ shape: LineShape<K, T, L, R>.Type) {
    // Else no kernel comes here, and there is nothing to compile.
    guard T <= mostLinePixels(taps: K, beside: L == 1 || R == 1) else { return }
    var src = a.src
    var dst = a.dst
    var phases = a.phases
    if T <= mostPixelsOfThree, L == 0, R == 0, phases > 1, phases & 1 == 1 {
        line(src, dst, a, shape, PhaseCount<3>.self)
        src += 3 &* Layout.blockChannels
        dst += 3 &* Layout.blockChannels
        phases -= 3
    }
    if T <= mostPairedPixels, L == 0, R == 0 {
        while phases > 1 {
            line(src, dst, a, shape, PhaseCount<2>.self)
            src += 2 &* Layout.blockChannels
            dst += 2 &* Layout.blockChannels
            phases -= 2
        }
    }
    while phases > 0 {
        line(src, dst, a, shape, PhaseCount<1>.self)
        src += Layout.blockChannels
        dst += Layout.blockChannels
        phases -= 1
    }
}

/// Rows of taps in a loop, each input of a row in a register for all the taps under which it meets these pixels. Which those are is settled at compile
/// time.
@inline(__always)
private func line<let K: Int, let T: Int, let L: Int, let R: Int, let P: Int>(
    _ src: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>, _ a: borrowing LineArguments, _ shape: LineShape<K, T, L, R>.Type,
    _ count: PhaseCount<P>.Type
) {
    var sum = zeros(TileShape<P, T>.self)
    let start = load(loadedAnew(a.starts))
    for p in 0..<P {
        for t in 0..<T { sum[p][t] = start }
    }
    var x = src
    var w = a.weights + a.tap &* K &* lanes
    let last = w + a.inputRows &* K &* lanes
    repeat {
        var held = zeros(InlineArray<K, Vector>.self)
        // What is not held is not loaded either.
        for k in 0..<K { held[k] = load(w + k &* lanes) }
        place(0, x, w, held, &sum, a, shape)
        place(1, x, w, held, &sum, a, shape)
        place(2, x, w, held, &sum, a, shape)
        place(3, x, w, held, &sum, a, shape)
        place(4, x, w, held, &sum, a, shape)
        place(5, x, w, held, &sum, a, shape)
        place(6, x, w, held, &sum, a, shape)
        place(7, x, w, held, &sum, a, shape)
        place(8, x, w, held, &sum, a, shape)
        place(9, x, w, held, &sum, a, shape)
        place(10, x, w, held, &sum, a, shape)
        place(11, x, w, held, &sum, a, shape)
        place(12, x, w, held, &sum, a, shape)
        place(13, x, w, held, &sum, a, shape)
        place(14, x, w, held, &sum, a, shape)
        place(15, x, w, held, &sum, a, shape)
        place(16, x, w, held, &sum, a, shape)
        place(17, x, w, held, &sum, a, shape)
        place(18, x, w, held, &sum, a, shape)
        place(19, x, w, held, &sum, a, shape)
        x += a.rowStep
        w = loadedAnew(w + K &* lanes)
    } while w != last
    let least = load(loadedAnew(a.least))
    for p in 0..<P {
        for t in 0..<T {
            let place = t &* a.step &+ p &* Layout.blockChannels
            atrous_prefetch(src + (place &+ a.ahead))
            store(dst + place, atLeast(sum[p][t], least))
        }
    }
}

/// The inputs `j` − K/2 places from the first pixels, if there are any: into the sum of every output that they lie under.
@inline(__always)
private func place<let K: Int, let T: Int, let L: Int, let R: Int, let P: Int>(
    _ j: Int, _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>, _ held: borrowing InlineArray<K, Vector>, _ sum: inout TileShape<P, T>,
    _ a: borrowing LineArguments, _ shape: LineShape<K, T, L, R>.Type
) {
    let i = j &- K / 2
    guard j < T &+ K &- 1, L == 1 || i >= 0, R == 1 || i < T else { return }
    var value = zeros(InlineArray<P, Vector>.self)
    for p in 0..<P { value[p] = load(x + (i &* a.step &+ p &* Layout.blockChannels)) }
    // Of two phases a weight is loaded for both.
    let heldCount = heldWeights(K, beside: P &* T &+ P &+ (P &- 1))
    // For every input anew: else they would wait in registers.
    let anew = heldCount < K ? loadedAnew(w) : w
    // The shorter way round: eleven taps over six pixels the compiler does not unroll.
    for i in 0..<min(K, T) {
        let k = K <= T ? i : j &- i
        let t = j &- k
        if t >= 0, t < T, k >= 0, k < K {
            let weight = k < heldCount ? held[k] : load(anew + k &* lanes)
            for p in 0..<P { sum[p][t] = multiplyAdd(value[p], weight, sum[p][t]) }
        }
    }
}

/// Whether these tiles are compiled: with 32 registers the tiles of `dw-phase` do as well, on x86 below AVX2 there are no multiply-adds.
let compilesLines = vectorRegisters == 16

/// The columns of taps of compiled tiles.
let lineTaps = [5, 7, 9, 11]

/// The most pixels of a tile, which is alone in its row or has inputs `beside` it: of more, under nine and eleven columns of taps, the compiler spills;
/// beyond twelve, three weights would be held or fewer.
@inline(__always)
private func mostLinePixels(taps k: Int, beside: Bool) -> Int {
    switch k {
    case 11: beside ? 7 : 10
    case 9: beside ? 9 : 10
    default: beside ? 10 : 12
    }
}

/// The most pixels of whole phases of which two are computed together: their sums, an input of each and a weight.
private let mostPairedPixels = 6

/// The most pixels of whole phases of which three are: five of four pixels took 0.92 to 0.99 of the time on a Zen 3.
private let mostPixelsOfThree = 4

/// The rows of a map, cut into compiled tiles.
func lineParts(_ p: Problem) -> [LinePart] {
    let places = p.columns.longestPhase
    let longest = p.columns.longestPhases
    return lineParts(p, places: places, first: 0, phases: longest)
        + (places > 1 ? lineParts(p, places: places - 1, first: longest, phases: p.dilationW - longest) : [])
}

/// Those of neighbouring phases of `places` pixels, from the one on that begins at pixel `first` of the row.
private func lineParts(_ p: Problem, places: Int, first: Int, phases: Int) -> [LinePart] {
    guard phases > 0 else { return [] }
    let most = mostLinePixels(taps: p.kw, beside: true)
    let count = places <= mostLinePixels(taps: p.kw, beside: false) ? 1 : (places + most - 1) / most
    return (0..<count).map { part in
        let begin = places * part / count
        let pixels = places * (part + 1) / count - begin
        return (pixel: first + begin * p.dilationW, phases: phases, shape: pixels + (part > 0 ? 16 : 0) + (part < count - 1 ? 32 : 0))
    }
}

/// Computes a part of a row with the tile of that number: its pixels, and 16 where there are inputs to the left of it, 32 to the right.
@inline(__always)
func runLine<let K: Int>(_ shape: Int, _ a: borrowing LineArguments, _ taps: LineTaps<K>.Type) {
    guard compilesLines else { preconditionFailure("no such tile") }
    switch shape {
    case 1: line(a, LineShape<K, 1, 0, 0>.self)
    case 2: line(a, LineShape<K, 2, 0, 0>.self)
    case 3: line(a, LineShape<K, 3, 0, 0>.self)
    case 4: line(a, LineShape<K, 4, 0, 0>.self)
    case 5: line(a, LineShape<K, 5, 0, 0>.self)
    case 6: line(a, LineShape<K, 6, 0, 0>.self)
    case 7: line(a, LineShape<K, 7, 0, 0>.self)
    case 8: line(a, LineShape<K, 8, 0, 0>.self)
    case 9: line(a, LineShape<K, 9, 0, 0>.self)
    case 10: line(a, LineShape<K, 10, 0, 0>.self)
    case 11: line(a, LineShape<K, 11, 0, 0>.self)
    case 12: line(a, LineShape<K, 12, 0, 0>.self)
    case 37: line(a, LineShape<K, 5, 0, 1>.self)
    case 38: line(a, LineShape<K, 6, 0, 1>.self)
    case 39: line(a, LineShape<K, 7, 0, 1>.self)
    case 40: line(a, LineShape<K, 8, 0, 1>.self)
    case 41: line(a, LineShape<K, 9, 0, 1>.self)
    case 42: line(a, LineShape<K, 10, 0, 1>.self)
    case 21: line(a, LineShape<K, 5, 1, 0>.self)
    case 22: line(a, LineShape<K, 6, 1, 0>.self)
    case 23: line(a, LineShape<K, 7, 1, 0>.self)
    case 24: line(a, LineShape<K, 8, 1, 0>.self)
    case 25: line(a, LineShape<K, 9, 1, 0>.self)
    case 26: line(a, LineShape<K, 10, 1, 0>.self)
    case 53: line(a, LineShape<K, 5, 1, 1>.self)
    case 54: line(a, LineShape<K, 6, 1, 1>.self)
    case 55: line(a, LineShape<K, 7, 1, 1>.self)
    case 56: line(a, LineShape<K, 8, 1, 1>.self)
    case 57: line(a, LineShape<K, 9, 1, 1>.self)
    case 58: line(a, LineShape<K, 10, 1, 1>.self)
    default: preconditionFailure("no such tile")
    }
}
