/// One series over commits: a point each, and a line at each level between its steps.
public struct HistorySeries: Sendable {
    public let title: String
    /// Of each point, shortened.
    public let commits: [String]
    /// Milliseconds.
    public let values: [Double]
    /// Where a new level begins.
    public let steps: [Int]

    public init(title: String, commits: [String], values: [Double], steps: [Int]) {
        self.title = title
        self.commits = commits
        self.values = values
        self.steps = steps
    }
}

/// A panel per series.
public func historyScript(_ series: [HistorySeries]) -> PlotScript {
    var script = PlotScript()
    script.width = 1200
    script.height = 40 + 260 * series.count
    script.add("set multiplot layout \(series.count),1 title 'History: medians, and the levels between change points'")
    script.add("set grid ytics lc rgb '#dddddd'; set ylabel 'ms'; set key off; set xtics nomirror rotate by -50")
    for one in series {
        let ends = [0] + one.steps + [one.values.count]
        script.add("set title \(PlotScript.quoted(one.title)); set xrange [-0.5:\(Double(one.values.count) - 0.5)]; set yrange [0:*]")
        // Names of at most forty commits can be read.
        let every = max(1, one.commits.count / 40)
        script.add("set xtics \(PlotScript.tics(one.commits.enumerated().map { $0.offset % every == 0 ? $0.element : "" }))")
        var elements = [
            PlotScript.Element(
                style: "using 1:2 with points pt 7 ps 0.7 lc rgb '\(Palette.colours[0])'",
                rows: one.values.enumerated().map { [Double($0.offset), $0.element] })
        ]
        for (start, end) in zip(ends, ends.dropFirst()) {
            let level = one.values[start..<end].sorted()[(end - start) / 2]
            elements.append(
                PlotScript.Element(
                    style: "using 1:2 with lines lw 2 lc rgb '\(Palette.colours[3])'",
                    rows: [[Double(start) - 0.4, level], [Double(end) - 0.6, level]]))
        }
        script.plot(elements)
    }
    script.add("unset multiplot")
    return script
}
