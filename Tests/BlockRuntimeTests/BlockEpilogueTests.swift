import BlockRuntime
import ConvCore
import KernelRegistry
import Testing
import ThreadPool

@Suite("Units in the epilogues of what they read")
struct BlockEpilogueTests {
    static let registry = PlannedBlockTests.registry

    private static func check(
        _ description: BlockDescription, cin: Int = 64, cout: Int = 48, height: Int = 11, width: Int = 6, batch: Int = 1
    ) throws -> BlockCheck {
        let parameters = try BlockParameters(random: description, cin: cin, cout: cout, seed: 3)
        var random = RandomSource(seed: 4)
        return try BlockCheck(
            parameters, size: BlockSize(batch: batch, cin: cin, height: height, width: width),
            input: (0..<batch * cin * height * width).map { _ in random.nextReal() })
    }

    /// Where a kernel of that name can run, it does.
    private static func tiled(_ check: BlockCheck, _ isa: String, preferring name: String = "") throws -> [BlockStage] {
        try check.parameters.units.map(\.unit).enumerated().map { index, unit in
            let able = registry.split(for: try unit.problem(at: check.size)).able.filter { $0.isa == isa && $0.family == .tiled && $0.stridesDst }
            let all = able.isEmpty ? registry.split(for: try unit.problem(at: check.size)).able.filter { $0.isa == isa && $0.layout == .nhwc } : able
            let preferred = all.first { $0.name == name }
            let kernel = try #require(preferred ?? all.first)
            return BlockStage(units: index..<index + 1, kernel: .layer(Candidate(kernel)))
        }
    }

