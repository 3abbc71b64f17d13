import Results

/// Bars per problem: how many times faster than the naive kernel the best of each family is. One panel per layer.
let speedupFigure = Figure(
    name: "speedup", summary: "speed-up over the naive kernel, per layer and family",
    needs: "a naive kernel to compare with; run `atrous bench` without --family"
) { input in
    let families = ["im2col", "simd", "tiled"]
    let titles = ["im2col": "im2col + GEMM", "simd": input.threads == 1 ? "SIMD" : "SIMD (1 thread)", "tiled": "tiled"]
    let panels = layerTitles.map { layer, title in
        let bars = input.problems(of: layer).compactMap { problem -> (name: String, values: [Double?])? in
            guard let naive = input.best(problem, { $0.family == "naive" }) else { return nil }
            let values = families.map { family in
                input.best(problem) { $0.family == family }.map { naive.medianNs! / $0.medianNs! }
            }
            return (naive.problemName, values)
        }
        return (title: title, bars: bars)
    }.filter { !$0.bars.isEmpty }
    guard !panels.isEmpty else { return nil }
    var script = PlotScript()
    script.width = min(2600, max(900, 160 + 26 * (panels.map(\.bars.count).max() ?? 0)))
    script.height = 60 + 430 * panels.count
    script.add("set multiplot layout \(panels.count),1 title \(PlotScript.quoted("Speed-up over the naive kernel (\(input.conditions))"))")
    script.add("set style fill solid 0.9 noborder; set boxwidth 0.26; set logscale y; set grid ytics lc rgb '#dddddd'")
    script.add("set key outside top right horizontal; set ylabel 'times faster than naive (1 thread)'; set xtics nomirror rotate by -50 scale 0")
    for panel in panels {
        let largest = panel.bars.flatMap { $0.values.compactMap(\.self) }.max() ?? 10
        script.add("set title \(PlotScript.quoted(panel.title)); set yrange [0.5:\(largest * 2)]")
        script.places(panel.bars.map(\.name))
        let elements = families.enumerated().map { index, family in
            PlotScript.Element(
                style: "using 1:2 with boxes lc rgb '\(Palette.family(family))' title \(PlotScript.quoted(titles[family]!))",
                rows: panel.bars.enumerated().compactMap { position, bar in
                    bar.values[index].map { [Double(position) + Double(index - 1) * 0.27, $0] }
                })
        }
        let one = PlotScript.Element(
            style: "using 1:2 with lines dt 2 lc rgb '#404040' title 'naive'",
            rows: [[-0.7, 1], [Double(panel.bars.count) - 0.3, 1]])
        script.plot(elements + [one])
    }
    script.add("unset multiplot")
    return script
}
