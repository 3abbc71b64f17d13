import BlockRuntime
import ConvCore
import Harness
import KernelRegistry
import Testing
import ThreadPool
import Tuning

@Suite("Plans of blocks")
struct BlockPlannerTests {
    static let registry = KernelRegistry(level: InstructionSet.detected)

    /// A block with random costs for a kernel of every unit in each of two layouts, and for fused separables.
    struct Maze {
        let parameters: BlockParameters
        let size: BlockSize
        let units: [BlockUnit]
        let pool = ThreadPool(threads: 1)
        /// By the unit that each begins with.
        private(set) var costs: [[StageCost]]

        init(_ variant: BlockVariant, batch: Int, seed: UInt64, layouts: [Layout] = [.nchw, .nhwc]) throws {
            try self.init(BlockDescription(variant), batch: batch, seed: seed, layouts: layouts)
        }

        init(_ description: BlockDescription, batch: Int, seed: UInt64, layouts: [Layout] = [.nchw, .nhwc]) throws {
            size = BlockSize(batch: batch, cin: 32, height: 5, width: 4)
            parameters = try BlockParameters(random: description, cin: 32, cout: nil, seed: 1)
            units = parameters.units.map(\.unit)
            var random = RandomSource(seed: seed)
            costs = []
            for (index, unit) in units.enumerated() {
                let able = BlockPlannerTests.registry.split(for: try unit.problem(at: size)).able
                let kernels = layouts.compactMap { layout in able.last { $0.srcLayout == layout && $0.layout == layout } }
                #expect(kernels.count == layouts.count)
                // Those that turn a map over on the way; in few places, since every way is tried.
                let turning = unit.inputs == [.block] || index == units.count - 1
                    ? able.filter { $0.family == .tiled && $0.srcLayout != $0.layout && layouts.contains($0.layout) && layouts.contains($0.srcLayout) } : []
                costs.append((kernels + turning.suffix(2)).map {
                    StageCost(
                        stage: BlockStage(units: index..<index + 1, kernel: .layer(Candidate($0))), ns: .random(in: 1...3, using: &random))
                })
            }
            let isa = BlockPlannerTests.registry.level.rawValue
            for stage in try BlockPlan.fusedStages(isa: isa, units: units, size: size, registry: BlockPlannerTests.registry) ?? []
            where stage.units.count == 2 && layouts.contains(stage.kernel.layout) {
                costs[stage.units.lowerBound].append(StageCost(stage: stage, ns: .random(in: 2...6, using: &random)))
            }
        }

        /// What these stages cost by the steps that a planned block really takes.
        func price(_ chosen: [StageCost], nsPerByte: Double) throws -> Double {
            let block = try PlannedBlock(parameters, size: size, stages: chosen.map(\.stage), pool: pool)
            return block.parts.reduce(chosen.reduce(0) { $0 + $1.ns }) { sum, part in
                if case .conversion(let bytes) = part { sum + Double(bytes) * nsPerByte } else { sum }
            }
        }

        /// Of the same kernels once more, while they compute what reads the concatenation.
        mutating func addEpilogues(seed: UInt64) throws {
            var random = RandomSource(seed: seed)
            let reader = try #require(units.firstIndex { $0.inputs.count > 1 })
            for case .unit(let end) in units[reader].inputs {
                let problem = try units[end].problem(at: size)
                costs[end] += costs[end].filter {
                    if case .layer(let candidate) = $0.stage.kernel { candidate.kernel.appliesFollowing(problem) == .yes } else { false }
                }.map { StageCost(stage: $0.stage, ns: .random(in: 1...3, using: &random), isFollowed: true) }
            }
            costs[reader].append(StageCost(stage: BlockStage(units: reader..<reader + 1, kernel: .epilogue), ns: .random(in: 0...2, using: &random)))
        }

        /// Whether the costs are those of stages that run so beside each other.
        func isWhole(_ way: [StageCost]) -> Bool {
            way.map(\.isFollowed) == way.map(\.stage).followed(in: units)
        }

        func everyWay(from unit: Int = 0) -> [[StageCost]] {
            guard unit < units.count else { return [[]] }
            return costs[unit].flatMap { cost in everyWay(from: cost.stage.units.upperBound).map { [cost] + $0 } }
        }
    }

