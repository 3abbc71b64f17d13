import BlockRuntime
import ConvCore
import KernelRegistry
import Testing
import ThreadPool

@Suite("Planned blocks")
struct PlannedBlockTests {
    static let names = Fixtures.names(in: "golden", ending: ".safetensors")
    static let registry = KernelRegistry(level: InstructionSet.detected)

    /// Every family at every level, and the separables fused.
    static func variants(_ check: BlockCheck) throws -> [(name: String, stages: [BlockStage])] {
        let units = check.parameters.units.map(\.unit)
        var result: [(String, [BlockStage])] = []
        for isa in Set(registry.kernels.map(\.isa)) {
            for family in Kernel.Family.allCases {
                if let stages = try BlockPlan.stages(
                    family: family, isa: isa, units: units, size: check.size, registry: registry)
                {
                    result.append(("\(family) \(isa)", stages))
                }
            }
            if let stages = try BlockPlan.fusedStages(isa: isa, units: units, size: check.size, registry: registry) {
                result.append(("fused \(isa)", stages))
            }
        }
        return result
    }

    @Test("every variant reproduces the activations", arguments: names, [1, 2, 3])
    func golden(name: String, threads: Int) throws {
        let check = try BlockCheck(Fixtures.path("golden/\(name)"))
        let variants = try Self.variants(check)
        #expect(variants.count >= 5)
        for (variant, stages) in variants {
            let block = try PlannedBlock(
                check.parameters, size: check.size, stages: stages, pool: ThreadPool(threads: threads))
            let deviations = check.deviations(block)
            #expect(deviations.map(\.unit).filter { $0 != "output" } == check.parameters.units.map(\.unit.name))
            #expect(deviations.contains { $0.unit == "output" || $0.unit == "fuse" && $0.isHeld })
            for unit in deviations { #expect(unit.passed, "\(name), \(variant): \(unit)") }
        }
    }

    /// Rows that divide the map and rows that do not, down to one and up to all; batches; the fuse separable by one kernel or two.
    @Test("in bands of rows", arguments: names, [1, 2, 3])
    func bands(name: String, threads: Int) throws {
        let check = try BlockCheck(Fixtures.path("golden/\(name)"))
        let units = check.parameters.units.map(\.unit)
        let pool = ThreadPool(threads: threads)
        let level = Self.registry.level.rawValue
        let single = try #require(try BlockPlan.stages(family: .tiled, isa: level, units: units, size: check.size, registry: Self.registry))
        let fused = try #require(try BlockPlan.fusedStages(isa: level, units: units, size: check.size, registry: Self.registry))
        // A branch that one kernel computes whole reads more than a pixel.
        #expect(try fused.inBands(of: 1, units: units, size: check.size) == nil)
        let end = fused.last!
        let whole = single.filter { $0.units.upperBound <= end.units.lowerBound } + [end]
        let plane = check.size.height * check.size.width
        // Kernels that work in scratch, each thread in its own.
        let scratched = try single.map { stage in
            let problem = try units[stage.units.lowerBound].problem(at: check.size)
            let kernel = Self.registry.split(for: problem).able.first {
                $0.layout == .nhwc && $0.stridesDst && $0.memory(problem, $0.space.standard, 1).scratch > 0
            }
            return kernel.map { BlockStage(units: stage.units, kernel: .layer(Candidate($0))) } ?? stage
        }
        // Without copies at the ends, but where planes are no whole vectors.
        let planes = try single.withEndsInPlanes(units: units, size: check.size, registry: Self.registry)
        #expect(planes.last!.kernel.srcLayout == .nhwc && planes.last!.kernel.layout == .nchw)
        for stages in [single, whole, scratched, planes] {
            let plain = try PlannedBlock(check.parameters, size: check.size, stages: stages, pool: pool)
            // The last but one makes three bands, of which two share rows.
            for rows in Set([1, 2, 3, check.size.height / 2, check.size.height * 2 / 5 + 1, check.size.height]) {
                let banded = try #require(try stages.inBands(of: rows, units: units, size: check.size))
                #expect(banded.compactMap(\.band) == banded.indices.filter { banded[$0].units.upperBound > end.units.lowerBound
                    || units[end.units.lowerBound].inputs.contains(.unit(banded[$0].units.upperBound - 1)) }.map { _ in rows })
                let block = try PlannedBlock(check.parameters, size: check.size, stages: banded, pool: pool)
                let deviations = check.deviations(block)
                #expect(deviations.map(\.unit).filter { $0 != "output" } == check.parameters.units.map(\.unit.name))
                for unit in deviations { #expect(unit.passed, "\(name), \(rows) rows: \(unit)") }
                // Every thread has bands of its own.
                if rows == 1, threads == 1 { #expect(block.memory.maps < plain.memory.maps) }
                let turned = try PlannedBlock(check.parameters, size: check.size, stages: banded, pool: pool, output: .nhwc)
                let (a, b) = (AlignedMemory(floats: block.outputCount), AlignedMemory(floats: block.outputCount))
                let back = AlignedMemory(floats: block.outputCount)
                check.input.withUnsafeBufferPointer { input in
                    block.run(input.baseAddress!, a.floats)
                    turned.run(input.baseAddress!, b.floats)
                    // Whichever thread is ahead.
                    for _ in 0..<10 {
                        let again = AlignedMemory(floats: block.outputCount)
                        block.run(input.baseAddress!, again.floats)
                        #expect(Array(again.floatBuffer) == Array(a.floatBuffer))
                        turned.run(input.baseAddress!, again.floats)
                        #expect(Array(again.floatBuffer) == Array(b.floatBuffer))
                    }
                }
                Layout.convert(
                    b.floats, from: .nhwc, to: back.floats, as: .nchw, batch: check.size.batch, channels: block.cout, pixels: plane)
                #expect(Array(back.floatBuffer) == Array(a.floatBuffer))
            }
        }
        #expect(try single.inBands(of: check.size.height + 1, units: units, size: check.size) == nil)
    }

    @Test("a plan's bands come back, and others are refused by line")
    func bandsOfAPlan() throws {
        let check = try BlockCheck(Fixtures.path("golden/\(Self.names[2])"))
        let units = check.parameters.units.map(\.unit)
        let level = Self.registry.level.rawValue
        let single = try #require(try BlockPlan.stages(family: .tiled, isa: level, units: units, size: check.size, registry: Self.registry))
        let stages = try #require(try single.inBands(of: 2, units: units, size: check.size))
        let plan = try BlockPlan(parsing: BlockPlan(stages, units: units, size: check.size, threads: 1).text, file: "plan")
        func message(_ change: (inout BlockPlan) -> Void) -> String {
            var plan = plan
            change(&plan)
            do { return "\(try plan.stages(units: units, size: check.size, registry: Self.registry).compactMap(\.band))" } catch { return "\(error)" }
        }
        #expect(message { _ in } == "\(stages.compactMap(\.band))")
        let first = try #require(stages.firstIndex { $0.band != nil })
        #expect(message { $0.rows[first].band = nil }.contains("a band of 2 rows goes through"))
        #expect(message { $0.rows[0].band = 2 }.contains("and no other stage"))
        #expect(message { for i in stages.indices where stages[i].band != nil { $0.rows[i].band = 9999 } }.contains("does not fit \(check.size.height) rows"))
        #expect(message { for i in stages.indices where stages[i].band != nil { $0.rows[i].band = 9999 } }.hasPrefix("plan:\(first + 2): unit"))
        #expect(Fixtures.message { _ = try BlockPlan(parsing: plan.text.replacing(",2,\n", with: ",0,\n"), file: "plan") }
            .hasPrefix("plan:\(first + 2): band is '0'"))
    }

