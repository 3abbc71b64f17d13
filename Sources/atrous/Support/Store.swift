import ConvCore
import Foundation
import Harness
import KernelRegistry
import Results
import Tuning

/// Stored measurements of one machine: the newest of each case, and the tuner's picks.
struct Store {
    private var newest: [Key: ResultRow] = [:]
    /// The machine's tuning store; an empty one where nothing was tuned.
    let tuned: TuningStore
    let lookup: TunedLookup

    private struct Key: Hashable {
        let problem: Problem
        let candidate: String
        let threads: Int
    }

    /// Rows below a folder that fit the machine and cache mode; a missing folder is an empty store. A tuner's rows count where they
    /// may decide here.
    ///
    /// `path`: nil for `results`, where this machine's tuning store lies in its own folder, there already or not.
    init(_ path: String?, machine: MachineProfile, cache: String, registry: KernelRegistry, quiet: Bool) throws {
        tuned = try Self.openTuned(path, machine: machine, registry: registry, quiet: quiet)
        lookup = TunedLookup(tuned, machine: machine)
        for row in try Self.rows(path ?? "results") where row.machine == machine.slug && row.cache == cache && row.tuning.schema == 0 { add(row) }
        for stored in tuned.all where stored.validity.decides && stored.row.cache == cache { add(stored.row) }
    }

    /// The tuning store of a folder of results, or of the machine's folder in it; nil for the default, where `atrous tune` writes.
    static func openTuned(_ path: String?, machine: MachineProfile, registry: KernelRegistry, quiet: Bool) throws -> TuningStore {
        let own = MachineFolder.path("tuning.csv", of: machine, in: path ?? "results")
        let given = path.map { FileManager.default.fileExists(atPath: own) ? own : StorePlace.file($0) }
        let store = try TuningStore(given ?? own, machine, registry)
        if !quiet { for line in store.unusedSummary { Console.warning(line) } }
        return store
    }

    private static func rows(_ path: String) throws -> [ResultRow] {
        let contents: ResultFile.Contents
        do {
            contents = try ResultFile.readFolder(path)
        } catch {
            switch error {
            case .missing, .noRows: return []
            default: throw error
            }
        }
        for warning in contents.warnings { Console.warning(warning) }
        return contents.rows
    }

    mutating func add(_ row: ResultRow) {
        guard row.dtype == "f32", let problem = try? Problem(parsing: row.problem)
        else { return }
        let key = Key(problem: problem, candidate: row.candidate, threads: row.threads)
        if let old = newest[key], old.timeUTC > row.timeUTC { return }
        newest[key] = row
    }

    /// nil where nothing was measured, or where the newest verdict is that the kernel is wrong.
    func row(_ problem: Problem, _ candidate: Candidate, threads: Int) -> ResultRow? {
        let row = newest[Key(problem: problem, candidate: candidate.name, threads: threads)]
        return row?.verdict == "PASSED" && row?.medianNs != nil ? row : nil
    }
}
