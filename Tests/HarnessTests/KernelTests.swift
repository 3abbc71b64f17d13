import ConvCore
import Harness
import KernelRegistry
import ReferenceKernels
import Testing
import ThreadPool

/// Every kernel of every usable level against the oracle, where kernels go wrong: at the edges of maps, channels and tiles.
@Suite struct KernelTests {
    static let registry = KernelRegistry(level: InstructionSet.detected)

    /// Sizes one less, equal and one more than a vector of each level, primes, single channels and pixels, dilations larger
    /// than the map, strides, batches, paddings that reach far out.
    static let edges: [String] = {
        var texts: [String] = []
        for lanes in [4, 8, 16] {
            for c in [lanes - 1, lanes, lanes + 1] {
                texts.append("dw:c\(c)h9w11k3d2_silu")
                texts.append("pw:c\(c)o\(c + 2)h5w\(c)_relu")
                texts.append("conv:c\(c)o\(c)h6w\(c)k3d2_hardswish")
                texts.append("sep:c\(c)o\(c + 2)h6w9k3d2_silu")
            }
        }
        texts += ["dw:c1h1k1", "dw:c1h1k9d9", "dw:c16h1w1k3d1_relu", "dw:c5h7w5k9d9_silu", "dw:mb3c13h11w23k5d5", "dw:c64h3w40k7d7",
                  "dw:c33h17k3s2", "dw:c16h15w13k5d2s2_silu", "dw:mb2c2h31w1k11d1", "dw:c48h2w2k2d3",
                  "dw:mb2c32h9w8k3d2_relu", "dw:mb2c48h13w9k11_silu", "dw:c100h13k3d9_hardswish",
                  "dw:mb2c32h7w30k1_silu", "dw:c32h21w45k7d3_silu", "dw:c16h20w41k5d2s2",
                  "dw:c48h7w21k3s2_relu", "g16mb1ic16ih30iw30oc16oh15ow30kh3kw11sh2sw1ph1pw5", "dw:c32h24k11d2s2_relu", "dw:mb2c37h5w6k7s2_silu", "dw:c32h3w4k9s2_hardswish",
                  "g16mb1ic16ih5oc16oh7kh3sh2ph5", "dw:mb2c37h14w45k5s2_hardswish", "dw:c32h20k7s2d3_silu", "dw:c16h9w40k9s2", "dw:c32h41k11s2_relu",
                  "g32mb1ic32ih20oc32oh10kh4ph1sh2", "g16mb1ic16ih9iw30oc16oh9ow15kh3kw3sh1sw2ph1pw1", "g16mb1ic16ih30iw9oc16oh10ow9kh3kw3sh3sw1ph1pw1",
                  "g16mb1ic16ih2oc16oh2kh3sh2ph1", "g32mb1ic32ih14oc32oh7kh1sh2", "dw:c16h31k3s3", "dw:c32h24k5d4s6",
                  "dw:c16h64w32k3d2_silu", "dw:c32h15w16k5d2_silu", "dw:c32h14k7d2"]
        texts += ["pw:c1o1h1", "pw:c1o17h1", "pw:c17o1h1", "pw:mb3c7o5h11w3_hardswish", "pw:c600o33h3", "pw:c31o67h13_silu", "pw:c4o4h64", "pw:mb3c16o48h7w3_hardswish", "pw:c528o32h23_relu"]
        texts += ["conv:c1o1h1k3d4", "conv:c3o5h7w5k9d9_silu", "conv:g3c9o6h8k3s2", "conv:mb3c4o7h13k5d3", "conv:c8o8h9k1s2",
                  "conv:g2c2o8h6k4d2", "conv:c2o3h5w29k7d1_relu", "mb1ic3ih6oc4oh6kh3ph1_bias0", "mb2ic4ih8iw5oc6oh4ow9kh3kw2sh2sw1dh1dw2ph2pw5",
                  "mb1ic2ih4oc2oh8kh1ph2", "g6mb1ic6ih9iw4oc6oh4ow8kh2kw5sh2sw1dh3dw0ph1pw4_silu"]
        texts += ["sep:c1o1h1k1", "sep:c5o7h7w5k9d9_relu", "sep:mb3c33o17h13w11k5d5", "g12mb2ic12ih9oc12oh5kh3sh2ph1_relu+oc20_hardswish",
                  "g9mb1ic9ih8oc9oh8kh3ph1_bias0_relu+oc4"]
        return texts
    }()

