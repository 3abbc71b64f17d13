import ConvCore
import Dispatch
import ReferenceKernels

/// A block with an input and what every unit must make of it.
///
/// A unit's *reference* is what the file holds (`act.<unit>`; for the last one `output` where that is missing), or else what the
/// oracle makes of the references of its inputs. An `output` beside the last unit's activation is compared as well.
package struct BlockCheck {
    package let parameters: BlockParameters
    package let size: BlockSize
    /// `[batch][cin][height][width]`
    package let input: [Float]
    private let references: [Reference]
    /// `output`, where the file holds that besides the last unit's activation.
    private let storedOutput: [Float]?

    private struct Reference {
        /// `[batch][oc][height][width]`
        let values: [Float]
        /// At most so far from the truth: rounded when stored, or worked out from references that are not exact.
        let slack: Double
        /// What ``ErrorBound`` allows a kernel that reads exactly the references of the inputs and is bounded term by term.
        let tolerances: [Double]
        /// For kernels that are not.
        let problem: Problem
        let norms: ErrorBound.Norms
        /// The steepest slope of the activation times Σ|w|, of each output channel: by how much an error of all inputs grows.
        let gains: [Double]
        /// The oracle on the folded weights against the file's values: wrong weights show here whatever kernel runs.
        let folded: Deviation?
        var isStored: Bool { folded != nil }
    }

    /// The references that a safetensors file holds beside the parameters. Throws what ``BlockParameters`` throws, and
    /// ``CheckError``.
    package init(_ path: String, settings: BlockSettings = .init()) throws {
        try self.init(file: SafetensorsFile(path), settings: settings)
    }

    /// The same from a file that is open.
    package init(file: SafetensorsFile, settings: BlockSettings = .init()) throws {
        let path = file.path
        let parameters = try BlockParameters(file: file, settings: settings)
        guard let shape = file.shape(of: "input") else { throw CheckError.noInput(file: path) }
        guard shape.count == 4, shape[1] == parameters.cin, shape.allSatisfy({ $0 >= 1 }) else {
            throw CheckError.shape(file: path, tensor: "input", shape, expected: "[N, \(parameters.cin), H, W]")
        }
        let units = parameters.units.map(\.unit)
        func values(_ name: String?, of unit: BlockUnit) throws -> [Float]? {
            guard let name, let found = file.shape(of: name) else { return nil }
            let wanted = [shape[0], unit.oc, shape[2], shape[3]]
            guard found == wanted else { throw CheckError.shape(file: path, tensor: name, found, expected: "\(wanted)") }
            return try Self.finite(name, in: file)
        }
        let names = try Self.activations(in: file, units: units)
        var stored = try units.map { try values(names[$0.name], of: $0) }
        var output = try values("output", of: units.last!)
        if stored[units.count - 1] == nil { swap(&stored[units.count - 1], &output) }
        guard stored.contains(where: { $0 != nil }) else { throw CheckError.nothing(file: path) }
        try self.init(
            parameters, size: BlockSize(batch: shape[0], cin: shape[1], height: shape[2], width: shape[3]),
            input: Self.finite("input", in: file), stored: stored, output: output)
    }

    /// Beside what is no number any error would pass, or none.
    private static func finite(_ name: String, in file: SafetensorsFile) throws -> [Float] {
        let values = try file.tensor(named: name).values
        if let index = values.firstIndex(where: { !$0.isFinite }) {
            throw CheckError.notFinite(file: file.path, tensor: name, index: index, values[index])
        }
        return values
    }

    /// The tensor that holds each unit's activation, by unit. One that belongs to no unit would never be compared: it is refused.
    private static func activations(in file: SafetensorsFile, units: [BlockUnit]) throws(CheckError) -> [String: String] {
        let articles = ArticleNames.areUsed(in: file.names) ? ArticleNames.activations : []
        var found: [String: String] = [:]
        for tensor in file.names where tensor.hasPrefix("act.") {
            let name = String(tensor.dropFirst("act.".count))
            let unit = articles.first { $0.article == name }?.ours ?? name
            guard units.contains(where: { $0.name == unit }) else {
                throw .noUnit(file: file.path, tensor: tensor, units: units.map(\.name))
            }
            if let other = found.updateValue(tensor, forKey: unit) {
                throw .twice(file: file.path, tensor: tensor, other: other, unit: unit)
            }
        }
        return found
    }

    /// References by the oracle alone. Throws ``BlockError`` where the size does not fit.
    package init(_ parameters: BlockParameters, size: BlockSize, input: [Float]) throws {
        try self.init(parameters, size: size, input: input, stored: parameters.units.map { _ in nil }, output: nil)
    }

    private init(
        _ parameters: BlockParameters, size: BlockSize, input: [Float], stored: [[Float]?], output: [Float]?
    ) throws {
        storedOutput = output
        self.parameters = parameters
        self.size = size
        self.input = input
        var references: [Reference] = []
        for (index, folded) in parameters.units.enumerated() {
            let unit = folded.unit
            let problem = try unit.problem(at: size)
            let src = Self.gather(unit, references.map(\.values), input, batch: size.batch)
            let answer = Oracle.answer(problem, src: src, weights: folded.weights, bias: folded.bias) { count, body in
                DispatchQueue.concurrentPerform(iterations: count, execute: body)
            }
            // A kernel's inputs are the references but for some 10⁻⁶; so are the magnitudes of its sums.
            let tolerances = answer.values.indices.map { i in
                ErrorBound.tolerance(
                    problem, value: answer.values[i], magnitude: answer.magnitudes[i] * (1 + 1e-4), exactSum: false)
            }
            let perOutput = folded.weights.count / unit.oc
            let gains = (0..<unit.oc).map { c in
                problem.activation.slopeBound
                    * folded.weights[(c * perOutput)..<((c + 1) * perOutput)].reduce(0) { $0 + Double(abs($1)) }
            }
            let carried = Self.largestSlack(unit, references.map(\.slack)) * gains.max()!
            let values = stored[index] ?? answer.values.map { Float($0) }
            let rounding = Double(values.map(abs).max() ?? 0) * Double(Float.ulpOfOne) / 2
            references.append(
                Reference(
                    values: values, slack: stored[index] == nil ? carried + rounding : rounding, tolerances: tolerances,
                    problem: problem,
                    norms: .init(
                        src: Self.norm(src) * (1 + 1e-4), weights: Self.norm(folded.weights), bias: Self.norm(folded.bias)),
                    gains: gains,
                    folded: stored[index].map { stored in
                        var deviation = Self.worst(unit, answer.values.map { Float($0) }, stored, size, isHeld: true) { i, channel in
                            tolerances[i] + Self.largestSlack(unit, references.map(\.slack)) * gains[channel]
                        }
                        deviation.isOfWeights = true
                        return deviation
                    }))
        }
        self.references = references
    }

    /// How far a unit is from its reference.
    package struct Deviation: Sendable {
        /// The unit's name; `output` for the tensor of that name.
        package let unit: String
        /// Whether the reference is the file's own, and not the oracle's.
        package let isHeld: Bool
        /// Whether it is the oracle on the folded weights that is compared, since no kernel makes the unit's map.
        package var isOfWeights = false
        /// The largest |value − reference|.
        package let maxError: Double
        /// At the output that comes nearest to its tolerance, or goes beyond it.
        package let error, tolerance: Double
        package let index: [Int]
        package var passed: Bool { error <= tolerance }
    }

    /// Runs the block and compares every unit that the plan makes, those that go through an epilogue in a run without it; for a unit inside
    /// a fused stage, the oracle on its folded weights where the file holds its activation.
    ///
    /// A unit reads what the block itself computed, so an output may be off by the rounding of its own sum and of the
    /// folded weights (``ErrorBound``), and by the largest error that was found at its inputs times Σ|w| and the steepest
    /// slope of the activation. Errors of the inputs are measured, not assumed: nothing large can hide behind them.
    package func deviations(_ block: PlannedBlock) -> [Deviation] {
        let output = AlignedMemory(floats: block.cout * size.batch * size.height * size.width)
        var actual = [[Float]?](repeating: nil, count: references.count)
        input.withUnsafeBufferPointer { input in
            block.run(input.baseAddress!, output.floats) { unit, values in actual[unit] = Array(values) }
            // Threads that have lanes or bands of their own were not yet at work; what they leave out must not stand there already.
            if block.hasBandsOrLanes {
                output.floats.update(repeating: .nan, count: output.floatBuffer.count)
                block.run(input.baseAddress!, output.floats)
                actual[references.count - 1] = block.outputAsNCHW(output.floats)
            }
            if block.isFollowed.contains(true) {
                // What goes through an epilogue is nowhere before it: the same kernels without it show their own errors.
                let bare = try! PlannedBlock(
                    parameters, size: size, stages: block.stages, pool: block.pool, output: block.outputLayout, epilogues: false)
                let makers = Set(zip(block.stages, block.isFollowed).filter { $0.1 }.map { $0.0.units.upperBound - 1 })
                bare.run(input.baseAddress!, output.floats) { unit, values in if makers.contains(unit) { actual[unit] = Array(values) } }
            }
        }
        let kernels = block.stages.flatMap { stage in stage.units.map { _ in stage.kernel } }
        var errors: [Double] = []
        var deviations: [Deviation] = []
        for (index, reference) in references.enumerated() {
            let unit = parameters.units[index].unit
            let problem = reference.problem
            let carried = Self.largestSlack(unit, errors)
            let normwise = ErrorBound.normwise(problem, kernels[index].rounding(problem), reference.norms) ?? 0
            func tolerance(_ i: Int, _ channel: Int) -> Double {
                reference.tolerances[i] + problem.activation.slopeBound * normwise + carried * reference.gains[channel]
            }
            if let values = actual[index] {
                let deviation = Self.worst(unit, values, reference.values, size, isHeld: reference.isStored) {
                    tolerance($0, $1) + (reference.isStored ? 0 : reference.slack)
                }
                deviations.append(deviation)
                if index == references.count - 1, let storedOutput {
                    deviations.append(
                        Self.worst(unit, values, storedOutput, size, name: "output", isHeld: true, tolerance: tolerance))
                }
                errors.append(deviation.maxError + reference.slack)
            } else {
                if let folded = reference.folded { deviations.append(folded) }
                errors.append(
                    reference.tolerances.max()! + problem.activation.slopeBound * normwise + carried * reference.gains.max()! + reference.slack)
            }
        }
        return deviations
    }

    private static func norm(_ values: [Float]) -> Double { values.reduce(0) { max($0, Double(abs($1))) } }

    /// The largest of the sources' values; the block's input is exact.
    private static func largestSlack(_ unit: BlockUnit, _ slack: [Double]) -> Double {
        unit.inputs.reduce(0) { worst, source in
            if case .unit(let index) = source { max(worst, slack[index]) } else { worst }
        }
    }

    private static func worst(
        _ unit: BlockUnit, _ values: [Float], _ expected: [Float], _ size: BlockSize, name: String? = nil, isHeld: Bool,
        tolerance: (_ index: Int, _ channel: Int) -> Double
    ) -> Deviation {
        let plane = size.height * size.width
        var worst = (excess: -1.0, at: 0)
        var maxError = 0.0
        for i in values.indices {
            let error = abs(Double(values[i]) - Double(expected[i]))
            if !(error <= maxError) { maxError = error }
            let allowed = tolerance(i, i / plane % unit.oc)
            let excess = error.isNaN || allowed.isNaN ? .infinity : error == 0 ? 0 : error / allowed
            if excess > worst.excess { worst = (excess, i) }
        }
        let at = worst.at
        return Deviation(
            unit: name ?? unit.name, isHeld: isHeld, maxError: maxError, error: abs(Double(values[at]) - Double(expected[at])),
            tolerance: tolerance(at, at / plane % unit.oc),
            index: [at / plane / unit.oc, at / plane % unit.oc, at % plane / size.width, at % size.width])
    }

    /// What a unit reads, concatenated along the channels.
    private static func gather(_ unit: BlockUnit, _ maps: [[Float]], _ input: [Float], batch: Int) -> [Float] {
        let sources = unit.inputs.map { source in
            switch source {
            case .block: input
            case .unit(let index): maps[index]
            }
        }
        guard sources.count > 1 else { return sources[0] }
        return (0..<batch).flatMap { image in
            sources.flatMap { map in
                let count = map.count / batch
                return map[(image * count)..<((image + 1) * count)]
            }
        }
    }
}

