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
        try store.append([row(mark: "pick") { $0.tuning.fingerprint = "0123456789abcdef" }, row("pw-b-test", "", ns: 2000)])
        #expect(store.pick(subject) == nil)
        #expect(store.usable(subject).map(\.kernel) == ["pw-b-test"])
        #expect(store.unusedSummary.count == 1 && store.unusedSummary[0].contains("1 rows of pw-a-test measured again"))
    }

    private func work(_ store: TuningStore, _ effort: Effort = .quick) -> Tuner.Work {
        let candidates = kernels.flatMap { kernel in kernel.space.all.map { Candidate(kernel, $0) } }
        let settings = Tuner.Settings(effort: effort, limits: effort.limits!, strategy: .model, seed: 1)
        return Tuner(
            store, machine: .unmeasured(levels: ["baseline"]), throughput: nil, settings: settings, candidates: { _, _ in candidates },
            makeRow: { _, _, _ in ResultRow() }
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
        let candidates = kernels.flatMap { kernel in kernel.space.all.map { Candidate(kernel, $0) } }
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
        let measurement = (results[0]["measurements"] as! [[String: Any]])[0]
        #expect(measurement["name"] as? String == "time" && measurement["value"] as? Double == 0.001 && measurement["unit"] as? String == "ms")
    }
}