    @Test(arguments: edges)
    func everyKernelAgreesWithTheOracle(text: String) throws {
        let problem = try Problem(parsing: text)
        let data = try ProblemData(problem, seed: 11)
        let (able, unable) = Self.registry.split(for: problem)
        #expect(able.contains { $0.family == .naive } && able.contains { $0.family == .tiled })
        for (kernel, reason) in unable { #expect(!reason.isEmpty, "\(kernel.name)") }
        for threads in [1, 2, 3] {
            let candidates = able.filter { threads == 1 || $0.threaded }.map { Candidate($0) }
            for (candidate, outcome) in try Trial(data, candidates: candidates, pool: ThreadPool(threads: threads)).run(measuring: nil) {
                if case .failed(let fault) = outcome { Issue.record("\(candidate.name) on \(problem), \(threads) threads: \(fault)") }
            }
        }
    }

    /// More threads than panels of columns, over which the grid is cut all the same: some threads have no panel. The sources lie beyond
    /// the private caches.
    @Test(arguments: ["pw:c1400o104h14", "pw:c2048o224h14"])
    func threadsWithoutAPanel(text: String) throws {
        let data = try ProblemData(try Problem(parsing: text), seed: 13)
        let candidates = Self.registry.split(for: data.problem).able.filter { $0.family == .tiled && $0.threaded }.map { Candidate($0) }
        for (candidate, outcome) in try Trial(data, candidates: candidates, pool: ThreadPool(threads: 8)).run(measuring: nil) {
            if case .failed(let fault) = outcome { Issue.record("\(candidate.name) on \(text): \(fault)") }
        }
    }

    /// Widths and dilations that a kernel has compiled rows for, under every number of rows of taps that it has, and a width that it does not have.
    @Test(arguments: [10, 13, 16, 19, 20])
    func compiledRowsAgreeWithTheOracle(width: Int) throws {
        var texts: [String] = []
        for dilation in 1...9 {
            for taps in [3, 5, 9] {
                let activation = ["", "_relu", "_silu", "_hardswish"][(dilation + taps) % 4]
                for height in Set([1, 2 * dilation, 2 * dilation + 1, 3 * dilation, 4 * dilation - 1, 4 * dilation, width]).sorted() {
                    texts.append("dw:\(height == 1 || height == 2 * dilation + 1 ? "mb2" : "")c\(height == width ? 48 : 16)h\(height)w\(width)k\(taps)d\(dilation)\(activation)")
                }
            }
        }
        // Few rows of taps, an even number, another dilation, padding of one side.
        texts.append("g32mb1ic32ih9iw\(width)oc32oh9ow\(width)kh2kw3dh1dw4ph1pw5_relu")
        texts.append("g16mb1ic16ih9iw\(width)oc16oh9ow\(width)kh3kw3dh3dw1ph0pw2_silu")
        let taken = try expectAgreement(texts, of: "dw-row", threads: [1, 3], seed: 14)
        if InstructionSet.detected == .v4 { #expect(taken == [10: 110, 13: 102, 16: 96 + 7, 19: 0, 20: 88 + 6][width]!) }
    }

    /// Phases of one pixel to fifty, of one row to six, dilations of their own, threads that share maps.
    @Test(arguments: [1, 2, 3, 4])
    func slidRowsAgreeWithTheOracle(dilation d: Int) throws {
        var texts = [
            "g16mb1ic16ih9iw20oc16oh9ow20kh3kw3dh1dw\(d)ph2pw\(d + 1)_silu", "dw:c16h7w100k3d\(29 + d)", "dw:c16h40k3d\(d)",
            "g16mb1ic16ih9iw70oc16oh9ow70kh3kw3dh1dw\(d)ph2pw\(d + 1)", "g16mb2ic16ih5iw9oc16oh5ow9kh3kw3dh2dw4ph3pw5",
        ]
        for width in Set([1, d, d + 1, 2 * d, 3 * d - 1, 3 * d + 1, 9 * d - 1, 50 * d]).sorted() {
            for height in Set([1, d + 1, 2 * d + 1, 4 * d, 5 * d + 1]).sorted() {
                let activation = ["", "_relu", "_silu", "_hardswish"][(width + height) % 4]
                texts.append("dw:\(height == 1 ? "mb3c16" : "c48")h\(height)w\(width)k3d\(d)\(activation)")
            }
        }
        let taken = try expectAgreement(texts, of: "dw-slide", threads: [1, 4], seed: 15)
        // At every level.
        if InstructionSet.detected == .v4 { #expect(taken == 3 * texts.count) }
    }

    /// Rows in one part and in several, of every length that a part can have, phases of two lengths and whole ones, few rows of taps and many, batches.
    @Test(arguments: [5, 7, 9, 11])
    func linesAgreeWithTheOracle(taps k: Int) throws {
        var texts = ["g16mb1ic16ih5iw14oc16oh5ow14kh1kw\(k)dh3dw1ph0pw\(k / 2 * 2)", "g16mb1ic16ih5iw11oc16oh5ow11kh3kw\(k)dh1dw4ph2pw\(k / 2 * 5)",
                     "g32mb2ic32ih5iw9oc32oh5ow9kh3kw\(k)dh2dw4ph3pw\(k / 2 * 5)_relu", "dw:c32h20k11d7", "dw:c16h20k\(k)d5", "dw:c32h27w18k\(k)d5_silu", "g32mb2ic32ih20iw31oc32oh20ow31kh9kw\(k)dh1dw2ph8pw\(k / 2 * 3)_silu"]
        for (dilation, widths) in [(1, Array(1...32)), (2, [1, 3, 23, 38, 39]), (5, [3, 5, 8, 10, 13, 14, 15, 61, 104])] {
            for width in widths {
                let activation = ["", "_relu", "_silu", "_hardswish"][width % 4]
                texts.append("dw:c32h\(width % 3 * dilation + 1)w\(width)k\(k)d\(dilation)\(activation)")
            }
        }
        let taken = try expectAgreement(texts, of: "dw-line", threads: [1, 3], seed: 16)
        if InstructionSet.detected == .v4 { #expect(taken == texts.count) }
    }

    /// Rows in one part and in several, in one strip and in several, paddings of one side, rows with strides and dilations of their own, batches.
    @Test(arguments: [3, 5, 7])
    func everySecondColumnAgreesWithTheOracle(taps k: Int) throws {
        let r = k / 2
        var texts = [
            "g16mb1ic16ih5iw30oc16oh5ow\(16 - r)kh1kw\(k)sh1sw2ph0pw0_relu", "g32mb2ic32ih9iw31oc32oh3ow16kh3kw\(k)sh3sw2dh1dw0ph1pw\(r)_silu",
            "g16mb1ic16ih7iw40oc16oh7ow20kh5kw\(k)sh1sw2dh1dw0ph4pw\(r - 1)", "g32mb1ic32ih2iw9oc32oh7ow5kh1kw\(k)sh1sw2ph3pw\(r)", "dw:mb3c16h12w190k\(k)s2_hardswish",
        ]
        for width in 1...62 {
            let activation = ["", "_relu", "_silu", "_hardswish"][width % 4]
            texts.append("dw:c32h\(width % 9 + 1)w\(width)k\(k)s2\(activation)")
        }
        let taken = try expectAgreement(texts, of: "dw-stride", threads: [1, 3], seed: 18)
        if InstructionSet.detected == .v4 { #expect(taken == 2 * texts.count) }
        if InstructionSet.detected == .v3 { #expect(taken == texts.count) }
        // The padding reaches further in than half a row of taps.
        let beyond = try Problem(parsing: "g16mb1ic16ih9iw9oc16oh5ow7kh3kw\(k)sh2sw2ph1pw\(r + 2)")
        #expect(!Self.registry.split(for: beyond).able.contains { $0.name.hasPrefix("dw-stride") })
    }

    /// Fewer tiles than half of the threads, which share the reduction, too; parts of unequal length, tails of all kinds.
    @Test(arguments: ["pw:c512o13h1_silu", "pw:mb2c900o16h1w2_hardswish", "pw:c1029o7h2w3_relu", "pw:c4096o40h1"])
    func threadsShareTheReduction(text: String) throws {
        #expect(try expectAgreement([text], of: "pw-tile", threads: [2, 5, 16], seed: 19) > 0)
    }

    /// Panels over the ends of rows and of maps, rows narrower than a vector, any stride, channels that blocks of the reduction part.
    @Test(arguments: ["conv:c37o19h9w14k3d2_silu", "conv:mb2c20o7h5w3k3s2_relu", "conv:g3c9o21h13w31k4s3_hardswish", "conv:c3o18h21w45k6s2", "conv:c70o12h11w40k3d9"])
    func unfoldedPanelsAgreeWithTheOracle(text: String) throws {
        #expect(try expectAgreement([text], of: "conv-panel", threads: [1, 3], seed: 20) > 0)
    }

    /// The pair of kernels takes what separables there are, at every level: its first one is the depthwise kernel that takes any problem.
    @Test(arguments: ["sep:c64o128h40k3s2", "sep:c64o128h20k1", "g64mb1ic64ih20oc64oh20kh13ph6+oc128"])
    func thePairTakesEverySeparable(text: String) throws {
        let able = Set(Self.registry.split(for: try Problem(parsing: text)).able.map(\.name))
        for level in InstructionSet.allCases where level <= InstructionSet.detected { #expect(able.contains("sep-pair-\(level.rawValue)")) }
    }

    /// Outputs of more than a megabyte, which `m1` stores past the caches; of 40 and 72 channels a line holds the end of one pixel and the beginning of
    /// the next.
    @Test(arguments: ["dw:c40h84k1_relu", "dw:c72h61k1", "dw:c16h130k1_hardswish", "dw:mb2c80h42k1_silu"])
    func largeOutputsAgreeWithTheOracle(text: String) throws {
        #expect(try expectAgreement([text], of: "dw-scale", threads: [1, 2], seed: 17) > 0)
    }

    /// Runs all kernels whose names begin so, in all configurations, and says how many took a problem.
    private func expectAgreement(_ texts: [String], of prefix: String, threads: [Int], seed: UInt64) throws -> Int {
        var taken = 0
        for text in texts {
            let data = try ProblemData(try Problem(parsing: text), seed: seed)
            let able = Self.registry.split(for: data.problem).able.filter { $0.name.hasPrefix(prefix) }
            taken += able.count
            let candidates = able.flatMap { kernel in kernel.space.all.map { Candidate(kernel, $0) } }
            for threads in threads {
                for (candidate, outcome) in try Trial(data, candidates: candidates, pool: ThreadPool(threads: threads)).run(measuring: nil) {
                    if case .failed(let fault) = outcome { Issue.record("\(candidate.name) on \(text), \(threads) threads: \(fault)") }
                }
            }
        }
        return taken
    }

    // Whole vectors of channels too, odd in number at 8 and at 16 lanes.
    @Test(arguments: ["dw:c40h9w26k3s2_silu", "dw:c37h7w45k7s2", "dw:c32h5w41k9s2_relu", "dw:c16h11w43k11s2_hardswish", "dw:c37h9w14k3d2_silu", "dw:c40h9w14k3d2_silu", "dw:c48h9w14k3d2_relu", "dw:mb2c32h12w11k3d2_silu", "dw:c16h11w23k5_hardswish", "pw:c37o53h9w5_silu",
                      "pw:c1100o40h6w5_silu", "pw:mb2c144o80h6w5_silu", "pw:c520o144h7w15_silu",
                      "sep:c16o24h9w7k3d2_silu", "conv:c5o37h6w9k3d2_silu"])
    func everyConfigurationAgreesWithTheOracle(text: String) throws {
        let problem = try Problem(parsing: text)
        let data = try ProblemData(problem, seed: 12)
        let able = Self.registry.split(for: problem).able
        let candidates = able.flatMap { kernel in kernel.space.all.map { Candidate(kernel, $0) } }
        #expect(candidates.count > able.count)
        for (candidate, outcome) in try Trial(data, candidates: candidates, pool: ThreadPool(threads: 2)).run(measuring: nil) {
            if case .failed(let fault) = outcome { Issue.record("\(candidate.name) on \(problem): \(fault)") }
        }
    }

    /// Weights that only ever meet the padding are not numbers here: a kernel that multiplies by one shows it.
    @Test(arguments: ["dw:c20h7w5k9d9", "dw:c32h3w4k9s2", "dw:c32h3w4k7s2", "dw:c16h20w20k9d9", "dw:c16h1k3d5_relu", "dw:c32h7w5k9d9", "dw:c32h1k3d5", "dw:c32h9w10k9d9", "conv:c3o18h5k7d6"])
    func deadTapsAreNeverComputed(text: String) throws {
        let p = try Problem(parsing: text)
        var random = RandomSource(seed: 3)
        let src = (0..<p.srcCount).map { _ in random.nextReal() }
        var weights = [Float](repeating: .nan, count: p.weightCount)
        for i in weights.indices {
            let (kh, kw) = (i / p.kw % p.kh, i % p.kw)
            let live = (0..<p.oh).contains { p.rows.taps($0).contains(kh) } && (0..<p.ow).contains { p.columns.taps($0).contains(kw) }
            if live { weights[i] = random.nextReal() }
        }
        #expect(weights.contains { $0.isNaN })
        for kernel in Self.registry.split(for: p).able where kernel.family == .simd || kernel.family == .tiled {
            let values = output(of: kernel, p, src: src, weights: weights, bias: [Float](repeating: 0.5, count: p.oc))
            let finite = values.allSatisfy { $0.isFinite }
            #expect(finite, "\(kernel.name) reads a dead tap")
        }
    }

    /// A sum that overflows to one that is no number must not pass for a zero. A product of Strassen's spreads it further.
    @Test(arguments: [Activation.none, .relu, .silu, .hardswish])
    func whatIsNoNumberStaysSo(activation: Activation) throws {
        for text in ["dw:c37h9w14k3d2", "dw:c32h9w13k3d2", "dw:c32h9w14k5d3", "dw:c32h9w9k3d5", "dw:c32h6k1", "pw:c37o48h9w5", "pw:c144o32h6w5", "conv:c5o37h6w9k3d2"] {
            var p = try Problem(parsing: text)
            p.activation = activation
            var random = RandomSource(seed: 3)
            var src = (0..<p.srcCount).map { _ in random.nextReal() }
            src[0] = .nan
            // Of −∞ the long activations make this or that.
            if activation == .none || activation == .relu { src[p.srcCount / 2...p.srcCount / 2 + 1] = [.infinity, -.infinity] }
            let weights = (0..<p.weightCount).map { _ in random.nextReal() }
            let bias = [Float](repeating: 0.5, count: p.oc)
            let all = Oracle.answer(p, src: src, weights: weights, bias: bias) { count, body in (0..<count).forEach(body) }.values
            #expect(all.contains { $0.isNaN })
            for kernel in Self.registry.split(for: p).able {
                let values = output(of: kernel, p, src: src, weights: weights, bias: bias)
                let lost = all.indices.filter { all[$0].isNaN && !values[$0].isNaN }
                #expect(lost.isEmpty, "\(kernel.name) on \(p): \(lost.count) of \(all.count { $0.isNaN }) became numbers")
            }
        }
    }

    /// What a kernel makes of src, untuned on one thread, both in NCHW.
    private func output(of kernel: Kernel, _ p: Problem, src: [Float], weights: [Float], bias: [Float]) -> [Float] {
        let standard = kernel.space.standard
        let needs = kernel.memory(p, standard, 1)
        let (packed, scratch) = (AlignedMemory(bytes: needs.packed), AlignedMemory(bytes: needs.scratch))
        let (given, own) = (AlignedMemory(floats: p.weightCount), AlignedMemory(floats: p.oc))
        given.floats.update(from: weights, count: p.weightCount)
        own.floats.update(from: bias, count: p.oc)
        let (plain, source) = (AlignedMemory(floats: p.srcCount), AlignedMemory(floats: p.srcCount))
        plain.floats.update(from: src, count: p.srcCount)
        Layout.convert(
            plain.floats, from: .nchw, to: source.floats, as: kernel.srcLayout, batch: p.batch, channels: p.ic, pixels: p.ih * p.iw)
        let (target, back) = (AlignedMemory(floats: p.dstCount), AlignedMemory(floats: p.dstCount))
        let plan = kernel.plan(p, standard, .init(weights: given.floats, bias: own.floats, packed: packed.start, scratch: scratch.start, pool: ThreadPool(threads: 1)))
        plan.run(source.floats, target.floats)
        Layout.convert(
            target.floats, from: kernel.layout, to: back.floats, as: .nchw, batch: p.batch, channels: p.oc, pixels: p.oh * p.ow)
        return Array(back.floatBuffer.prefix(p.dstCount))
    }

    @Test func namesAreUniqueAndSayTheLayer() {
        let names = Self.registry.kernels.map(\.name)
        #expect(Set(names).count == names.count)
        for kernel in Self.registry.kernels { #expect(kernel.name.hasPrefix(kernel.layer.rawValue + "-")) }
        for layer in Layer.convolutions {
            let families = Set(Self.registry.kernels.filter { $0.layer == layer }.map(\.family))
            #expect(families == Set(Kernel.Family.allCases), "\(layer)")
        }
    }

    @Test func theEnvironmentCapsTheLevel() throws {
        #expect(try InstructionSet.usable(environment: ["ATROUS_ISA": "baseline"]) == .baseline)
        #expect(try InstructionSet.usable(environment: [:]) == .detected)
        #expect(throws: InstructionSetError.unknown("avx")) { try InstructionSet.usable(environment: ["ATROUS_ISA": "avx"]) }
        #expect(KernelRegistry(level: .baseline).kernels.allSatisfy { $0.isa != "v3" && $0.isa != "v4" })
    }
}