    /// Neighbouring stages in different layouts, ends in NHWC.
    @Test("mixed layouts", arguments: names)
    func mixed(name: String) throws {
        let check = try BlockCheck(Fixtures.path("golden/\(name)"))
        let units = check.parameters.units.map(\.unit)
        let pool = ThreadPool(threads: 2)
        for parity in 0..<2 {
            let stages = try units.enumerated().map { index, unit in
                let problem = try unit.problem(at: check.size)
                let layout: Layout = index % 2 == parity ? .nchw : .nhwc
                let kernel = try #require(Self.registry.split(for: problem).able.last { $0.layout == layout })
                return BlockStage(units: index..<index + 1, kernel: .layer(Candidate(kernel)))
            }
            let block = try PlannedBlock(check.parameters, size: check.size, stages: stages, pool: pool)
            for unit in check.deviations(block) { #expect(unit.passed, "\(name): \(unit)") }

            // The same with both ends in NHWC.
            let plane = check.size.height * check.size.width
            let turned = try PlannedBlock(
                check.parameters, size: check.size, stages: stages, pool: pool, input: .nhwc, output: .nhwc)
            let ends = [AlignedMemory(floats: check.input.count), AlignedMemory(floats: check.size.batch * block.cout * plane)]
            let plain = [AlignedMemory(floats: check.size.batch * block.cout * plane), ends[1]]
            check.input.withUnsafeBufferPointer { input in
                block.run(input.baseAddress!, plain[0].floats)
                Layout.convert(
                    input.baseAddress!, from: .nchw, to: ends[0].floats, as: .nhwc, batch: check.size.batch,
                    channels: check.size.cin, pixels: plane)
            }
            turned.run(ends[0].floats, ends[1].floats)
            let back = AlignedMemory(floats: check.size.batch * block.cout * plane)
            Layout.convert(
                ends[1].floats, from: .nhwc, to: back.floats, as: .nchw, batch: check.size.batch, channels: block.cout,
                pixels: plane)
            #expect(Array(back.floatBuffer) == Array(plain[0].floatBuffer))
        }
    }

    /// All three layouts in turn, one image and two, and the ends in blocks.
    @Test(arguments: [1, 2], BlockVariant.allCases)
    func blocksOfChannels(batch: Int, variant: BlockVariant) throws {
        let size = BlockSize(batch: batch, cin: 64, height: 11, width: 6)
        let parameters = try BlockParameters(random: BlockDescription(variant), cin: 64, cout: 48, seed: 3)
        var random = RandomSource(seed: 4)
        let input = (0..<batch * 64 * 66).map { _ in random.nextReal() }
        let check = try BlockCheck(parameters, size: size, input: input)
        let units = parameters.units.map(\.unit)
        let pool = ThreadPool(threads: 2)
        func stages(_ layout: (Int) -> Layout) throws -> [BlockStage] {
            try units.enumerated().map { index, unit in
                let able = Self.registry.split(for: try unit.problem(at: size)).able
                let kernel = try #require(able.last { $0.layout == layout(index) })
                return BlockStage(units: index..<index + 1, kernel: .layer(Candidate(kernel)))
            }
        }
        for shift in 0..<3 {
            let block = try PlannedBlock(parameters, size: size, stages: stages { Layout.allCases[($0 + shift) % 3] }, pool: pool)
            for unit in check.deviations(block) { #expect(unit.passed, "\(unit)") }
        }
        let own = try stages { _ in .nchw16c }
        let block = try PlannedBlock(parameters, size: size, stages: own, pool: pool)
        for unit in check.deviations(block) { #expect(unit.passed, "\(unit)") }
        // No copy but those at the ends; two images part the slices of the concatenation.
        let copies = block.parts.count { if case .conversion = $0 { true } else { false } }
        #expect(copies == 2 + (batch == 1 ? 0 : units[units.count - (variant == .listing ? 1 : 2)].inputs.count))
        let turned = try PlannedBlock(parameters, size: size, stages: own, pool: pool, input: .nchw16c, output: .nchw16c)
        let ends = (AlignedMemory(floats: input.count), AlignedMemory(floats: block.outputCount), AlignedMemory(floats: block.outputCount))
        Layout.convert(input, from: .nchw, to: ends.0.floats, as: .nchw16c, batch: batch, channels: 64, pixels: 66)
        turned.run(ends.0.floats, ends.1.floats)
        let banded = try #require(try BlockPlan.stages(family: .tiled, isa: Self.registry.level.rawValue, units: units, size: size, registry: Self.registry)?
            .inBands(of: 4, units: units, size: size))
        for layout in Layout.allCases {
            let block = try PlannedBlock(parameters, size: size, stages: banded, pool: pool, output: layout)
            let (out, plain) = (AlignedMemory(floats: block.outputCount), AlignedMemory(floats: block.outputCount))
            input.withUnsafeBufferPointer { block.run($0.baseAddress!, out.floats) }
            Layout.convert(out.floats, from: layout, to: plain.floats, as: .nchw, batch: batch, channels: 48, pixels: 66)
            let expected = try PlannedBlock(parameters, size: size, stages: banded, pool: pool).run(input)
            #expect(Array(plain.floatBuffer.prefix(block.outputCount)) == expected, "\(layout)")
        }
        Layout.convert(ends.1.floats, from: .nchw16c, to: ends.2.floats, as: .nchw, batch: batch, channels: 48, pixels: 66)
        #expect(Array(ends.2.floatBuffer.prefix(block.outputCount)) == block.run(input))
    }

    /// Branches of half blocks end in a concatenation of whole ones: it cannot lie in blocks.
    @Test func aConcatenationInBlocksHasWholeBlocks() throws {
        let size = BlockSize(cin: 64, height: 5, width: 4)
        let parameters = try BlockParameters(random: BlockDescription(.literal), cin: 64, cout: 40, seed: 3)
        let units = parameters.units.map(\.unit)
        let reader = try #require(units.firstIndex { $0.inputs.count > 1 })
        let stages = try units.enumerated().map { index, unit in
            let able = Self.registry.split(for: try unit.problem(at: size)).able
            return BlockStage(units: index..<index + 1, kernel: .layer(Candidate(
                try #require(able.last { $0.layout == (index == reader ? .nchw16c : .nhwc) }))))
        }
        #expect(Fixtures.message { _ = try PlannedBlock(parameters, size: size, stages: stages, pool: ThreadPool(threads: 1)) }
            .contains("branches.0.pw, which ends in its input, has 40 channels, no whole blocks of 16"))
        let plan = try BlockPlan(parsing: BlockPlan(stages, units: units, size: size, threads: 1).text, file: "plan")
        #expect(Fixtures.message { _ = try plan.stages(units: units, size: size, registry: Self.registry) }.hasPrefix("plan:\(reader + 2): "))
        // Nor can an end of the block.
        let plain = try BlockPlan.standardStages(units: units, size: size, threads: 1, registry: Self.registry)
        #expect(Fixtures.message { _ = try PlannedBlock(parameters, size: size, stages: plain, pool: ThreadPool(threads: 1), output: .nchw16c) }
            == "the output has 40 channels, no whole blocks of 16; take it as nchw or nhwc")
    }

    @Test("memory stays below input, output, mid and concatenation", arguments: names)
    func memory(name: String) throws {
        let check = try BlockCheck(Fixtures.path("golden/\(name)"))
        let units = check.parameters.units.map(\.unit)
        let (cin, cout) = (check.parameters.cin, check.parameters.cout)
        let map = 4 * check.size.batch * check.size.height * check.size.width
        let bound = units.memoryBound(at: check.size)
        // Some lines between the maps keep them off the same cache sets, and each begins a line.
        #expect(bound - map * (cin + cout + cin / 2 + 4 * cout) == 8 * (3 * 64 + 64))
        for threads in [1, 2] {
            let stages = try BlockPlan.standardStages(units: units, size: check.size, threads: threads, registry: Self.registry)
            let block = try PlannedBlock(check.parameters, size: check.size, stages: stages, pool: ThreadPool(threads: threads))
            #expect(block.memory.maps + block.memory.scratch <= bound)
            let foretold = try PlannedBlock.memory(of: stages, units: units, size: check.size, threads: threads)
            #expect(foretold == block.memory)
        }
    }

    @Test("scratch included, on every map of the models", arguments: [1, 2])
    func scratch(threads: Int) throws {
        let preset = try #require(Preset.all.first { $0.name == "yolov5-blocks" })
        for one in try preset.blocks(PresetOptions(sizes: [320, 640], batches: [1, 4])) {
            let units = try one.block.units(cin: one.size.cin, cout: one.size.cout)
            let stages = try BlockPlan.standardStages(units: units, size: one.size, threads: threads, registry: Self.registry)
            let memory = try PlannedBlock.memory(of: stages, units: units, size: one.size, threads: threads)
            let bound = units.memoryBound(at: one.size)
            #expect(memory.maps + memory.scratch <= bound, "\(one.name): \(memory) in \(bound)")
        }
    }

    @Test("small maps, odd channels and batches, against the oracle", arguments: BlockVariant.allCases)
    func smallMaps(variant: BlockVariant) throws {
        for (batch, cin, height, width) in [(1, 3, 1, 1), (3, 11, 1, 3), (2, 2, 4, 1)] {
            let size = BlockSize(batch: batch, cin: cin, height: height, width: width)
            let parameters = try BlockParameters(random: BlockDescription(variant), cin: cin, cout: nil, seed: 3)
            var random = RandomSource(seed: 4)
            let input = (0..<batch * cin * height * width).map { _ in random.nextReal() }
            let check = try BlockCheck(parameters, size: size, input: input)
            let variants = try Self.variants(check)
            #expect(variants.count >= 5)
            for (name, stages) in variants {
                let block = try PlannedBlock(parameters, size: size, stages: stages, pool: ThreadPool(threads: 2))
                let deviations = check.deviations(block)
                #expect(!deviations.isEmpty && deviations.allSatisfy(\.passed), "\(name), \(size.description)")
            }
        }
    }

    /// A fused kernel over every two neighbours, separable or not; a last row that takes a unit too many; a row too many.
    @Test("a plan with a fused kernel where there is no separable is refused", arguments: BlockVariant.allCases)
    func fusedElsewhere(variant: BlockVariant) throws {
        let size = BlockSize(cin: 16, height: 6, width: 6)
        let units = try BlockDescription(variant).units(cin: 16)
        let fused = try #require(Self.registry.separableKernels.last)
        let stages = try #require(
            try BlockPlan.stages(family: .tiled, isa: fused.isa, units: units, size: size, registry: Self.registry))
        let lines = try BlockPlan(stages, units: units, size: size, threads: 1).text.split(separator: "\n").map(String.init)
        let fields = lines.map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
        let columns = try ["unit", "problem", "kernel", "config", "layout"].map { try #require(fields[0].firstIndex(of: $0)) }
        func row(_ text: String...) -> String {
            var row = fields[1]
            for (column, text) in zip(columns, text) { row[column] = text }
            return row.joined(separator: ",")
        }
        func read(_ lines: [String]) throws {
            _ = try BlockPlan(parsing: lines.joined(separator: "\n"), file: "f").stages(units: units, size: size, registry: Self.registry)
        }
        try read(lines)
        // As a spreadsheet may save it.
        try read(["\u{FEFF}" + lines[0].replacing(",", with: ", ")] + lines.dropFirst())
        let standard = "\(fused.space.standard)"
        var taken = 0
        for index in 0..<units.count - 1 {
            let both = units[index].name + "+" + units[index + 1].name
            let problems = try units[index...index + 1].map { try $0.problem(at: size).text }.joined(separator: "+")
            let joined = row(both, problems, fused.name, standard, fused.layout.rawValue)
            do {
                try read(Array(lines[...index]) + [joined] + lines[(index + 3)...])
                taken += 1
            } catch let error as PlanError {
                #expect("\(error)".hasPrefix("f:\(index + 2): unit \(both): \(fused.name)@") && "\(error)".contains(" cannot run it: "))
            }
        }
        #expect(taken == (try BlockDescription(variant).separableProblems(size: size).count))
        let last = units.count - 1
        let tooMany = row(units[last].name, try units[last].problem(at: size).text, fused.name, standard, fused.layout.rawValue)
        #expect(throws: PlanError.self) { try read(Array(lines.dropLast()) + [tooMany]) }
        #expect(throws: PlanError.self) { try read(lines + [row("no further unit", "", stages[last].kernel.name, "", "")]) }
    }

    @Test("a plan's text comes back as its stages")
    func roundTrip() throws {
        let check = try BlockCheck(Fixtures.path("golden/\(Self.names[2])"))
        let units = check.parameters.units.map(\.unit)
        let stages = try BlockPlan.standardStages(units: units, size: check.size, threads: 2, registry: Self.registry)
        let plan = try BlockPlan(stages, units: units, size: check.size, threads: 2)
        let again = try BlockPlan(parsing: plan.text, file: "plan")
        #expect(again.rows == plan.rows)
        func refusal(_ change: (inout [String]) -> Void) -> String {
            var fields = plan.text.split(separator: "\n").prefix(2).map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
            change(&fields[1])
            if fields[1].count > fields[0].count { fields[0].append("kernel") }
            return Fixtures.message { _ = try BlockPlan(parsing: fields.map { $0.joined(separator: ",") }.joined(separator: "\n"), file: "plan") }
        }
        #expect(refusal { $0.append("") }.hasPrefix("plan:1: column 'kernel' stands there twice"))
        for time in ["abc", "-5", "nan"] { #expect(refusal { $0[6] = time }.hasPrefix("plan:2: median_ns is '\(time)'")) }
        let back = try again.stages(units: units, size: check.size, registry: Self.registry)
        #expect(back.map(\.kernel.name) == stages.map(\.kernel.name))
        #expect(back.map(\.units) == stages.map(\.units))

        // Another size, another block, a kernel that is not here, a broken line: each is refused by line.
        var larger = check.size
        larger.height += 1
        func message(_ plan: BlockPlan, _ size: BlockSize) -> String {
            do { return "\(try plan.stages(units: units, size: size, registry: Self.registry).count) stages" } catch { return "\(error)" }
        }
        #expect(message(again, larger).hasPrefix("plan:2: unit \(again.rows[0].unit) was planned for"))
        var other = again
        other.rows[1].unit = "residual"
        #expect(message(other, check.size).hasPrefix("plan:3: unit 'residual' where the block has"))
        other = again
        other.rows[0].kernel = "pw-tile-v9"
        #expect(message(other, check.size).contains("is not known"))
        other = again
        other.rows.removeLast()
        #expect(message(other, check.size).contains("(end of the plan)"))
        other = again
        other.rows[0].layout = "banana"
        #expect(message(other, check.size).hasPrefix("plan:2: unit \(other.rows[0].unit): layout is 'banana'"))
        other.rows[0].layout = ""
        #expect(message(other, check.size) == "\(stages.count) stages")
        #expect(again.threads == [2])
        // Lines are counted as an editor counts them, blank ones too.
        let spaced = try BlockPlan(parsing: plan.text.replacing("\n", with: "\n\n"), file: "plan")
        #expect(message(spaced, larger).hasPrefix("plan:3: unit"))
        #expect(Fixtures.message { _ = try BlockPlan(parsing: plan.text.replacing(",2,,", with: ",some,,"), file: "plan") }
            .hasPrefix("plan:2: threads is 'some'"))
        #expect(throws: PlanError.self) { try BlockPlan(parsing: BlockPlan.header + "\na,b\n", file: "plan") }
        #expect(throws: PlanError.self) { try BlockPlan(parsing: "", file: "plan") }
    }
}
