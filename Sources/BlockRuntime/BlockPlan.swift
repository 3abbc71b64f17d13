import ConvCore
import Foundation
import KernelRegistry

/// Which kernel computes each unit of a block, as a CSV that can be read and edited: one row per stage.
public struct BlockPlan: Sendable, Equatable {
    /// A stage; a separable that one kernel computes names both units, `compress.dw+compress.pw`.
    package struct Row: Sendable, Equatable {
        package var unit: String
        /// The problems' texts, joined by `+` likewise.
        package var problem: String
        package var kernel: String
        package var config: String
        package var layout: String
        public var threads: Int
        /// What the stage took, in nanoseconds, in a lane on its own thread; nil where it was not measured.
        package var medianNs: Double?
        /// Where that was measured.
        package var machine: String
        /// ``BlockStage/band``
        package var band: Int?
        /// ``BlockStage/lane``
        package var lane: Int?

        package init(
            unit: String, problem: String, kernel: String, config: String, layout: String, threads: Int,
            medianNs: Double?, machine: String, band: Int? = nil, lane: Int? = nil
        ) {
            self.unit = unit
            self.problem = problem
            self.kernel = kernel
            self.config = config
            self.layout = layout
            self.threads = threads
            self.medianNs = medianNs
            self.machine = machine
            self.band = band
            self.lane = lane
        }
    }

    package var rows: [Row]
    /// The name that errors carry.
    package var source = "plan"
    /// Of each row, where the plan was read.
    private var lines: [Int] = []
    /// What the whole block is expected to take, conversions between layouts included; nil where nothing was measured.
    package var predictedNs: Double?

    package static let header = "unit,problem,kernel,config,layout,threads,median_ns,machine,band,lane"

    package init(rows: [Row]) { self.rows = rows }

    /// The thread counts that its stages were chosen for; none where the plan does not say.
    public var threads: Set<Int> { Set(rows.map(\.threads).filter { $0 > 0 }) }

    private func line(_ row: Int) -> Int { row < lines.count ? lines[row] : (lines.last ?? 1) + 1 + row - lines.count }

    /// The rows of some stages. `ns` is one time per stage, or none at all.
    package init(
        _ stages: [BlockStage], units: [BlockUnit], size: BlockSize, threads: Int, ns: [Double?] = [], machine: String = ""
    ) throws {
        rows = try stages.enumerated().map { index, stage in
            Row(
                unit: Self.unitText(units[stage.units]), problem: try Self.problemText(units[stage.units], size),
                kernel: stage.kernel.kernelName, config: stage.kernel.configuration.description,
                layout: stage.kernel.layout.rawValue, threads: threads, medianNs: ns.isEmpty ? nil : ns[index],
                machine: machine, band: stage.band, lane: stage.lane)
        }
    }

    static func unitText(_ units: ArraySlice<BlockUnit>) -> String { units.map(\.name).joined(separator: "+") }

    static func problemText(_ units: ArraySlice<BlockUnit>, _ size: BlockSize) throws -> String {
        try units.map { try $0.problem(at: size).text }
            .joined(separator: "+")
    }

    /// The file's content.
    public var text: String {
        ([Self.header]
            + rows.map { row in
                [
                    row.unit, row.problem, row.kernel, row.config, row.layout, "\(row.threads)",
                    row.medianNs.map { String(format: "%.0f", $0) } ?? "", row.machine, row.band.map(String.init) ?? "",
                    row.lane.map(String.init) ?? "",
                ].joined(separator: ",")
            }).joined(separator: "\n") + "\n"
    }

    /// Reads a plan. Throws ``PlanError``.
    public init(file: String) throws {
        let bytes: [UInt8]
        do throws(FileContent.Failure) {
            bytes = try FileContent.read(file)
        } catch {
            throw PlanError.unreadable(file: file, reason: error.reason)
        }
        try self.init(parsing: String(decoding: bytes, as: UTF8.self), file: file)
    }

    /// The same from the file's content. Columns may be added and reordered; those that a plan needs must be there.
    public init(parsing text: String, file: String) throws(PlanError) {
        source = file
        rows = []
        let all = FileContent.lines(text)
        func fields(_ line: Substring) -> [String] {
            line.split(separator: ",", omittingEmptySubsequences: false).map { $0.trimmed }
        }
        let names = all.first.map(fields) ?? []
        for column in ["unit", "problem", "kernel", "config"] where !names.contains(column) {
            throw .malformed(file: file, line: 1, "column '\(column)' is missing; a plan begins with \(Self.header)")
        }
        if let column = names.indices.first(where: { !names[$0].isEmpty && names[..<$0].contains(names[$0]) }).map({ names[$0] }) {
            throw .malformed(file: file, line: 1, "column '\(column)' stands there twice; keep one")
        }
        for (index, line) in all.enumerated().dropFirst() where !line.allSatisfy(\.isWhitespace) {
            let fields = fields(line)
            guard fields.count == names.count else {
                throw .malformed(
                    file: file, line: index + 1, "\(fields.count) fields under a header of \(names.count); write one per column")
            }
            func field(_ name: String) -> String { names.firstIndex(of: name).map { fields[$0] } ?? "" }
            let threads = field("threads")
            guard threads.isEmpty || Int(threads) ?? 0 >= 1 else {
                throw .malformed(file: file, line: index + 1, "threads is '\(threads)'; write the number of threads that the plan is for")
            }
            let band = field("band")
            guard band.isEmpty || Int(band) ?? 0 >= 1 else {
                throw .malformed(file: file, line: index + 1, "band is '\(band)'; write the rows of the image that are computed at a time, or nothing for all")
            }
            let lane = field("lane")
            guard lane.isEmpty || Int(lane) ?? -1 >= 0 else {
                throw .malformed(file: file, line: index + 1, "lane is '\(lane)'; write the thread, from 0, that computes the stage beside other lanes, or nothing for all")
            }
            let median = field("median_ns")
            guard median.isEmpty || Double(median).map({ $0.isFinite && $0 >= 0 }) ?? false else {
                throw .malformed(file: file, line: index + 1, "median_ns is '\(median)'; write the stage's nanoseconds, or nothing")
            }
            lines.append(index + 1)
            rows.append(
                Row(
                    unit: field("unit"), problem: field("problem"), kernel: field("kernel"), config: field("config"),
                    layout: field("layout"), threads: Int(threads) ?? 0, medianNs: Double(median),
                    machine: field("machine"), band: Int(band), lane: Int(lane)))
        }
        guard !rows.isEmpty else { throw .malformed(file: file, line: max(2, all.count), "the plan has no row; write one per unit") }
    }

