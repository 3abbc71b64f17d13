import BlockRuntime
import KernelRegistry
import Testing
import ThreadPool

/// What a file holds is compared, all of it, and what cannot be compared is refused.
@Suite("Blocks held against their files")
struct BlockCheckTests {
    static let literal = "golden/literal_c16_h7w5_n1.safetensors"

    /// The units that are off in the standard plan, of a golden file that was changed.
    static func failures(_ golden: String = literal, change: (inout [SafetensorsTensor]) -> Void) throws -> [String] {
        let check = try BlockCheck(file: ParameterTests.file(golden, change: change))
        let stages = try BlockPlan.standardStages(
            units: check.parameters.units.map(\.unit), size: check.size, threads: 1, registry: PlannedBlockTests.registry)
        let block = try PlannedBlock(check.parameters, size: check.size, stages: stages, pool: ThreadPool(threads: 1))
        return check.deviations(block).filter { !$0.passed }.map(\.unit)
    }

    static func shifted(_ tensor: SafetensorsTensor, by shift: Float) -> SafetensorsTensor {
        guard case .f32(let values) = tensor.values else { return tensor }
        return SafetensorsTensor(tensor.name, shape: tensor.shape, .f32(values.map { $0 + shift }))
    }

    @Test func everyTensorThatIsHeldIsCompared() throws {
        #expect(try Self.failures { _ in }.isEmpty)
        let names = try SafetensorsFile(Fixtures.path(Self.literal)).names.filter { $0 == "output" || $0.hasPrefix("act.") }
        #expect(names.contains("output") && names.contains("act.fuse.pw"))
        for name in names {
            let wrong = try Self.failures { $0 = $0.map { $0.name == name ? Self.shifted($0, by: 5) : $0 } }
            #expect(wrong.contains(name == "output" ? name : String(name.dropFirst(4))), "\(name): \(wrong)")
        }
    }

    @Test(arguments: ["input", "output", "act.residual"])
    func whatIsNotFiniteIsRefused(name: String) {
        for value in [Float.nan, .infinity] {
            let message = Fixtures.message {
                _ = try BlockCheck(file: ParameterTests.file(Self.literal) { tensors in
                    tensors = tensors.map { tensor in
                        guard tensor.name == name, case .f32(var values) = tensor.values else { return tensor }
                        values[7] = value
                        return SafetensorsTensor(name, shape: tensor.shape, .f32(values))
                    }
                })
            }
            #expect(message.hasPrefix("x.safetensors: tensor '\(name)': value 7 is \(value)"), "\(message)")
        }
    }

    @Test func anActivationOfNoUnitIsRefused() {
        func message(_ change: @escaping (inout [SafetensorsTensor]) -> Void) -> String {
            Fixtures.message { _ = try BlockCheck(file: ParameterTests.file(Self.literal, change: change)) }
        }
        let typo = message { $0 = $0.map { $0.name == "act.residual" ? .init("act.residuel", shape: $0.shape, $0.values) : $0 } }
        #expect(typo.hasPrefix("x.safetensors: tensor 'act.residuel' belongs to no unit of the block"))
        #expect(message { $0.removeAll { $0.name == "input" } }.contains("holds no tensor 'input'"))
        #expect(message { $0.removeAll { $0.name == "output" || $0.name.hasPrefix("act.") } }.contains("holds neither"))
    }

    /// Parameters by the article's names, and activations as hooks on its modules name them.
    @Test func theArticlesActivationsAreCompared() throws {
        let modules = [
            ("compress", "conv1"), ("residual", "residual"), ("branches.0.dw", "conv2_5.2"), ("branches.0.pw", "conv2_5"),
            ("branches.1.dw", "conv2_7.2"), ("branches.1.pw", "conv2_7.5"), ("branches.2.pw", "conv2_9"),
        ]
        let parameters = [
            ("compress.conv", "conv1.0"), ("compress.bn", "conv1.1"), ("residual.conv", "residual.0"), ("residual.bn", "residual.1"),
        ] + ["conv2_5", "conv2_7", "conv2_9"].enumerated().flatMap { branch, article in
            [
                ("branches.\(branch).dw.conv", "\(article).0"), ("branches.\(branch).dw.bn", "\(article).1"),
                ("branches.\(branch).pw.conv", "\(article).3"), ("branches.\(branch).pw.bn", "\(article).4"),
            ]
        }
        func renamed(_ name: String) -> String {
            if let module = modules.first(where: { name == "act." + $0.0 }) { return "act." + module.1 }
            guard let pair = parameters.first(where: { name.hasPrefix($0.0 + ".") }) else { return name }
            return pair.1 + name.dropFirst(pair.0.count)
        }
        func change(_ tensors: inout [SafetensorsTensor], shifting name: String = "") {
            tensors = tensors.filter { $0.name != "act.branches.2.dw" }.map {
                let own = SafetensorsTensor(renamed($0.name), shape: $0.shape, $0.values)
                return $0.name == name ? Self.shifted(own, by: 5) : own
            }
        }
        #expect(try Self.failures(ParameterTests.listing) { change(&$0) }.isEmpty)
        for (unit, _) in modules {
            #expect(try Self.failures(ParameterTests.listing) { change(&$0, shifting: "act.\(unit)") }.contains(unit))
        }
        let twice = Fixtures.message {
            _ = try BlockCheck(file: ParameterTests.file(ParameterTests.listing) { tensors in
                change(&tensors)
                let one = tensors.first { $0.name == "act.conv2_5" }!
                tensors.append(.init("act.conv2_5.5", shape: one.shape, one.values))
            })
        }
        #expect(twice.contains("both hold what unit 'branches.0.pw' gives"))
    }
}
