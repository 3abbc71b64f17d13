import BlockRuntime
import ConvCore
import ReferenceKernels
import Testing

/// How far the oracle on *folded float* weights may be from a golden activation.
///
/// The golden values come from float64 arithmetic with batch norm unfolded. Here, with ε = 2⁻²⁴ the unit round-off of
/// float and S = Σ|x·w| + |bias| of the output: the unit's input was rounded to float when it was stored (≤ ε·|x·w| a
/// term), each folded weight was rounded once (≤ ε·|x·w| a term, and a second-order ε²), the folded bias once
/// (≤ ε·|bias|). Together ≤ 2ε·S + ε²·S before the activation, times its slope behind it. The stored output was rounded
/// once: ≤ ε·|value|, |value| ≤ S. Double arithmetic itself adds some 2⁻⁵³·(K + 4)·S, which the 1 % covers.
/// Sum: ≤ ε·(2·slope + 1)·S. ``ErrorBound`` allows 2ε·(K + 1)·S·slope with K ≥ 1, thus at least 4ε·slope·S, and that is
/// never less: it covers folding without any term more.
func goldenTolerance(_ problem: Problem, magnitude: Double) -> Double {
    let epsilon = Double(Float.ulpOfOne) / 2
    return 1.01 * epsilon * (2 * problem.activation.slopeBound + 1) * magnitude + Double(Float.leastNormalMagnitude)
}

struct Golden {
    let file: SafetensorsFile
    let block: BlockParameters
    let batch, height, width: Int

    init(_ name: String) throws {
        file = try SafetensorsFile(Fixtures.path("golden/\(name)"))
        block = try BlockParameters(file: file)
        let shape = try #require(file.shape(of: "input"))
        (batch, height, width) = (shape[0], shape[2], shape[3])
    }

    /// What a unit gives: its `act.` tensor, or the block's output.
    func golden(_ unit: BlockUnit) throws -> [Float] {
        let name = file.shape(of: "act.\(unit.name)") == nil ? "output" : "act.\(unit.name)"
        let tensor = try file.tensor(named: name)
        #expect(tensor.shape == [batch, unit.oc, height, width])
        return tensor.values
    }

    /// The golden activations that a unit reads, concatenated along the channels.
    func input(_ unit: BlockUnit) throws -> [Float] {
        let sources = try unit.inputs.map { source in
            switch source {
            case .block: try file.tensor(named: "input").values
            case .unit(let index): try golden(block.units[index].unit)
            }
        }
        return (0..<batch).flatMap { image in
            sources.flatMap { values in
                let size = values.count / batch
                return values[(image * size)..<((image + 1) * size)]
            }
        }
    }

    /// The largest ratio of difference to tolerance of one unit, with its weights changed by `change`.
    func excess(_ folded: FoldedUnit, change: (inout [Float]) -> Void = { _ in }) throws -> Double {
        var weights = folded.weights
        change(&weights)
        let problem = try folded.unit.problem(at: BlockSize(batch: batch, cin: block.cin, height: height, width: width))
        let src = try input(folded.unit)
        #expect(src.count == problem.srcCount)
        #expect(weights.count == problem.weightCount)
        let expected = try golden(folded.unit)
        let answer = Oracle.answer(problem, src: src, weights: weights, bias: folded.bias)
        var worst = 0.0
        for (i, value) in answer.values.enumerated() {
            let tolerance = goldenTolerance(problem, magnitude: answer.magnitudes[i])
            let allowed = ErrorBound.tolerance(
                problem, value: value, magnitude: answer.magnitudes[i], exactSum: false)
            #expect(tolerance <= allowed + 2 * Double(Float.leastNormalMagnitude), "\(problem)")
            worst = max(worst, abs(value - Double(expected[i])) / tolerance)
        }
        return worst
    }
}

@Suite("Golden blocks")
struct GoldenTests {
    static let names = Fixtures.names(in: "golden", ending: ".safetensors")

    @Test func allEightAreThere() { #expect(Self.names.count == 8) }

    @Test("every unit reproduces its activation", arguments: names)
    func unitByUnit(name: String) throws {
        let golden = try Golden(name)
        for folded in golden.block.units {
            let excess = try golden.excess(folded)
            #expect(excess <= 1, "\(name): \(folded.unit.name) is \(excess) times the tolerance away")
        }
        let last = try #require(golden.block.units.last)
        #expect(try golden.golden(last.unit) == golden.file.tensor(named: "output").values)
        // Every stored activation belongs to a unit.
        let acts = golden.file.names.filter { $0.hasPrefix("act.") }.map { String($0.dropFirst(4)) }
        #expect(Set(acts).subtracting(golden.block.units.map(\.unit.name)).isEmpty)
    }

    @Test("a changed weight is caught in every unit", arguments: names)
    func changedWeight(name: String) throws {
        let golden = try Golden(name)
        for folded in golden.block.units {
            // The centre tap (never in the padding) into the channel of the largest output (never cut off by ReLU).
            let unit = folded.unit
            let values = try golden.golden(unit)
            let largest = try #require(values.indices.max { abs(values[$0]) < abs(values[$1]) })
            let channel = largest / (golden.height * golden.width) % unit.oc
            let perOutput = folded.weights.count / unit.oc
            let taps = unit.kernel * unit.kernel
            let first = channel * perOutput
            // One input channel may be silent, so the tap is changed in all of them.
            let excess = try golden.excess(folded) { weights in
                for c in 0..<(perOutput / taps) { weights[first + c * taps + taps / 2] *= 1.001 }
            }
            #expect(excess > 1, "\(name): \(unit.name)")
        }
    }

    @Test("metadata describes the block", arguments: names)
    func description(name: String) throws {
        let golden = try Golden(name)
        let metadata = golden.file.metadata
        let block = golden.block.description
        #expect(block.name == metadata["variant"])
        #expect(block.activation.rawValue == metadata["act"])
        #expect(String(block.epsilon) == metadata["bn_eps"] || block.epsilon == Double(metadata["bn_eps"] ?? ""))
        #expect("\(golden.block.cin)" == metadata["cin"])
        #expect("\(golden.block.cout)" == metadata["cout"])
    }

    @Test("a stated variant reads the widths from the shapes", arguments: names)
    func widthsFromShapes(name: String) throws {
        let golden = try Golden(name)
        let tensors = try golden.file.names.filter { !$0.hasPrefix("act.") }.map { name in
            let (shape, values) = try golden.file.tensor(named: name)
            return SafetensorsTensor(name, shape: shape, .f32(values))
        }
        let bare = try SafetensorsFile(bytes: SafetensorsWriter.bytes(of: tensors), path: "bare")
        #expect(throws: ParameterError.unknownBlock(file: "bare")) { try BlockParameters(file: bare) }
        var description = golden.block.description
        (description.cin, description.cout) = (nil, nil)
        let block = try BlockParameters(file: bare, description: description)
        #expect(block.description == golden.block.description)
        #expect(block.units.map(\.weights) == golden.block.units.map(\.weights))
        #expect(block.units.map(\.bias) == golden.block.units.map(\.bias))
    }
}