    /// The plan's stages for a block at a size. Throws ``PlanError`` where the plan is another block's, is for another size,
    /// names what this CPU cannot run, or a layout that is not its kernel's. They run with any number of threads; fastest are those of
    /// ``threads``.
    package func stages(units: [BlockUnit], size: BlockSize, registry: KernelRegistry) throws -> [BlockStage] {
        var stages: [BlockStage] = []
        var next = 0
        for (index, row) in rows.enumerated() {
            let line = line(index)
            let kernel = try resolve(row, line: line, registry: registry)
            let range = next..<next + kernel.unitCount
            guard next < units.count else {
                throw PlanError.otherUnits(file: source, line: line, found: row.unit, expected: "no further unit")
            }
            let expected = Self.unitText(units[range.clamped(to: units.indices)])
            guard row.unit == expected else {
                // The right units for another kernel.
                let there = row.unit.split(separator: "+").count
                if units.count >= next + there, row.unit == Self.unitText(units[next..<next + there]) {
                    throw PlanError.malformed(
                        file: source, line: line,
                        "unit \(row.unit): \(kernel.name) computes \(kernel.unitCount == 1 ? "one unit" : "two units"); write a row for \(expected), or another kernel")
                }
                throw PlanError.otherUnits(file: source, line: line, found: row.unit, expected: expected)
            }
            guard range.upperBound <= units.count else {
                throw PlanError.malformed(
                    file: source, line: line,
                    "unit \(row.unit): \(kernel.name) computes \(kernel.unitCount) units, and it is the last; write a kernel of one")
            }
            let problems = try units[range].map { try $0.problem(at: size) }
            let text = problems.map(\.text).joined(separator: "+")
            guard row.problem == text else {
                throw PlanError.otherProblem(file: source, line: line, unit: row.unit, found: row.problem, expected: text)
            }
            if case .no(let reason) = kernel.supports(range, of: units, problems) {
                throw PlanError.malformed(file: source, line: line, "unit \(row.unit): \(kernel.name) cannot run it: \(reason)")
            }
            guard row.layout.isEmpty || row.layout == kernel.layout.rawValue else {
                throw PlanError.malformed(
                    file: source, line: line,
                    "unit \(row.unit): layout is '\(row.layout)', \(row.kernel) writes \(kernel.layout.rawValue); write that, or another kernel")
            }
            stages.append(BlockStage(units: range, kernel: kernel, band: row.band, lane: row.lane))
            next = range.upperBound
        }
        guard next == units.count else {
            throw PlanError.otherUnits(
                file: source, line: line(rows.count), found: "(end of the plan)", expected: units[next].name)
        }
        do {
            try stages.checkBands(units: units, size: size)
            try stages.checkLanes(units: units)
            try stages.checkConcatenation(units: units)
            try stages.checkEpilogues(units: units, size: size)
        } catch let error as PlanError {
            switch error {
            case .bandsOrLanes(let unit, _), .unsupported(let unit, _, _):
                // Of a stage of two units it may name the first.
                let row = rows.firstIndex { $0.unit == unit || $0.unit.hasPrefix("\(unit)+") } ?? 0
                throw PlanError.malformed(file: source, line: line(row), "\(error)")
            default: throw error
            }
        }
        return stages
    }

    private func resolve(_ row: Row, line: Int, registry: KernelRegistry) throws -> StageKernel {
        let space: ConfigurationSpace
        let make: (Configuration) -> StageKernel
        if row.kernel == StageKernel.epilogueName {
            (space, make) = (.none, { _ in .epilogue })
        } else if let kernel = registry.separableKernels.first(where: { $0.name == row.kernel }) {
            (space, make) = (kernel.space, { .separable(kernel, $0) })
        } else if let kernel = registry.kernel(named: row.kernel) {
            (space, make) = (kernel.space, { .layer(Candidate(kernel, $0)) })
        } else {
            throw PlanError.unknownKernel(file: source, line: line, kernel: row.kernel, reason: registry.absence(of: row.kernel))
        }
        do {
            return make(try space.parse(row.config))
        } catch {
            throw PlanError.malformed(file: source, line: line, "\(row.kernel): \(error)")
        }
    }
}

extension KernelRegistry {
    /// Why there is no kernel of that name here, and what to do.
    func absence(of name: String) -> String {
        if let level = InstructionSet.allCases.first(where: { name.hasSuffix("-\($0.rawValue)") && $0 > self.level }) {
            return "needs instruction set \(level.rawValue); this CPU or ATROUS_ISA stops at \(self.level.rawValue); plan anew here"
        }
        if name.hasSuffix("-openblas"), openBLASCore == nil { return "needs OpenBLAS; install libopenblas0" }
        return "is not known; `atrous list kernels` lists them"
    }
}
