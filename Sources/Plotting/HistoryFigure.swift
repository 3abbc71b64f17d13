import Foundation

/// One series over commits: a point each, and a line at each level between its steps.
public struct HistorySeries: Sendable {
    public let title: String
    /// Of each point, shortened.
    public let commits: [String]
    /// Nanoseconds.
    public let values: [Double]
    /// Where a new level begins, and by what share the time changed there.
    public let steps: [(index: Int, change: Double)]

    public init(title: String, commits: [String], values: [Double], steps: [(index: Int, change: Double)]) {
        self.title = title
        self.commits = commits
        self.values = values
        self.steps = steps
    }

    /// The first and last position of each level, and its median.
    var levels: [(first: Int, last: Int, value: Double)] {
        let ends = [0] + steps.map(\.index) + [values.count]
        return zip(ends, ends.dropFirst()).map { ($0, $1 - 1, values[$0..<$1].sorted()[($1 - $0) / 2]) }
    }

    /// Positions whose commits are named: those of the steps, the first, and every so many that all can be read.
    var named: Set<Int> {
        let every = (values.count + Self.mostNames - 1) / Self.mostNames
        let regular = stride(from: 0, to: values.count, by: max(1, every)).filter { at in
            steps.allSatisfy { abs($0.index - at) >= max(1, every) }
        }
        return Set(regular + steps.map(\.index))
    }

    private static let mostNames = 30
}

/// A panel per series. The axis spans what was measured and not zero, so that a step of 2 % can be seen; each step is marked
/// with its commit and its size.
public func historyScript(_ series: [HistorySeries]) -> PlotScript {
    var script = PlotScript()
    script.width = 1200
    script.height = 40 + 260 * series.count
    script.add("set multiplot layout \(series.count),1 title 'History: medians, and the levels between change points'")
    script.add("set grid ytics lc rgb '#dddddd'; set key off; set xtics nomirror rotate by 45 right; set lmargin 12; set rmargin 4")
    for one in series {
        let (unit, scale) = one.values.max() ?? 0 < 1e6 ? ("µs", 1e-3) : ("ms", 1e-6)
        let (low, high) = ((one.values.min() ?? 0) * scale, (one.values.max() ?? 1) * scale)
        // Room for the steps' labels; at least two per cent, so that noise does not fill the panel.
        let room = max(0.35 * (high - low), 0.02 * high)
        script.add(
            "set title \(PlotScript.quoted(one.title)); set ylabel '\(unit)'; "
                + "set xrange [-0.5:\(Double(one.values.count) - 0.5)]; set yrange [\(max(0, low - room)):\(high + room)]; unset label; unset arrow")
        let named = one.named
        script.add("set xtics \(PlotScript.tics(one.commits.enumerated().map { named.contains($0.offset) ? $0.element : "" }))")
        for step in one.steps {
            let x = Double(step.index) - 0.5
            let text = String(format: "%+.1f %%", step.change * 100)
            script.add("set arrow from \(x), graph 0 to \(x), graph 1 nohead dashtype 2 lc rgb '\(Palette.colours[3])'")
            script.add("set label \(PlotScript.quoted(text)) at \(x), graph 0.9 left offset 0.5,0 tc rgb '\(Palette.colours[3])'")
        }
        var elements = [
            PlotScript.Element(
                style: "using 1:2 with points pt 7 ps 0.7 lc rgb '\(Palette.colours[0])'",
                rows: one.values.enumerated().map { [Double($0.offset), $0.element * scale] })
        ]
        for level in one.levels {
            elements.append(
                PlotScript.Element(
                    style: "using 1:2 with lines lw 2 lc rgb '\(Palette.colours[3])'",
                    rows: [[Double(level.first) - 0.4, level.value * scale], [Double(level.last) + 0.4, level.value * scale]]))
        }
        script.plot(elements)
    }
    script.add("unset multiplot")
    return script
}