    @Test("at every level, with all activations, shared, in bands and in lanes", arguments: [BlockVariant.literal, .rfb], Activation.allCases)
    func epilogue(variant: BlockVariant, activation: Activation) throws {
        for batch in [1, 2] {
            let check = try Self.check(BlockDescription(variant, activation: activation), batch: batch)
            let units = check.parameters.units.map(\.unit)
            for isa in Set(Self.registry.kernels.map(\.isa)).subtracting(["scalar", "openblas"]) {
                for name in ["pw-tile-\(isa)", "pw-strassen-\(isa)", "pw-tile-from-planes-\(isa)"] {
                    let plain = try Self.tiled(check, isa, preferring: name)
                    let stages = try #require(try plain.withEpilogue(units: units, size: check.size))
                    #expect(stages.count { $0.kernel.isEpilogue } == 1 && stages.followed(in: units).count { $0 } == 4)
                    var all = [stages, stages.inLanes([0, 1, nil, 1], units: units)]
                    if let banded = try stages.inBands(of: 4, units: units, size: check.size) { all.append(banded) }
                    #expect(all.count == (name.contains("planes") ? 2 : 3))
                    for (stages, threads) in zip(all, [1, 2, 3]) {
                        let block = try PlannedBlock(check.parameters, size: check.size, stages: stages, pool: ThreadPool(threads: threads))
                        let deviations = check.deviations(block)
                        #expect(deviations.map(\.unit).filter { $0 != "output" } == units.map(\.name))
                        for unit in deviations { #expect(unit.passed, "\(name), \(activation), \(threads): \(unit)") }
                    }
                }
            }
        }
    }

    /// A channel's factor that is off shows.
    @Test func aWrongFactorIsFound() throws {
        let check = try BlockCheck(file: ParameterTests.file("golden/literal_c16_h20w20_n1.safetensors") { _ in })
        let units = check.parameters.units.map(\.unit)
        let wrong = try BlockParameters(file: ParameterTests.file("golden/literal_c16_h20w20_n1.safetensors") { tensors in
            tensors = tensors.map { tensor in
                guard tensor.name == "fuse.dw.conv.weight", case .f32(var values) = tensor.values else { return tensor }
                values[50] *= 1.01
                return SafetensorsTensor(tensor.name, shape: tensor.shape, .f32(values))
            }
        })
        let stages = try #require(try Self.tiled(check, Self.registry.level.rawValue).withEpilogue(units: units, size: check.size))
        let block = try PlannedBlock(wrong, size: check.size, stages: stages, pool: ThreadPool(threads: 1))
        #expect(check.deviations(block).contains { $0.unit == "fuse.dw" && !$0.passed && $0.index[1] == 50 })
    }

    @Test("the golden files", arguments: PlannedBlockTests.names)
    func golden(name: String) throws {
        let check = try BlockCheck(Fixtures.path("golden/\(name)"))
        let units = check.parameters.units.map(\.unit)
        guard let stages = try Self.tiled(check, Self.registry.level.rawValue).withEpilogue(units: units, size: check.size) else {
            // Without a separable fuse, or with half vectors.
            #expect(units.last!.name == "fuse" || units.contains { $0.oc % 16 != 0 })
            return
        }
        let block = try PlannedBlock(check.parameters, size: check.size, stages: stages, pool: ThreadPool(threads: 2))
        for unit in check.deviations(block) { #expect(unit.passed, "\(name): \(unit)") }
    }

    /// Between two units of a branch: what follows has a single source, and the map is written once.
    @Test func behindASingleUnit() throws {
        var description = BlockDescription(.rfb, activation: .silu)
        for branch in description.branches.indices { description.branches[branch][1].kernel = 1 }
        let check = try Self.check(description)
        let units = check.parameters.units.map(\.unit)
        let plain = try Self.tiled(check, Self.registry.level.rawValue)
        let stages = plain.map { stage in
            units[stage.units.lowerBound].name.hasSuffix(".1.dw") ? BlockStage(units: stage.units, kernel: .epilogue) : stage
        }
        #expect(stages.followed(in: units).count { $0 } == 3)
        for stages in [stages, stages.inLanes([1, 0, 1, nil], units: units)] {
            let block = try PlannedBlock(check.parameters, size: check.size, stages: stages, pool: ThreadPool(threads: 2))
            for unit in check.deviations(block) { #expect(unit.passed, "\(unit)") }
        }
    }

    @Test func aPlanSaysSoAndIsRefusedWhereItCannotBe() throws {
        let check = try Self.check(BlockDescription(.literal, activation: .relu))
        let units = check.parameters.units.map(\.unit)
        let stages = try #require(try Self.tiled(check, Self.registry.level.rawValue).withEpilogue(units: units, size: check.size))
        let plan = try BlockPlan(parsing: BlockPlan(stages, units: units, size: check.size, threads: 1).text, file: "plan")
        func message(_ change: (inout BlockPlan) -> Void = { _ in }) -> String {
            var plan = plan
            change(&plan)
            do { return "\(try plan.stages(units: units, size: check.size, registry: Self.registry).map(\.kernel.name))" } catch { return "\(error)" }
        }
        #expect(message() == "\(stages.map(\.kernel.name))")
        let row = try #require(plan.rows.firstIndex { $0.kernel == "epilogue" })
        let residual = try #require(plan.rows.firstIndex { $0.unit == "residual" })
        let naive = try #require(Self.registry.kernels.first { $0.layer == .pw && $0.family == .naive }).name
        #expect(message { $0.rows[residual].kernel = naive; $0.rows[residual].config = ""; $0.rows[residual].layout = "" }
            .hasPrefix("plan:\(row + 2): unit fuse.dw: epilogue cannot run it: \(naive), which makes residual, cannot: it computes nothing behind its layer; pw-tile and pw-strassen do; write another there, or a kernel of its own here"))
        #expect(message { $0.rows[row].config = "m8" }.hasPrefix("plan:\(row + 2): epilogue: "))
        for (unit, reason) in [("compress.dw", "reads the block's input"), ("fuse.pw", "depthwise layers of one tap"), ("branches.0.dw", "depthwise layers of one tap")] {
            let index = try #require(plan.rows.firstIndex { $0.unit == unit })
            let text = message { $0.rows[index].kernel = "epilogue"; $0.rows[index].config = ""; $0.rows[index].layout = "nhwc" }
            #expect(text.hasPrefix("plan:") && text.contains(reason), "\(text)")
        }
    }
}
