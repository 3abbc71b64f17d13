import ConvCore
import Foundation
import Harness
import KernelRegistry
import OptionParsing
import Results
import Tuning

/// Joins tuning stores into one: the parts of a sharded matrix, or another machine's.
func runMerge(_ values: Values) throws -> ExitCode {
    let sources = values.strings("from")
    guard !sources.isEmpty else { throw UsageError("merge needs the stores to join; write --from DIR once for each") }
    let target = try TuningFile(StorePlace(values).pathUnmeasured())
    // The target and all parts are read before anything is written.
    _ = try target.read()
    var parts: [[ResultRow]] = []
    for source in sources {
        let path = StorePlace.file(source)
        guard FileManager.default.fileExists(atPath: path) else {
            throw UsageError("--from \(source): \(path): no such file; `atrous tune --store \(source)` makes a store")
        }
        let contents = try TuningFile(path).read()
        for warning in contents.warnings { Console.warning(warning) }
        parts.append(contents.rows)
    }
    var merged = StoreMerge.Merged()
    try target.rewrite { own in
        merged = StoreMerge.merge([own] + parts)
        return merged.rows
    }
    if !values.flag("quiet") {
        Console.note("\(merged.rows.count) rows in \(target.path); \(merged.conflicts) keys were held twice, and the better effort or the later row stayed")
    }
    return .fine
}

/// Writes a store in another form.
func runExport(_ values: Values) throws -> ExitCode {
    let path = try StorePlace(values).pathUnmeasured()
    let contents = try TuningFile(path).read()
    for warning in contents.warnings { Console.warning(warning) }
    let rows = values.flag("picks") ? StoreMerge.latestPicks(contents.rows) : StoreMerge.reduced(contents.rows)
    guard !rows.isEmpty else { throw UsageError("\(path): nothing is stored there; `atrous tune` fills it, --store names another folder") }
    let data =
        values.string("format") == "csv"
        ? Data(([TuningFile.header] + rows.map(TuningFile.line)).map { $0 + "\n" }.joined().utf8) : try T4.encode(rows)
    if let out = values.string("out"), out != "-" {
        try FileWriting.replace(out, with: data)
        if !values.flag("quiet") { Console.note("\(rows.count) rows in \(out)") }
    } else {
        Console.output(data)
    }
    return .fine
}

/// `list tuned`: every pick of a store, this machine's or not, and why one is not used here.
func listTuned(_ values: Values) throws {
    let kernels = try KernelSelection(values, everyLevel: false)
    let store = try StorePlace(values).open(kernels, quiet: true)
    let lookup = TunedLookup(store, machine: nil)
    // That of the search that all kernels here have met. Of a pick that says nothing here only what it lists itself is known.
    func effort(_ stored: TuningStore.StoredRow) -> String {
        let (subject, row) = (stored.subject, stored.row)
        let partial = "\(row.tuning.effort), partial"
        guard store.pick(subject) == row else { return row.tuning.covers.isEmpty ? partial : row.tuning.effort }
        return lookup.effort(subject, among: kernels.candidates(for: subject.problem, threads: subject.threads).able)?.rawValue ?? partial
    }
    let picks = store.all.filter { $0.row.tuning.mark == "pick" }
    guard !picks.isEmpty else { throw UsageError("\(store.file.path): no pick is stored there; `atrous tune` decides some, --store names another folder") }
    print(
        Console.table(
            ["shape", "threads", "cache", "pick", "ms", "runner-up ×", "regret", "effort", "machine", "here"],
            picks.map { stored in
                let row = stored.row
                let interval = row.tuning.ratioLow.flatMap { low in row.tuning.ratioHigh.map { "\(Format.number(low, digits: 4))–\(Format.number($0, digits: 4))" } }
                return [
                    row.problemName, "\(row.threads)", row.cache, row.candidate, row.medianNs.map(Format.ms) ?? "-",
                    interval.map { "\(row.tuning.runnerUp) \($0)" } ?? "-", row.tuning.regret.map { String(format: "%.1f %%", 100 * $0) } ?? "-",
                    effort(stored), row.machine, stored.validity.reason.isEmpty ? "used" : stored.validity.decides ? "used; \(stored.validity.reason)" : "not used: \(stored.validity.reason)",
                ]
            }, right: [1, 4]))
}
