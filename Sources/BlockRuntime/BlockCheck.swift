import ConvCore
import ReferenceKernels

/// A block with the input and the activations that it must reproduce, as one safetensors file holds them: parameters,
/// `input`, `output` and `act.<unit>`.
public struct BlockCheck {
    public let parameters: BlockParameters
    public let size: BlockSize
    /// `[batch][cin][height][width]`
    public let input: [Float]
    /// What each unit must give, nil where the file does not say; the last unit's is `output`.
    let expected: [[Float]?]

    /// Throws what ``BlockParameters`` throws, and ``CheckError``.
    public init(_ path: String) throws {
        let file = try SafetensorsFile(path)
        parameters = try BlockParameters(file: file)
        guard let shape = file.shape(of: "input") else { throw CheckError.noInput(file: path) }
        guard shape.count == 4, shape[1] == parameters.cin, shape.allSatisfy({ $0 >= 1 }) else {
            throw CheckError.shape(file: path, tensor: "input", shape, expected: "[N, \(parameters.cin), H, W]")
        }
        size = BlockSize(batch: shape[0], cin: shape[1], height: shape[2], width: shape[3])
        input = try file.tensor(named: "input").values
        let units = parameters.units.map(\.unit)
        expected = try units.enumerated().map { index, unit in
            var name = "act.\(unit.name)"
            if file.shape(of: name) == nil, index == units.count - 1 { name = "output" }
            guard let found = file.shape(of: name) else { return nil }
            let wanted = [shape[0], unit.oc, shape[2], shape[3]]
            guard found == wanted else { throw CheckError.shape(file: path, tensor: name, found, expected: "\(wanted)") }
            return try file.tensor(named: name).values
        }
        guard expected.contains(where: { $0 != nil }) else { throw CheckError.nothing(file: path) }
    }

    /// How far a unit is from what the file says.
    public struct Deviation: Sendable {
        public let unit: String
        /// The largest |value − expected|.
        public let maxError: Double
        /// At the output that comes nearest to its tolerance, or goes beyond it.
        public let error, tolerance: Double
        public let index: [Int]
        public var passed: Bool { error <= tolerance }
    }

    /// Runs the block and compares every unit that the file knows and that the plan makes.
    ///
    /// A unit is fed with what the block itself computed, so an output may differ by the rounding of its own sum and of
    /// the folded weights (``ErrorBound``), and by what its inputs differ from the file's: Σ|w|·|Δx| times the steepest
    /// slope of the activation. Δx is measured where the file holds the unit before, and otherwise bounded in the same way;
    /// no error that is larger can hide behind it.
    public func deviations(_ block: PlannedBlock) -> [Deviation] {
        let units = parameters.units
        var actual = [[Float]](repeating: [], count: units.count)
        let output = AlignedMemory(floats: block.cout * size.batch * size.height * size.width)
        input.withUnsafeBufferPointer { input in
            block.run(input.baseAddress!, output.floats) { unit, values in actual[unit] = Array(values) }
        }
        var slack = [[Float]](repeating: [], count: units.count)
        var deviations: [Deviation] = []
        for (index, folded) in units.enumerated() {
            let unit = folded.unit
            let problem = try! unit.problem(batch: size.batch, height: size.height, width: size.width)
            let src = gather(unit, actual, input)
            let spread = gather(unit, slack, [Float](repeating: 0, count: input.count))
            let answer = Oracle.answer(problem, src: src, weights: folded.weights, bias: folded.bias)
            let carried = Oracle.answer(problem, src: spread, weights: folded.weights, bias: nil).magnitudes
            let tolerance = answer.values.indices.map { i in
                ErrorBound.tolerance(problem, value: answer.values[i], magnitude: answer.magnitudes[i], exactSum: false)
                    + carried[i] * problem.activation.slopeBound * (1 + Double(Float.ulpOfOne))
            }
            let isMade = !actual[index].isEmpty
            // Inside a fused stage nobody sees the unit: the oracle on its folded weights stands in, and the kernel's own
            // rounding is added to what may be carried on.
            if !isMade { actual[index] = answer.values.map { Float($0) } }
            let values = actual[index]
            if let expected = expected[index] {
                slack[index] = zip(values, expected).map { abs($0 - $1) + abs($1) * .ulpOfOne }
                deviations.append(worst(unit, values, expected, tolerance))
            }
            if expected[index] == nil || !isMade {
                let known = slack[index]
                slack[index] = tolerance.enumerated().map { Float($1).nextUp + (known.isEmpty ? 0 : known[$0]) }
            }
        }
        return deviations
    }

    private func worst(_ unit: BlockUnit, _ values: [Float], _ expected: [Float], _ tolerance: [Double]) -> Deviation {
        var worst = (excess: -1.0, at: 0)
        var maxError = 0.0
        for i in values.indices {
            let error = abs(Double(values[i]) - Double(expected[i]))
            if !(error <= maxError) { maxError = error }
            let excess = error.isNaN ? .infinity : error / tolerance[i]
            if excess > worst.excess { worst = (excess, i) }
        }
        let plane = size.height * size.width
        let at = worst.at
        return Deviation(
            unit: unit.name, maxError: maxError, error: abs(Double(values[at]) - Double(expected[at])),
            tolerance: tolerance[at],
            index: [at / plane / unit.oc, at / plane % unit.oc, at % plane / size.width, at % size.width])
    }

    /// What a unit reads, concatenated along the channels.
    private func gather(_ unit: BlockUnit, _ maps: [[Float]], _ input: [Float]) -> [Float] {
        let sources = unit.inputs.map { source in
            switch source {
            case .block: input
            case .unit(let index): maps[index]
            }
        }
        guard sources.count > 1 else { return sources[0] }
        return (0..<size.batch).flatMap { image in
            sources.flatMap { map in
                let count = map.count / size.batch
                return map[(image * count)..<((image + 1) * count)]
            }
        }
    }
}

/// Why a file cannot be compared with.
public enum CheckError: Error, Equatable, CustomStringConvertible {
    case noInput(file: String)
    case nothing(file: String)
    case shape(file: String, tensor: String, [Int], expected: String)

    public var description: String {
        switch self {
        case .noInput(let file): "\(file): holds no tensor 'input'; export the input that its activations belong to"
        case .nothing(let file): "\(file): holds neither 'output' nor any 'act.<unit>'; export one to compare with"
        case .shape(let file, let tensor, let shape, let expected):
            "\(file): tensor '\(tensor)' has shape \(shape) where \(expected) is needed"
        }
    }
}
