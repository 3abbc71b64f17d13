import Results

/// Bars per problem: how many times faster the tuned pick is than the fastest standard configuration, by the rounds of the final in
/// which both ran.
let tuningFigure = Figure(
    name: "tuning", summary: "tuned picks against the fastest standard configuration, per layer",
    needs: "tuned problems; run `atrous tune` first"
) { input in
    let rows = input.tuned.filter { $0.threads == input.threads && $0.cache == "warm" }
    let cases = Dictionary(grouping: rows, by: \.problem)
    let panels = layerTitles.map { layer, title in
        let bars = cases.values.compactMap { own -> (name: String, gain: Double)? in
            guard let pick = own.first(where: { $0.tuning.mark == "pick" && $0.layer == layer }),
                let gain = own.filter({ $0.tuning.standard == 1 && $0.tuning.mark == "final" }).compactMap(\.tuning.ratio).min()
                    ?? (pick.tuning.standard == 1 ? 1 : nil)
            else { return nil }
            return (pick.problemName, pick.tuning.standard == 1 ? max(1, gain) : gain)
        }.sorted { ($1.gain, $0.name) < ($0.gain, $1.name) }
        return (title: title, bars: bars)
    }.filter { !$0.bars.isEmpty }
    guard !panels.isEmpty else { return nil }
    var script = PlotScript()
    script.width = min(2600, max(900, 160 + 22 * (panels.map(\.bars.count).max() ?? 0)))
    script.height = 60 + 380 * panels.count
    script.add("set multiplot layout \(panels.count),1 title \(PlotScript.quoted("Tuned against the fastest default (\(input.conditions))"))")
    script.add("set style fill solid 0.9 noborder; set boxwidth 0.7; set grid ytics lc rgb '#dddddd'; set key off; set bmargin 9")
    script.add("set ylabel 'times faster than default'; set xtics nomirror rotate by -50 scale 0")
    for panel in panels {
        let most = max(1.1, panel.bars.map(\.gain).max() ?? 1)
        script.bars(panel.title, panel.bars.map { ($0.name, $0.gain) }, height: 0.9...1.05 * most, line: 1)
    }
    script.add("unset multiplot")
    return script
}
