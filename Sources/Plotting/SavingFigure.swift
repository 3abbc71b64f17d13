import Results

/// Bars per dense convolution that a separable replaces: its time by family. Needs the rows that
/// `atrous pick --compare dense` measures; the separables' times stand in its table.
let savingFigure = Figure(
    name: "dense", summary: "time of the dense convolutions that separables replace, per family",
    needs: "a dense convolution; run `atrous pick --preset yolov5s --compare dense` first"
) { input in
    let problems = input.problems(of: "conv").filter { $0.hasSuffix("-dense\"") }
    guard !problems.isEmpty else { return nil }
    let names = problems.map { problem in input.rows.first { $0.problem == problem }!.problemName }
    var script = PlotScript()
    script.width = min(2600, max(900, 160 + 30 * problems.count))
    script.height = 620
    script.add("set title \(PlotScript.quoted("Dense convolutions (\(input.conditions(of: "conv")))"))")
    script.add("set style fill solid 0.9 noborder; set boxwidth 0.26; set logscale y; set grid ytics lc rgb '#dddddd'")
    script.add("set key outside top right horizontal; set ylabel 'milliseconds'; set xtics nomirror rotate by -50 scale 0")
    script.places(names)
    script.plot(
        ["im2col", "simd", "tiled"].enumerated().map { index, family in
            PlotScript.Element(
                style: "using 1:2 with boxes lc rgb '\(Palette.family(family))' title \(PlotScript.quoted(family))",
                rows: problems.enumerated().compactMap { position, problem in
                    input.best(problem) { $0.family == family }.map {
                        [Double(position) + Double(index - 1) * 0.27, $0.medianNs! / 1e6]
                    }
                })
        })
    return script
}
