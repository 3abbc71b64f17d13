import BlockRuntime
import ConvCore
import KernelRegistry
import Testing
import ThreadPool

/// The input and the output of a block, as its caller has them: in planes or in pixels, copied or taken as they are.
@Suite("Ends of blocks")
struct BlockEndsTests {
    static let registry = PlannedBlockTests.registry

    /// A listing with random parameters and a random input, and the tiled kernels of its units.
    private struct Listing {
        let check: BlockCheck
        let units: [BlockUnit]
        let single: [BlockStage]

        init(_ size: BlockSize, cout: Int, residual: BlockDescription.Form = .unit) throws {
            var description = BlockDescription(.listing)
            description.residual = residual
            let parameters = try BlockParameters(random: description, cin: size.cin, cout: cout, seed: 3)
            var random = RandomSource(seed: 4)
            let input = (0..<size.batch * size.cin * size.height * size.width).map { _ in random.nextReal() }
            check = try BlockCheck(parameters, size: size, input: input)
            units = parameters.units.map(\.unit)
            single = try #require(try BlockPlan.stages(
                family: .tiled, isa: registry.level.rawValue, units: units, size: size, registry: registry))
        }

        var endsInPlanes: [BlockStage] {
            get throws { try single.withEndsInPlanes(units: units, size: check.size, registry: registry) }
        }

        /// In bands of so many rows, which must be possible.
        func inBands(_ stages: [BlockStage], of rows: Int) throws -> [BlockStage] {
            try #require(try stages.inBands(of: rows, units: units, size: check.size))
        }

        /// A block of these stages, held against the oracle.
        func block(_ stages: [BlockStage], threads: Int) throws -> PlannedBlock {
            let block = try PlannedBlock(check.parameters, size: check.size, stages: stages, pool: ThreadPool(threads: threads))
            for unit in check.deviations(block) { #expect(unit.passed, "\(unit)") }
            return block
        }
    }

    private func copies(_ block: PlannedBlock) -> Bool { block.parts.contains { if case .conversion = $0 { true } else { false } } }

    /// Pixels 1 KiB apart, whose copies go another way; a last line of pixels that is not whole, two images.
    @Test(arguments: [1, 2, 3])
    func pixelsThatShareCacheSets(threads: Int) throws {
        let listing = try Listing(BlockSize(batch: 2, cin: 256, height: 5, width: 7), cout: 32)
        let block = try listing.block(listing.single, threads: threads)
        guard case .conversion = block.parts[0] else { Issue.record("no copy of the input"); return }
    }

    /// An output that goes past the caches, in bands of which one begins with a cache line of the planes and the next does not.
    @Test(arguments: [1, 2])
    func bandsThatGoPastTheCaches(threads: Int) throws {
        let listing = try Listing(BlockSize(cin: 6, height: 40, width: 40), cout: 336)
        #expect(!copies(try listing.block(listing.inBands(listing.endsInPlanes, of: 1), threads: threads)))
    }

    /// A residual of two layers, the first of which lies before the bands and on planes.
    @Test(arguments: [1, 2])
    func bandsBehindPlanes(threads: Int) throws {
        let listing = try Listing(BlockSize(batch: 2, cin: 10, height: 8, width: 6), cout: 24, residual: .separable)
        let ended = try listing.endsInPlanes
        #expect(ended.contains { $0.kernel.layout == .nchw && $0.units.upperBound < listing.units.count })
        #expect(!copies(try listing.block(listing.inBands(ended, of: 2), threads: threads)))
    }

    /// Every product that writes planes, of several images, in bands and on whole maps.
    @Test(arguments: [1, 2])
    func everyProductThatWritesPlanes(threads: Int) throws {
        let listing = try Listing(BlockSize(batch: 3, cin: 20, height: 6, width: 7), cout: 52)
        let ended = try listing.endsInPlanes
        let problem = try #require(listing.units.last).problem(at: listing.check.size)
        let level = Self.registry.level.rawValue
        let kernels = Self.registry.kernels.filter {
            $0.layer == .pw && $0.isa == level && $0.srcLayout == .nhwc && $0.layout == .nchw && $0.supports(problem) == .yes
        }
        #expect(kernels.count > 1)
        for kernel in kernels {
            let stages = Array(ended.dropLast()) + [BlockStage(units: try #require(ended.last).units, kernel: .layer(Candidate(kernel)))]
            #expect(!copies(try listing.block(stages, threads: threads)))
            #expect(!copies(try listing.block(listing.inBands(stages, of: 2), threads: threads)))
        }
    }

    /// The residual layer runs before the branches: when they need their room, a copy of the input is no longer there.
    @Test func theInputIsReadBeforeTheBranchesRun() throws {
        let listing = try Listing(BlockSize(cin: 32, height: 12, width: 12), cout: 32)
        let block = try listing.block(listing.single, threads: 1)
        var order: [String] = []
        for case .stage(let stage) in block.parts { order.append(listing.units[stage.units.lowerBound].name) }
        #expect(order.starts(with: ["residual", "compress", "branches.0.dw"]))
        #expect(order.last == "fuse")
        // Beside the concatenation two maps of the middle, half as wide as the input, whose copy would be one more.
        let map = 4 * 32 * 12 * 12
        #expect(block.memory.maps < 4 * map + 2 * map / 2 + map)
    }

    /// Unplanned, a block of plain layers copies nothing at its ends, be they planes or pixels.
    @Test(arguments: [Layout.nchw, .nhwc])
    func standardStagesTakeTheEndsAsTheyAre(layout: Layout) throws {
        let size = BlockSize(batch: 2, cin: 24, height: 6, width: 5)
        let parameters = try BlockParameters(random: BlockDescription(.listing), cin: 24, cout: nil, seed: 3)
        let units = parameters.units.map(\.unit)
        let stages = try BlockPlan.standardStages(units: units, size: size, threads: 2, registry: Self.registry, input: layout, output: layout)
        #expect(!copies(try PlannedBlock(
            parameters, size: size, stages: stages, pool: ThreadPool(threads: 2), input: layout, output: layout)))
    }
}
