import Results

/// Bars per whole block: milliseconds by family and planned. Needs the rows of `atrous bench --preset yolov5-blocks`.
let blockFigure = Figure(
    name: "blocks", summary: "time of whole blocks, planned and by one family throughout",
    needs: "whole blocks; run `atrous bench --preset yolov5-blocks` first"
) { input in
    let problems = input.problems(of: "block")
    guard !problems.isEmpty else { return nil }
    let names = problems.map { problem in input.rows.first { $0.problem == problem }!.problemName }
    var script = PlotScript()
    script.width = min(2600, max(900, 160 + 70 * problems.count))
    script.height = 620
    script.add("set title \(PlotScript.quoted("Whole blocks (\(input.conditions(of: "block")))"))")
    script.add("set style fill solid 0.9 noborder; set boxwidth 0.17; set logscale y; set grid ytics lc rgb '#dddddd'")
    script.add("set key outside top right horizontal; set ylabel 'milliseconds'; set xtics nomirror rotate by -50 scale 0")
    script.places(names)
    let families = ["im2col", "simd", "tiled", "fused", "planned"]
    script.plot(
        families.enumerated().map { index, family in
            PlotScript.Element(
                style: "using 1:2 with boxes lc rgb '\(Palette.family(family))' title \(PlotScript.quoted(family))",
                rows: problems.enumerated().compactMap { position, problem in
                    input.best(problem) { $0.family == family }.map {
                        [Double(position) + Double(index - 2) * 0.18, $0.medianNs! / 1e6]
                    }
                })
        })
    return script
}

/// Where the time of each planned block goes: the share of every stage, stacked. Needs the same rows.
let stageFigure = Figure(
    name: "stages", summary: "where the time of planned blocks goes, stage by stage",
    needs: "whole blocks; run `atrous bench --preset yolov5-blocks` first"
) { input in
    let stages = input.rows.filter { $0.layer == "stage" }
    // Of each block the newest plan: an older one may have had other stages.
    let newest = Dictionary(grouping: stages, by: \.problemName).mapValues { $0.map(\.timeUTC).max()! }
    let rows = stages.filter { $0.timeUTC == newest[$0.problemName] }
    var names: [String] = []
    for row in rows where !names.contains(row.problemName) { names.append(row.problemName) }
    guard !names.isEmpty else { return nil }
    // What the stages do, from bottom to top; a stage of a separable counts by what it fuses.
    let kinds: [(title: String, color: String, holds: (ResultRow) -> Bool)] = [
        ("compress", "#4477aa", { $0.stageUnit.hasPrefix("compress") }),
        ("branches, depthwise", "#ccbb44", { $0.stageUnit.hasPrefix("branches") && $0.stageUnit.hasSuffix(".dw") }),
        ("branches, pointwise", "#228833", { $0.stageUnit.hasPrefix("branches") && $0.stageUnit.hasSuffix(".pw") && !$0.stageUnit.contains("+") }),
        ("branches, fused", "#66ccee", { $0.stageUnit.hasPrefix("branches") && $0.stageUnit.contains("+") }),
        ("residual", "#aa3377", { $0.stageUnit.hasPrefix("residual") }),
        ("fuse", "#ee6677", { $0.stageUnit.hasPrefix("fuse") }),
        ("layouts", "#777777", { $0.stageUnit.hasPrefix("layout") }),
    ]
    var script = PlotScript()
    script.width = min(2600, max(900, 160 + 60 * names.count))
    script.height = 620
    script.add("set title \(PlotScript.quoted("Where the time of planned blocks goes (\(input.conditions(of: "stage")))"))")
    script.add("set style fill solid 0.9 noborder; set boxwidth 0.7; set grid ytics lc rgb '#dddddd'; set yrange [0:100]")
    script.add("set key outside right vertical; set ylabel '% of the time'; set xtics nomirror rotate by -50 scale 0")
    script.places(names)
    func share(_ name: String, _ holds: (ResultRow) -> Bool) -> Double {
        let own = rows.filter { $0.problemName == name }
        let total = own.reduce(0) { $0 + $1.medianNs! }
        return 100 * own.filter(holds).reduce(0) { $0 + $1.medianNs! } / total
    }
    // Drawn from the top down: each bar covers what lies below it.
    script.plot(
        kinds.indices.reversed().map { top in
            PlotScript.Element(
                style: "using 1:2 with boxes lc rgb '\(kinds[top].color)' title \(PlotScript.quoted(kinds[top].title))",
                rows: names.enumerated().map { position, name in
                    [Double(position), kinds[0...top].reduce(0) { $0 + share(name, $1.holds) }]
                })
        })
    return script
}

extension ResultRow {
    /// Of a row of layer `stage`: the unit, or `layout` and a number. The problem's text is `<block> <size> <activation> <unit>`.
    fileprivate var stageUnit: String {
        let fields = problem.split(separator: " ")
        return fields.count > 3 ? String(fields[3]) : ""
    }
}
