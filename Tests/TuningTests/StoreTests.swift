import ConvCore
import Foundation
import Harness
import Results
import Testing
import Tuning

@Suite struct StoreTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("store-\(UUID().uuidString)").path
    private var path: String { folder + "/tuning.csv" }
    private let kernels = [madeUpKernel("pw-a-test", space: grid), madeUpKernel("pw-b-test", space: .none)]

    private func identity(cpu: String = "Test-1-2-3") -> StoreIdentity {
        var profile = MachineProfile.unmeasured(levels: ["baseline"])
        profile.cpuID = cpu
        var identity = StoreIdentity(profile, kernels: kernels, library: nil)
        identity.machine = "test"
        return identity
    }

    private func row(
        _ kernel: String = "pw-a-test", _ config: String = "a2b2c4", ns: Double = 1000, problem: String = "mb1ic8ih6oc8oh6kh1ph0",
        time: String = "2026-01-01T00:00:00Z", mark: String = "", effort: String = "quick", _ change: (inout ResultRow) -> Void = { _ in }
    ) -> ResultRow {
        var row = ResultRow()
        let identity = identity()
        (row.run, row.timeUTC, row.machine, row.isa, row.layer, row.problem) = ("1", time, "test", "baseline", "pw", problem)
        (row.kernel, row.config, row.cache, row.verdict, row.medianNs) = (kernel, config, "warm", "PASSED", ns)
        row.tuning.schema = TuningFile.schema
        (row.tuning.cpuID, row.tuning.harness, row.tuning.fingerprint) = (identity.cpu, identity.harness, identity.fingerprints[kernel] ?? "")
        (row.tuning.effort, row.tuning.mark) = (effort, mark)
        if mark == "pick" { row.tuning.covers = identity.covers.values.sorted().joined(separator: " ") }
        change(&row)
        return row
    }

    private let subject = TuningCase(try! Problem(parsing: "mb1ic8ih6oc8oh6kh1ph0"), threads: 1)
    private func store() throws -> TuningStore { try TuningStore(path, identity: identity()) }
    private func lines() throws -> [Substring] { try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n") }

    @Test func aLaterRowSupersedesAndCompactingDropsTheEarlier() throws {
        let store = try store()
        try store.append([row(ns: 900), row("pw-b-test", "", ns: 1100)])
        try store.append([row(ns: 950, mark: "pick")])
        #expect(store.usable(subject).map(\.medianNs) == [950, 1100])
        #expect(try lines().count == 4)
        try store.compact()
        #expect(try lines().count == 3)
        #expect(try self.store().pick(subject)?.medianNs == 950)
    }

    @Test func aRowThatSaysNothingTakesNoPlace() throws {
        let empty = row(effort: "exhaustive") { ($0.medianNs, $0.verdict) = (nil, "") }
        let store = try store()
        try store.append([row(ns: 900, mark: "pick"), empty])
        for store in [store, try self.store()] { #expect(store.pick(subject)?.medianNs == 900 && store.all.count == 1) }
        #expect(StoreMerge.merge([[row(ns: 900)], [empty]]).rows.map(\.medianNs) == [900])
        try store.compact()
        #expect(try lines().count == 2)
    }

    @Test func aTornLastLineIsCutOffAndTheNextRowFollows() throws {
        try store().append([row(), row("pw-b-test", "")])
        let whole = try String(contentsOfFile: path, encoding: .utf8)
        try String(whole.dropLast(40)).write(toFile: path, atomically: false, encoding: .utf8)
        #expect(try TuningFile(path).prepare())
        try store().append([row("pw-b-test", "", ns: 7)])
        #expect(try store().usable(subject).map(\.medianNs) == [7, 1000])
        #expect(try !TuningFile(path).prepare())
    }

    @Test func everyCutLeavesWholeRows() throws {
        try store().append([row(), row("pw-b-test", "")])
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        for length in stride(from: 0, through: whole.count, by: 37) {
            try whole.prefix(length).write(to: URL(fileURLWithPath: path))
            try TuningFile(path).prepare()
            #expect(try store().warnings.isEmpty)
            try store().append([row("pw-b-test", "", ns: 7)])
            #expect(try store().usable(subject).first?.medianNs == 7)
        }
    }

    @Test func aBrokenLineIsNamedTheRestLoadsAndItIsKeptAside() throws {
        let text = [TuningFile.header, TuningFile.line(row()), "not,enough", TuningFile.line(row("pw-b-test", "", ns: 2000))]
        try FileWriting.replace(path, with: Data((text.joined(separator: "\n") + "\n").utf8))
        let store = try store()
        #expect(store.warnings.count == 1 && store.warnings[0].hasPrefix("\(path):3:"))
        #expect(store.usable(subject).map(\.medianNs) == [1000, 2000])
        try store.compact()
        #expect(try String(contentsOfFile: path + ".broken", encoding: .utf8) == "not,enough\n")
        #expect(try lines().count == 3)
    }

    @Test func aStoreFromANewerSchemaIsRefusedAndLeftAlone() throws {
        let newer = row { $0.tuning.schema = TuningFile.schema + 1 }
        for text in ["\(TuningFile.header),later\n\(TuningFile.line(row())),7\n", "\(TuningFile.header)\n\(TuningFile.line(newer))\n"] {
            try FileWriting.replace(path, with: Data(text.utf8))
            #expect(throws: ResultError.self) { try store() }
            #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
        }
    }

    @Test func fewerTrailingColumnsAreReadAndTheHeaderBroughtUpToDate() throws {
        let shorter = { (line: String) in line.split(separator: ",", omittingEmptySubsequences: false).dropLast(2).joined(separator: ",") }
        let text = "\(shorter(TuningFile.header))\n\(shorter(TuningFile.line(row())))\n"
        try FileWriting.replace(path, with: Data(text.utf8))
        #expect(try store().usable(subject).count == 1)
        try store().append([row("pw-b-test", "", ns: 2000)])
        #expect(try lines().first.map(String.init) == TuningFile.header)
        #expect(try store().usable(subject).map(\.medianNs) == [1000, 2000])
    }

    @Test func rowsOfAnotherCPUHarnessOrInstructionSetDecideNothingAndAreListed() throws {
        let changes: [(String, (inout ResultRow) -> Void)] = [
            ("CPU: expected Test-1-2-3, found Other-9", { $0.tuning.cpuID = "Other-9" }),
            ("harness version: expected \(harnessVersion), found 0", { $0.tuning.harness = "0" }),
            ("data type: expected f32, found bf16", { $0.dtype = "bf16" }),
            ("instruction set: expected one of baseline, found v9", { $0.isa = "v9" }),
        ]
        for (reason, change) in changes {
            try? FileManager.default.removeItem(atPath: path)
            let store = try store()
            try store.append([row(mark: "pick", change)])
            #expect(store.pick(subject) == nil && store.usable(subject).isEmpty && store.decided.isEmpty)
            #expect(store.all.count == 1)
            #expect(store.unusedSummary.count == 1 && store.unusedSummary[0].hasSuffix("1 rows not used: " + reason), "\(store.unusedSummary)")
        }
    }

    @Test func otherCodeRetiresItsKernelOnly() throws {
        let store = try store()
        try store.append([row(mark: "pick") { ($0.tuning.fingerprint, $0.tuning.covers) = ("0123456789abcdef", "pw-a-test:0") }, row("pw-b-test", "", ns: 2000)])
        #expect(store.pick(subject) == nil)
        #expect(store.usable(subject).map(\.kernel) == ["pw-b-test"])
        #expect(store.unusedSummary.count == 1 && store.unusedSummary[0].contains("1 rows of pw-a-test measured again"))
    }

    private var all: [Candidate] { kernels.flatMap { kernel in kernel.space.all.map { Candidate(kernel, $0) } } }

    /// `asked`: names of the candidates that are searched; nil for all.
    private func work(_ store: TuningStore, _ effort: Effort = .quick, asked: String? = nil) -> Tuner.Work {
        let all = all
        let candidates = all.filter { asked.map($0.name.hasPrefix) ?? true }
        let settings = Tuner.Settings(effort: effort, limits: effort.limits!, strategy: .model, seed: 1)
        return Tuner(
            store, machine: .unmeasured(levels: ["baseline"]), throughput: nil, settings: settings, candidates: { _, _ in candidates },
            resolve: { row, _ in all.first { $0.name == row.candidate } }, makeRow: { _, _, _ in ResultRow() }
        ).work(subject)
    }

    @Test func onlyWhatIsNewIsMeasured() throws {
        let store = try store()
        #expect(work(store).open.count == grid.all.count + 1 && !work(store).isDecided)
        try store.append([row(mark: "pick"), row("pw-b-test", "", ns: 2000)])
        #expect(work(store).isDecided)
        // More effort is asked for: all of it, less what was measured with that effort.
        #expect(work(store, .exhaustive).open.count == grid.all.count + 1)
        try store.append([row("pw-b-test", "", ns: 2000, effort: "exhaustive")])
        #expect(work(store, .exhaustive).open.count == grid.all.count && work(store, .exhaustive).incumbents.first?.name == "pw-a-test@a2b2c4")
    }

    @Test func aSearchOfFewRunsAgainstTheStoredPickAndDoesNotAnswerWithIt() throws {
        let store = try store()
        let grid = identity().covers["pw-a-test"]!
        try store.append([row("pw-a-test", "a2b2c4", ns: 88, mark: "pick") { $0.tuning.covers = grid }])
        // Not measured yet: the pick of another kernel is the one to beat.
        let first = work(store, asked: "pw-b-test")
        #expect(first.open.map(\.name) == ["pw-b-test"] && first.incumbents.map(\.name) == ["pw-a-test@a2b2c4"] && first.answer == nil)
        // Measured and slower: it answers for itself, the pick stays that of the case.
        try store.append([row("pw-b-test", "", ns: 5000)])
        let again = work(store, asked: "pw-b-test")
        #expect(again.open.isEmpty && again.answer?.medianNs == 5000 && again.pick?.candidate == "pw-a-test@a2b2c4")
        // A configuration that the search passed over is measured where it is asked for by name.
        let passedOver = work(store, asked: "pw-a-test@a5b6c2")
        #expect(passedOver.open.map(\.name) == ["pw-a-test@a5b6c2"] && !passedOver.isDecided)
        // The whole matrix is served but for the kernel that no whole search has met; its rows do not count as evaluations of one.
        #expect(work(store).open.isEmpty && work(store).unfinished == 1)
    }

    @Test func aKernelIsCoveredWithTheEffortOfItsOwnSearch() throws {
        let store = try store()
        let (a, b) = (identity().covers["pw-a-test"]!, identity().covers["pw-b-test"]!)
        // A thorough search of all, then an exhaustive one of one kernel.
        try store.append([row(mark: "pick", effort: "exhaustive") { $0.tuning.covers = "\(a):thorough \(b)" }])
        #expect(work(store, .thorough).open.isEmpty)
        #expect(work(store, .exhaustive).open.count == grid.all.count - 1)
        #expect(work(store, .exhaustive).open.allSatisfy { $0.kernel.name == "pw-a-test" })
    }

    @Test func aPickThatSomeKernelHasNotMetIsPartial() throws {
        let store = try store()
        let lookup = TunedLookup(store, machine: nil)
        try store.append([row("pw-b-test", "", ns: 500, mark: "pick") { $0.tuning.covers = identity().covers["pw-b-test"]! }])
        #expect(try #require(lookup.choose(subject, among: all)).source.description == "partial (quick)")
        #expect(try #require(lookup.choose(subject, among: all.filter { $0.kernel.name == "pw-b-test" })).source.isExact)
        // The kernel that won on the nearest whole case has not run here: it goes first.
        try store.append([row("pw-a-test", "a5b6c2", problem: "mb1ic8ih7oc8oh7kh1ph0", mark: "pick")])
        let near = try #require(lookup.choose(subject, among: all))
        #expect(near.candidate.name == "pw-a-test@a5b6c2" && !near.source.isExact)
    }

    @Test func aFileThatIsNoStoreIsLeftAsItIs() throws {
        let result = ResultFile.header + "\n" + ResultFile.line(row()) + "\n"
        for text in ["notes of mine\nwithout a newline at the end", "hello", "a,b\n1,2\n", result, result + "torn"] {
            try FileWriting.replace(path, with: Data(text.utf8))
            #expect(throws: ResultError.self) { try TuningFile(path).prepare() }
            #expect(throws: ResultError.self) { try TuningFile(path).append([row()]) }
            #expect(throws: ResultError.self) { try TuningFile(path).rewrite { $0 } }
            #expect(throws: ResultError.self) { try TuningFile(path).read() }
            #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
        }
    }

    @Test func rowsThatDoNotReadAreNamedByLineAndKept() throws {
        try store().append([row(), row(ns: 900), row { $0.cache = "lukewarm" }, row { $0.problem = "nonsense" }])
        let store = try store()
        #expect(store.warnings.count == 2)
        #expect(store.warnings[0].hasPrefix("\(path):4: cache 'lukewarm' is none of warm"), "\(store.warnings)")
        #expect(store.warnings[1].hasPrefix("\(path):5: problem 'nonsense'"))
        try store.compact()
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text.contains("lukewarm") && text.contains("nonsense"))
        #expect(try lines().count == 4)
    }

    @Test func ofALogThatWasNotCompactedTheLastRowsCount() throws {
        // The pick lost its mark in a later row of the same time.
        let log = [row(mark: "pick"), row(), row("pw-b-test", "", ns: 900, mark: "pick")]
        for merged in [StoreMerge.merge([log]).rows, StoreMerge.reduced(log), StoreMerge.merge([[], log]).rows] {
            #expect(merged.map(\.tuning.mark) == ["", "pick"])
        }
        #expect(StoreMerge.latestPicks(log).map(\.kernel) == ["pw-b-test"])
        // Of other code: both stay in the store, the later is the pick.
        let older = row(time: "2025-01-01T00:00:00Z", mark: "pick", effort: "exhaustive") { $0.tuning.fingerprint = "0"; $0.tuning.covers = "pw-a-test:0" }
        #expect(StoreMerge.latestPicks([older] + log).map(\.kernel) == ["pw-b-test"])
    }

    @Test func staleRowsThatWereMeasuredAgainAreNoLongerNamed() throws {
        let store = try store()
        let old = { (config: String) in row("pw-a-test", config) { $0.tuning.fingerprint = "0" } }
        try store.append([old("a2b2c4"), old("a5b6c2")])
        #expect(store.unusedSummary.first?.contains("2 rows of pw-a-test measured again") == true)
        try store.append([row()])
        #expect(store.unusedSummary.first?.contains("1 rows of pw-a-test measured again") == true)
        // A decision that today's code took part in leaves nothing to measure.
        try store.append([row(mark: "pick")])
        #expect(store.unusedSummary.isEmpty && store.all.count == 3)
    }

    @Test func anEditedKernelIsMeasuredAgainAndItsOldPickDoesNotWin() throws {
        let store = try store()
        let old = row(mark: "pick", effort: "exhaustive") {
            $0.tuning.fingerprint = "0123456789abcdef"
            $0.tuning.covers = "pw-a-test:0000000000000000 \(identity().covers["pw-b-test"]!)"
        }
        try store.append([old, row("pw-b-test", "", ns: 2000, effort: "exhaustive")])
        // The other kernel was covered and is not measured again, except as the one to beat.
        #expect(work(store).open.count == grid.all.count && work(store).open.allSatisfy { $0.kernel.name == "pw-a-test" })
        #expect(work(store).incumbents.map(\.name) == ["pw-b-test"])
        try store.append([row(ns: 900, time: "2026-01-03T00:00:00Z", mark: "pick"), row(ns: 900, time: "2026-01-03T00:00:00Z", mark: "pick")])
        try store.compact()
        #expect(store.pick(subject)?.medianNs == 900 && work(store).isDecided)
    }

    @Test func mergingTakesTheBetterRigorThenTheLaterAndLeavesOnePick() throws {
        let parts = [
            [row(ns: 1, time: "2026-01-02T00:00:00Z", mark: "pick", effort: "quick"), row("pw-b-test", "", ns: 5)],
            [row(ns: 2, time: "2026-01-01T00:00:00Z", effort: "exhaustive"), row("pw-b-test", "", ns: 6, time: "2026-01-01T00:00:09Z", mark: "pick", effort: "exhaustive")],
        ]
        for order in [parts, parts.reversed()] {
            let merged = StoreMerge.merge(order)
            #expect(merged.rows.map(\.medianNs).compactMap(\.self).sorted() == [2, 6])
            #expect(merged.rows.filter { $0.tuning.mark == "pick" }.map(\.kernel) == ["pw-b-test"])
            #expect(merged.conflicts == 2)
        }
        #expect(StoreMerge.merge([parts[0], parts[0]]).conflicts == 0)
    }

    @Test func twoWritersLoseNothing() throws {
        let path = path
        try TuningFile(path).prepare()
        let rows = (0..<200).map { n in row("pw-b-test", "", problem: "mb1ic\(n + 1)ih6oc8oh6kh1ph0") }
        DispatchQueue.concurrentPerform(iterations: 4) { part in
            for n in stride(from: part, to: rows.count, by: 4) { try? TuningFile(path).append([rows[n]]) }
            if part == 0 { try? TuningFile(path).rewrite { $0 } }
        }
        #expect(try Set(store().all.map(\.subject)).count == rows.count)
        #expect(try store().warnings.isEmpty)
    }

    @Test func anUntunedProblemIsAnsweredByItsNearestShapeOfTheClassThenTheModelThenTheDefault() throws {
        let store = try store()
        try store.append([
            row("pw-a-test", "a5b6c2", problem: "mb1ic64ih6oc64oh6kh1ph0", mark: "pick"), row("pw-b-test", "", ns: 1500, problem: "mb1ic64ih6oc64oh6kh1ph0"),
            row("pw-b-test", "", problem: "mb1ic8ih80oc8oh80kh1ph0", mark: "pick"), row("pw-a-test", "a5b6c2", ns: 1200, problem: "mb1ic8ih80oc8oh80kh1ph0"),
        ])
        let candidates = all
        let lookup = TunedLookup(store, machine: nil)
        let wanted = try TuningCase(Problem(parsing: "mb1ic64ih7oc64oh7kh1ph0"), threads: 1)
        let near = try #require(lookup.choose(wanted, among: candidates))
        #expect(near.candidate.name == "pw-a-test@a5b6c2" && !near.source.isExact)
        // Borrowing costs 20 % one way and 50 % the other.
        let loss = try #require(near.expectedLoss)
        #expect(loss > 0.19 && loss < 0.51)
        let exact = try #require(lookup.choose(TuningCase(Problem(parsing: "mb1ic8ih80oc8oh80kh1ph0"), threads: 1), among: candidates))
        #expect(exact.candidate.name == "pw-b-test" && exact.source.isExact)
        let other = try TuningCase(Problem(parsing: "dw:c8h6k3"), threads: 1)
        let standard = try #require(lookup.choose(other, among: candidates))
        #expect(standard.source.description == "default" && standard.candidate.name == "pw-b-test")
        #expect(lookup.choose(other, among: []) == nil)
    }

    @Test func t4HoldsEveryRowWithItsConfiguration() throws {
        let rows = [row(mark: "pick") { $0.tuning.strategy = "model" }, row("pw-b-test", "") { $0.verdict = "FAILED"; $0.medianNs = nil }]
        let json = try JSONSerialization.jsonObject(with: T4.encode(rows)) as! [String: Any]
        #expect(json["schema_version"] as? String == "1.0.0")
        let results = json["results"] as! [[String: Any]]
        #expect(results.map { $0["invalidity"] as? String } == ["correct", "correctness"])
        let configuration = results[0]["configuration"] as! [String: Any]
        #expect(configuration["a"] as? Int == 2 && configuration["c"] as? Int == 4 && configuration["kernel"] as? String == "pw-a-test")
        #expect(configuration["cpu_id"] as? String == identity().cpu && configuration["dtype"] as? String == "f32")
        let measurement = (results[0]["measurements"] as! [[String: Any]])[0]
        #expect(measurement["name"] as? String == "time" && measurement["value"] as? Double == 0.001 && measurement["unit"] as? String == "ms")
    }
}
