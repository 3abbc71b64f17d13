import Results

/// A heat map of one kernel on one problem: how much slower than the best each pair of values of two parameters is, the others
/// standing where the best has them. Of all that was tuned, the problem and kernel with the most points of such a slice.
let landscapeFigure = Figure(
    name: "landscape", summary: "a slice of two parameters through a kernel's configurations on one problem",
    needs: "a kernel that was tuned over two parameters; run `atrous tune --effort exhaustive` first"
) { input in
    var best: Slice?
    for (_, rows) in Dictionary(grouping: input.tuned, by: { "\($0.problem)|\($0.kernel)|\($0.threads)|\($0.cache)" }).sorted(by: { $0.key < $1.key }) {
        guard let slice = Slice(rows), slice.points.count > best?.points.count ?? 3 else { continue }
        best = slice
    }
    guard let slice = best else { return nil }
    var script = PlotScript()
    script.width = max(820, 200 + 90 * slice.columns.count)
    script.height = 220 + 60 * slice.rows.count
    let title = "\(slice.row.kernel) on \(slice.row.problemName), \(slice.row.threads) thread\(slice.row.threads == 1 ? "" : "s"), \(input.machine)"
    script.add("set title \(PlotScript.quoted(title)); set key off; set style fill solid noborder")
    script.add("set palette defined (0 '#f7fbff', 0.3 '#6baed6', 1 '#08306b'); set cbrange [0:60]; set cblabel '% slower than the best (60 and more alike)'")
    script.add("set xlabel \(PlotScript.quoted(slice.names.0)); set ylabel \(PlotScript.quoted(slice.names.1))")
    script.add("set xrange [-0.5:\(Double(slice.columns.count) - 0.5)]; set yrange [-0.5:\(Double(slice.rows.count) - 0.5)]")
    script.add("set xtics \(PlotScript.tics(slice.columns.map(String.init))); set ytics \(PlotScript.tics(slice.rows.map(String.init)))")
    script.plot([
        .init(style: "using 1:2:($1-0.5):($1+0.5):($2-0.5):($2+0.5):3 with boxxyerror fc palette", rows: slice.points),
        .init(style: "using 1:2:(sprintf('%.0f',$3)) with labels tc rgb '#000000'", rows: slice.points.filter { $0[2] < 30 }),
        .init(style: "using 1:2:(sprintf('%.0f',$3)) with labels tc rgb '#ffffff'", rows: slice.points.filter { $0[2] >= 30 }),
    ])
    return script
}

/// The points of two parameters where the others have the best configuration's values.
private struct Slice {
    let row: ResultRow
    let names: (String, String)
    let columns, rows: [Int]
    /// Column, row, percent over the best.
    let points: [[Double]]

    /// The pair of parameters with the most points; nil where no configuration has two.
    init?(_ all: [ResultRow]) {
        let measured = all.map { (values: Self.values($0.config), ns: $0.medianNs!) }
        guard let best = measured.min(by: { $0.ns < $1.ns }), best.values.count >= 2 else { return nil }
        var chosen: (names: (String, String), columns: [Int], rows: [Int], points: [[Double]])?
        for (a, first) in best.values.enumerated() {
            for (b, second) in best.values.enumerated() where b > a {
                let plane = measured.filter { one in
                    one.values.count == best.values.count && one.values.indices.allSatisfy { $0 == a || $0 == b || one.values[$0].value == best.values[$0].value }
                }
                guard plane.count > chosen?.points.count ?? 0 else { continue }
                let columns = Set(plane.map { $0.values[a].value }).sorted()
                let rows = Set(plane.map { $0.values[b].value }).sorted()
                chosen = (
                    (first.name, second.name), columns, rows,
                    plane.map { one in
                        [
                            Double(columns.firstIndex(of: one.values[a].value)!), Double(rows.firstIndex(of: one.values[b].value)!),
                            100 * (one.ns / best.ns - 1),
                        ]
                    }
                )
            }
        }
        guard let chosen else { return nil }
        row = all[0]
        (names, columns, rows, points) = chosen
    }

    /// `t6v4` → t 6, v 4
    private static func values(_ config: String) -> [(name: String, value: Int)] {
        config.matches(of: /([a-z]+)([0-9]+)/).compactMap { match in Int(match.2).map { (String(match.1), $0) } }
    }
}
