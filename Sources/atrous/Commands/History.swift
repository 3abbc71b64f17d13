import Foundation
import Harness
import OptionParsing
import Plotting
import Regression
import Results

/// Where each case's time changed for good, over the commits of a history.
func runHistory(_ values: Values) throws -> ExitCode {
    let path = values.string("history") ?? MachineFolder.path("history.csv")
    let (rows, warnings) = try HistoryFile(path).read()
    for warning in warnings { Console.warning(warning) }
    let filter = try Pattern(values.string("filter"), flag: "--filter")
    var order: [String] = []
    var series: [String: [HistoryRow]] = [:]
    for row in rows where filter?.matches(row.series) ?? true {
        if series[row.series] == nil { order.append(row.series) }
        series[row.series, default: []].append(row)
    }
    guard !order.isEmpty else { throw UsageError("history: \(path) has no series that matches; loosen --filter") }
    let finder = ChangePoints()
    var table: [[String]] = []
    var pictures: [HistorySeries] = []
    for name in order {
        let rows = series[name]!
        // The reference loop takes the day's clock out, where every row has it.
        let references = rows.compactMap(\.referenceNs)
        let usual = references.count == rows.count ? Statistics.median(references) : nil
        let times = rows.map { row in usual.map { row.medianNs * $0 / row.referenceNs! } ?? row.medianNs }
        let levels = times.map { log($0) }
        let points = finder.find(levels)
        let ends = [0] + points.map(\.index) + [rows.count]
        var steps: [(index: Int, change: Double)] = []
        for (k, point) in points.enumerated() {
            func level(_ part: Int) -> Double { Statistics.median(Array(levels[ends[part]..<ends[part + 1]])) }
            let change = level(k + 1) - level(k)
            let row = rows[point.index]
            table.append([
                title(row), row.commit, row.timeUTC, CheckOutcome.percent(change), String(format: "%.3f", point.p), "\(rows.count)",
            ])
            steps.append((point.index, expm1(change)))
        }
        if !points.isEmpty || values.flag("all") {
            pictures.append(
                HistorySeries(
                    title: title(rows[0]) + (usual == nil ? "" : " at the usual clock"), commits: rows.map { String($0.commit.prefix(7)) },
                    values: times, steps: steps))
        }
    }
    if table.isEmpty {
        print("no change points in \(order.count) series of \(path) (a step needs \(finder.fewest) rows to either side)")
    } else {
        print(Console.table(["case", "from commit", "time", "change", "p", "rows"], table, right: [3, 4, 5]))
    }
    if let folder = values.string("out"), !pictures.isEmpty {
        let renderer = try Renderer()
        for text in try values.words("format", among: PictureFormat.allCases.map(\.rawValue)) ?? ["svg", "png"] {
            print(try renderer.draw(historyScript(Array(pictures.prefix(mostPanels))), name: "history", folder: folder, format: PictureFormat(rawValue: text)!))
        }
        if pictures.count > mostPanels { Console.warning("the figure shows \(mostPanels) of \(pictures.count) series; choose with --filter") }
    }
    return .fine
}

private let mostPanels = 12

private func title(_ row: HistoryRow) -> String {
    var result = ResultRow()
    result.problem = row.problem
    return "\(result.problemName) \(row.candidate) threads:\(row.threads)\(row.cache == "warm" ? "" : " \(row.cache)") (\(row.source))"
}
