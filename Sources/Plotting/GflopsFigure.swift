import Results

/// Points per problem: the nominal GFLOP/s of every kernel, with its interval. One panel per layer.
let gflopsFigure = Figure(
    name: "gflops", summary: "nominal GFLOP/s of every kernel on every shape",
    needs: "a measured kernel; run `atrous bench` first"
) { input in
    let panels = layerTitles.map { layer, title in (layer: layer, title: title, problems: input.problems(of: layer)) }
        .filter { !$0.problems.isEmpty }
    guard !panels.isEmpty else { return nil }
    var script = PlotScript()
    script.width = min(2600, max(1000, 330 + 26 * (panels.map(\.problems.count).max() ?? 0)))
    script.height = 60 + 450 * panels.count
    script.add("set multiplot layout \(panels.count),1 title \(PlotScript.quoted("Throughput, every tap counted (\(input.conditions))"))")
    script.add("set logscale y; set grid ytics xtics lc rgb '#e4e4e4'; set key outside right top vertical; set ylabel 'nominal GFLOP/s'")
    script.add("set xtics nomirror rotate by -50 scale 0; set bars 0.4")
    for panel in panels {
        let rows = input.rows.filter { $0.layer == panel.layer }
        var seen: Set<String> = []
        let kernels = rows.map(\.kernel).filter { seen.insert($0).inserted }
        script.add("set title \(PlotScript.quoted(panel.title)); set yrange [*:*]")
        script.places(panel.problems.map { problem in rows.first { $0.problem == problem }!.problemName })
        script.plot(
            kernels.enumerated().map { index, kernel in
                let shift = (Double(index) - Double(kernels.count - 1) / 2) * 0.6 / Double(max(kernels.count, 1))
                return PlotScript.Element(
                    style: "using 1:2:3:4 with yerrorbars pt \([7, 5, 9, 11, 13][index % 5]) ps 0.9 lc rgb '\(Palette.colours[index % Palette.colours.count])' title \(PlotScript.quoted(kernel))",
                    rows: panel.problems.enumerated().compactMap { position, problem in
                        guard let row = input.best(problem, { $0.kernel == kernel }), let flops = row.nominalFLOPs else {
                            return nil
                        }
                        let median = row.medianNs!
                        return [
                            Double(position) + shift, flops / median, flops / (row.ciHighNs ?? median),
                            flops / (row.ciLowNs ?? median),
                        ]
                    })
            })
    }
    script.add("unset multiplot")
    return script
}