/// Why a file cannot be compared with.
package enum CheckError: Error, Equatable, CustomStringConvertible {
    case noInput(file: String)
    case nothing(file: String)
    case shape(file: String, tensor: String, [Int], expected: String)
    case noUnit(file: String, tensor: String, units: [String])
    case twice(file: String, tensor: String, other: String, unit: String)
    case notFinite(file: String, tensor: String, index: Int, Float)

    package var description: String { text.onOneLine }

    private var text: String {
        switch self {
        case .noInput(let file): "\(file): holds no tensor 'input'; export the input that its activations belong to"
        case .nothing(let file): "\(file): holds neither 'output' nor any 'act.<unit>'; export one to compare with"
        case .shape(let file, let tensor, let shape, let expected):
            "\(file): tensor '\(tensor)' has shape \(shape) where \(expected) is needed"
        case .noUnit(let file, let tensor, let units):
            "\(file): tensor '\(tensor)' belongs to no unit of the block, so nothing can be compared with it; the units are "
                + units.joined(separator: ", ")
        case .twice(let file, let tensor, let other, let unit):
            "\(file): tensors '\(other)' and '\(tensor)' both hold what unit '\(unit)' gives; keep one"
        case .notFinite(let file, let tensor, let index, let value):
            "\(file): tensor '\(tensor)': value \(index) is \(value); nothing can be compared with it, export finite numbers"
        }
    }
}