    @Test("the way through the layouts is the cheapest of all", arguments: [1, 2], [[Layout.nchw, .nhwc], [.nhwc, .nchw16c], [.nchw16c, .nchw]])
    func cheapestWay(batch: Int, layouts: [Layout]) throws {
        for nsPerByte in [0.0001, 0.002] { try cheapestWay(batch: batch, layouts: layouts, nsPerByte: nsPerByte) }
    }

    private func cheapestWay(batch: Int, layouts: [Layout], nsPerByte: Double) throws {
        let maze = try Maze(.listing, batch: batch, seed: UInt64(batch), layouts: layouts)
        let ways = maze.everyWay()
        #expect(ways.count >= 512)
        let prices = try ways.map { try maze.price($0, nsPerByte: nsPerByte) }
        let route = try #require(LayoutPath(
            units: maze.units, size: maze.size, costs: maze.costs, conversionNsPerByte: nsPerByte).best())
        let best = prices.min()!
        #expect(abs(route.ns - best) < 1e-9 * best)
        // And it is the way that has this price.
        let taken = route.stages.map { stage in
            maze.costs[stage.units.lowerBound].first { $0.stage.units == stage.units && $0.stage.kernel.name == stage.kernel.name }!
        }
        #expect(abs(try maze.price(taken, nsPerByte: nsPerByte) - best) < 1e-9 * best)
    }

    /// The unit behind the concatenation by a kernel of its own, or by all that make it: whichever is cheaper together.
    @Test func cheapestWayWithEpilogues() throws {
        var description = BlockDescription(.literal)
        description.compress = nil
        description.branches = [[.init(kernel: 3)]]
        var chosen: Set<Bool> = []
        for seed in 1...9 as ClosedRange<UInt64> {
            var maze = try Maze(description, batch: 1, seed: seed, layouts: seed < 9 ? [.nchw, .nhwc] : Layout.allCases)
            try maze.addEpilogues(seed: seed)
            let ways = maze.everyWay().filter(maze.isWhole)
            #expect(ways.contains { $0.contains(where: \.isFollowed) } && ways.contains { !$0.contains(where: \.isFollowed) })
            for nsPerByte in [0.0001, 0.002] {
                let best = try ways.map { try maze.price($0, nsPerByte: nsPerByte) }.min()!
                let route = try #require(LayoutPath(
                    units: maze.units, size: maze.size, costs: maze.costs, conversionNsPerByte: nsPerByte).best())
                #expect(abs(route.ns - best) < 1e-9 * best)
                let taken = zip(route.stages, route.stages.followed(in: maze.units)).map { stage, isFollowed in
                    maze.costs[stage.units.lowerBound].first {
                        $0.stage.units == stage.units && $0.stage.kernel.name == stage.kernel.name && $0.isFollowed == isFollowed
                    }!
                }
                #expect(abs(try maze.price(taken, nsPerByte: nsPerByte) - best) < 1e-9 * best)
                chosen.insert(taken.contains(where: \.isFollowed))
            }
        }
        #expect(chosen == [false, true])
    }

    @Test func noWayWithoutAKernel() throws {
        var costs = try Maze(.literal, batch: 1, seed: 3)
        let units = costs.units
        let path = LayoutPath(units: units, size: costs.size, costs: units.map { _ in [] }, conversionNsPerByte: 0)
        #expect(path.best() == nil)
        costs = try Maze(.literal, batch: 1, seed: 3)
        #expect(LayoutPath(units: units, size: costs.size, costs: costs.costs, conversionNsPerByte: 0).best() != nil)
    }

    /// A kernel that is fast by more scratch than a block may hold is given up for the next one.
    @Test func theRouteStaysWithinItsMemory() throws {
        let size = BlockSize(cin: 64, height: 12, width: 12)
        let parameters = try BlockParameters(random: BlockDescription(.literal), cin: 64, cout: nil, seed: 1)
        let units = parameters.units.map(\.unit)
        let lean = try BlockPlan.standardStages(units: units, size: size, threads: 1, registry: Self.registry)
        let planner = BlockPlanner(parameters, size: size, registry: Self.registry, threads: 1, seed: 1)
        func needed(_ stages: [BlockStage]) throws -> Int {
            let memory = try PlannedBlock.memory(of: stages, units: units, size: size, threads: 1)
            return memory.maps + memory.scratch
        }
        // Of the kernels of the last unit the one that works in most.
        let last = units.count - 1
        let problem = try units[last].problem(at: size)
        let greedy = try #require(
            Self.registry.split(for: problem).able.flatMap { kernel in kernel.space.all.map { Candidate(kernel, $0) } }
                .max { $0.kernel.memory(problem, $0.configuration, 1).scratch < $1.kernel.memory(problem, $1.configuration, 1).scratch })
        let stage = BlockStage(units: last..<last + 1, kernel: .layer(greedy))
        try #require(lean.last!.units == last..<last + 1)
        let costs = zip(lean, lean.followed(in: units)).map { StageCost(stage: $0, ns: 100, isFollowed: $1) } + [StageCost(stage: stage, ns: 1)]
        let free = try planner.route(costs, conversionNsPerByte: 0, units: units, bound: .max)
        #expect(free.stages.last?.kernel.name == greedy.name)
        let most = try needed(free.stages)
        let bound = try needed(lean)
        try #require(most > bound)
        let held = try planner.route(costs, conversionNsPerByte: 0, units: units, bound: most - 1)
        #expect(held.stages.last?.kernel.name != greedy.name)
        #expect(try needed(held.stages) < most)
        // Where nothing fits, the cheapest.
        #expect(try planner.route(costs, conversionNsPerByte: 0, units: units, bound: 0).stages.last?.kernel.name == greedy.name)
    }

    /// Where the cheapest way goes from layout to layout, its copies may take more memory than any scratch that could be given up.
    @Test func theRouteGivesUpCopies() throws {
        var exceeded = 0
        for seed in 1...16 as ClosedRange<UInt64> {
            let maze = try Maze(.listing, batch: 1, seed: seed)
            let planner = BlockPlanner(maze.parameters, size: maze.size, registry: Self.registry, threads: 1, seed: 1)
            let costs = maze.costs.flatMap { $0 }
            func needed(_ costs: [StageCost], within bound: Int) throws -> Int {
                let stages = try planner.route(costs, conversionNsPerByte: 0, units: maze.units, bound: bound).stages
                let memory = try PlannedBlock.memory(of: stages, units: maze.units, size: maze.size, threads: 1)
                return memory.maps + memory.scratch
            }
            let free = try needed(costs, within: .max)
            for layout in [Layout.nchw, .nhwc] {
                let bound = try needed(costs.filter { $0.stage.kernel.srcLayout == layout && $0.stage.kernel.layout == layout }, within: .max)
                exceeded += free > bound ? 1 : 0
                #expect(try needed(costs, within: bound) <= bound)
            }
        }
        #expect(exceeded > 0)
    }

    @Test("a plan is proved, complete and within its memory", arguments: [1, 2])
    func choose(threads: Int) throws {
        let size = BlockSize(cin: 64, height: 10, width: 9)
        let parameters = try BlockParameters(random: BlockDescription(.literal), cin: 64, cout: nil, seed: 1)
        let units = parameters.units.map(\.unit)
        var told: [String] = []
        // So low a peak that no run counts as disturbed by it.
        let throughput = Throughput(try #require(Self.registry.probes.last), peakGflops: 1e-3)
        let outcome = try BlockPlanner(parameters, size: size, registry: Self.registry, threads: threads, seed: 1, throughput: throughput)
            .choose(runs: 3, naive: true) { told.append($0) }
        let stages = try outcome.plan.stages(units: units, size: size, registry: Self.registry)
        #expect(stages.flatMap(\.units) == Array(units.indices))
        #expect(outcome.plan.threads == [threads])
        #expect(try PlannedBlock.memory(of: stages, units: units, size: size, threads: threads) == outcome.memory)
        #expect(outcome.memoryBound == units.memoryBound(at: size))
        #expect(outcome.fits, "\(outcome.memory) in \(outcome.memoryBound)")
        #expect(outcome.agrees || outcome.attempts == 4)
        #expect(outcome.rivals.contains { $0.name == "planned" } && told.contains("all naive"))
        let naive = try #require(outcome.rivals.first { $0.name == "all naive" })
        #expect(naive.samples.count == 3 && naive.stages.allSatisfy { $0.kernel.isa == "scalar" })
        #expect(outcome.parts.count { if case .stage = $0.part { true } else { false } } == stages.count)
        for rival in outcome.rivals {
            #expect(rival.samples.allSatisfy { $0.ns > 0 && $0.multiplyAddGflops ?? 0 > 0 } && rival.maxError < 1e-3)
            #expect(rival.summary.count == rival.samples.count)
        }
    }
}
