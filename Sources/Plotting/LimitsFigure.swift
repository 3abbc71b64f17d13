import Results

/// Bars per layer: what the fastest kernel reaches of the machine's limits, from the table that `scripts/study-kernels` writes:
/// pointwise of the FMA peak measured beside its samples, with OpenBLAS's sgemm as points, depthwise of attainable, map by map, and for
/// long layers how many times as fast two threads are as one.
let limitsFigure = Figure(
    name: "limits", summary: "what the fastest kernels reach of the machine's limits, layer by layer",
    needs: "a study's table; run `scripts/study-kernels` with --out"
) { input in
    let study = Study(input.study)
    func ofPeak(_ problem: String, _ kind: String) -> Double? {
        guard let flops = study.number(problem, kind, "effective_flops"), let ns = study.number(problem, kind, "median_ns"),
            let peak = study.number(problem, kind, "fma_gflops")
        else { return nil }
        return 100 * flops / ns / peak
    }
    typealias Bar = (name: String, value: Double, point: Double?)
    func bars(_ layer: String, point: (String) -> Double? = { _ in nil }, _ value: (String) -> Double?) -> [Bar] {
        study.problems(of: layer).compactMap { problem in value(problem).map { (ResultRow.name(of: problem), $0, point(problem)) } }
    }
    let pointwise = bars("pw", point: { ofPeak($0, "im2col") }) { ofPeak($0, study.top) }
    let depthwise = bars("dw") { study.number($0, study.top, "attainable").map { 100 * $0 } }
    // As the study counts them.
    let long = ["dw", "pw"].flatMap { layer in
        bars(layer) { problem in
            guard let one = study.number(problem, study.top, "median_ns"), one > 3e5,
                let two = study.number(problem, study.top, "median_ns", threads: "2")
            else { return nil }
            return one / two
        }
    }
    // A layer is named by its model, its map and itself.
    let maps = Dictionary(grouping: depthwise) { $0.name.split(separator: "-").dropFirst().first.map { $0.uppercased() } ?? "" }
    let panels: [(title: String, bars: [Bar], line: Double)] =
        [("pointwise, one thread: % of the FMA peak (points: im2col + OpenBLAS; line: the peak)", pointwise, 100)]
        + maps.sorted { $0.key < $1.key }.map { ("depthwise, \($0.key), one thread: % of attainable (line: the aim, 70)", $0.value, 70) }
        + [("layers over 0.3 ms: two threads, times as fast as one (line: the aim, 1.9)", long, 1.9)]
    let drawn = panels.filter { !$0.bars.isEmpty }
    guard !drawn.isEmpty else { return nil }
    var script = PlotScript()
    script.width = 1700
    script.height = 60 + 330 * drawn.count
    script.add("set multiplot layout \(drawn.count),1 title \(PlotScript.quoted("The fastest kernel of each layer of YOLOv5, \(input.machine)"))")
    script.add("set style fill solid 0.9 noborder; set boxwidth 0.7; set grid ytics lc rgb '#dddddd'; set key off; set bmargin 8; set lmargin 8")
    script.add("set xtics nomirror rotate by 90 right scale 0 font ',7'")
    for panel in drawn {
        script.bars(
            panel.title, panel.bars.map { ($0.name, $0.value) }, height: 0...1.05 * (panel.bars.map(\.value).max() ?? 1), line: panel.line,
            over: [
                .init(
                    style: "using 1:2 with points pt 7 ps 0.6 lc rgb '\(Palette.family("im2col"))'",
                    rows: panel.bars.enumerated().compactMap { place, bar in bar.point.map { [Double(place), $0] } })
            ])
    }
    script.add("unset multiplot")
    return script
}

/// The untuned rows of the table.
private struct Study {
    /// The highest level of the vector kernels.
    let top: String
    private var order: [(problem: String, layer: String)] = []
    private var rows: [String: [String: String]] = [:]

    init(_ table: [[String: String]]) {
        top = ["v4", "v3", "baseline"].first { level in table.contains { $0["kind"] == level } } ?? ""
        for fields in table where fields["tuning"] == "standard" {
            guard let problem = fields["problem"], let layer = fields["layer"], let kind = fields["kind"], let threads = fields["threads"] else { continue }
            if kind == top, threads == "1" { order.append((problem, layer)) }
            rows["\(problem)|\(kind)|\(threads)"] = fields
        }
    }

    func problems(of layer: String) -> [String] { order.filter { $0.layer == layer }.map(\.problem) }

    func number(_ problem: String, _ kind: String, _ column: String, threads: String = "1") -> Double? {
        rows["\(problem)|\(kind)|\(threads)"]?[column].flatMap(Double.init)
    }
}
