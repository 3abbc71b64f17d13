import BlockRuntime
import ConvCore
import KernelRegistry
import Testing
import ThreadPool

@Suite("Branches side by side")
struct BlockLanesTests {
    static let registry = PlannedBlockTests.registry

    /// Kernels that copy nothing, that turn maps over on their way, that work in scratch, and separables by one kernel.
    static func variants(_ check: BlockCheck) throws -> [[BlockStage]] {
        let units = check.parameters.units.map(\.unit)
        let level = registry.level.rawValue
        func stages(_ layout: (Int) -> Layout) throws -> [BlockStage] {
            try units.enumerated().map { index, unit in
                let kernel = try #require(registry.split(for: try unit.problem(at: check.size)).able.last { $0.layout == layout(index) })
                return BlockStage(units: index..<index + 1, kernel: .layer(Candidate(kernel)))
            }
        }
        let single = try #require(try BlockPlan.stages(family: .tiled, isa: level, units: units, size: check.size, registry: registry))
        return [
            single, try single.withEndsInPlanes(units: units, size: check.size, registry: registry),
            try stages { _ in .nhwc }, try stages { $0 % 2 == 0 ? .nchw : .nhwc }, try stages { $0 % 2 == 0 ? .nhwc : .nchw },
            try #require(try BlockPlan.fusedStages(isa: level, units: units, size: check.size, registry: registry)),
        ]
    }

    @Test("every choice of branches", arguments: PlannedBlockTests.names, [1, 2, 3])
    func golden(name: String, threads: Int) throws {
        let check = try BlockCheck(Fixtures.path("golden/\(name)"))
        let units = check.parameters.units.map(\.unit)
        let pool = ThreadPool(threads: threads)
        for stages in try Self.variants(check) {
            let branches = stages.branches(of: units)
            #expect(branches.count == units.first { $0.inputs.count > 1 }!.inputs.count)
            #expect(Set(branches.flatMap(\.self)).count == branches.reduce(0) { $0 + $1.count })
            let shared = try PlannedBlock(check.parameters, size: check.size, stages: stages, pool: pool)
            #expect(!shared.hasBandsOrLanes && shared.lanes.allSatisfy { $0 == nil })
            let choices: [[Int?]] = [[0, 1, 0, 1], [nil, 1, 0, nil], [0, nil, nil, 1], [3, 2, 1, 0], [1, 1, 1, 1]]
            for lanes in choices.map({ $0.prefix(branches.count) }) {
                let laned = stages.inLanes(Array(lanes), units: units)
                #expect(laned.count { $0.lane != nil } == zip(branches, lanes).reduce(0) { $0 + ($1.1 == nil ? 0 : $1.0.count) })
                let block = try PlannedBlock(check.parameters, size: check.size, stages: laned, pool: pool)
                #expect(block.hasBandsOrLanes && Set(block.lanes.compactMap(\.self)) == Set(lanes.compactMap { $0 }.map { $0 % threads }))
                for unit in check.deviations(block) { #expect(unit.passed, "\(name), \(lanes): \(unit)") }
                let (a, again) = (AlignedMemory(floats: block.outputCount), AlignedMemory(floats: block.outputCount))
                check.input.withUnsafeBufferPointer { input in
                    block.run(input.baseAddress!, a.floats)
                    for _ in 0..<20 {
                        again.floats.update(repeating: .nan, count: block.outputCount)
                        block.run(input.baseAddress!, again.floats)
                        #expect(Array(again.floatBuffer) == Array(a.floatBuffer))
                    }
                }
            }
        }
    }

    /// The longest lane counts, and what all threads share.
    @Test func timesOfLanesAddUpToTheLongest() throws {
        let size = BlockSize(cin: 32, height: 5, width: 4)
        let parameters = try BlockParameters(random: BlockDescription(.listing), cin: 32, cout: nil, seed: 3)
        let units = parameters.units.map(\.unit)
        let stages = try #require(try BlockPlan.stages(
            family: .tiled, isa: Self.registry.level.rawValue, units: units, size: size, registry: Self.registry))
        let block = try PlannedBlock(
            parameters, size: size, stages: stages.inLanes([0, 1, 1, nil], units: units), pool: ThreadPool(threads: 2))
        // Each branch has two stages; the other parts are compress, residual, fuse and the copies at the ends.
        #expect(block.lanes.count { $0 == 0 } == 2 && block.lanes.count { $0 == 1 } == 4)
        #expect(block.total(of: block.lanes.map { $0 == 0 ? 5 : 2 }) == Double(2 * block.lanes.count { $0 == nil } + 10))
        #expect(block.total(of: block.lanes.map { $0 == 0 ? 1 : 2 }) == Double(2 * block.lanes.count { $0 == nil } + 8))
    }

    @Test("a plan's lanes come back, and others are refused by line")
    func lanesOfAPlan() throws {
        let check = try BlockCheck(Fixtures.path("golden/\(PlannedBlockTests.names[2])"))
        let units = check.parameters.units.map(\.unit)
        let single = try #require(try BlockPlan.stages(
            family: .tiled, isa: Self.registry.level.rawValue, units: units, size: check.size, registry: Self.registry))
        let stages = single.inLanes([0, 1, nil, 0], units: units)
        let plan = try BlockPlan(parsing: BlockPlan(stages, units: units, size: check.size, threads: 2).text, file: "plan")
        func message(_ change: (inout BlockPlan) -> Void) -> String {
            var plan = plan
            change(&plan)
            do { return "\(try plan.stages(units: units, size: check.size, registry: Self.registry).map(\.lane))" } catch { return "\(error)" }
        }
        #expect(message { _ in } == "\(stages.map(\.lane))")
        let branch = stages.branches(of: units)[0]
        #expect(branch.count >= 2)
        let (first, second) = (branch[0], branch[1])
        #expect(message { $0.rows[second].lane = nil }.hasPrefix("plan:\(second + 2): unit \(plan.rows[second].unit): it reads \(plan.rows[first].unit), which is in lane 0"))
        #expect(message { $0.rows[second].lane = 1 }.contains("write 0 here, or nothing there"))
        #expect(message { $0.rows[$0.rows.count - 1].lane = 0 }.hasPrefix("plan:\(stages.count + 1): unit \(plan.rows.last!.unit): only what comes before"))
        #expect(message { $0.rows[$0.rows.count - 1].band = 2 }.contains("band"))
        #expect(Fixtures.message { _ = try BlockPlan(parsing: plan.text.replacing(",1\n", with: ",-1\n"), file: "plan") }.contains("lane is '-1'; write"))
        // Plans of before have no such column.
        let old = plan.text.split(separator: "\n").map { $0.split(separator: ",", omittingEmptySubsequences: false).dropLast().joined(separator: ",") }
        let read = try BlockPlan(parsing: old.joined(separator: "\n") + "\n", file: "old")
        #expect(try read.stages(units: units, size: check.size, registry: Self.registry).allSatisfy(\.isShared))
    }
}
