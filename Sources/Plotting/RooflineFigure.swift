import Results

/// Effective GFLOP/s against effective FLOPs per compulsory byte, under the machine's measured roofs.
/// Source: Williams, Waterman, Patterson, "Roofline", CACM 2009.
let rooflineFigure = Figure(
    name: "roofline", summary: "the best kernel of each family under the machine's roofs",
    needs: "a measured kernel; run `atrous bench` first"
) { input in
    var points: [(layer: String, family: String, x: Double, y: Double)] = []
    for (layer, _) in layerTitles {
        for problem in input.problems(of: layer) {
            for family in ["naive", "im2col", "simd", "tiled"] {
                guard let row = input.best(problem, { $0.family == family }), let flops = row.effectiveFLOPs,
                    let bytes = row.bytes
                else { continue }
                points.append((layer, family, flops / bytes, flops / row.medianNs!))
            }
        }
    }
    guard let lowest = points.map(\.x).min(), let highest = points.map(\.x).max() else { return nil }
    let (left, right) = (lowest / 2, highest * 2)
    var script = PlotScript()
    script.width = 1250
    script.height = 800
    script.add("set title \(PlotScript.quoted("Roofline (\(input.conditions))"))")
    script.add("set logscale xy; set grid lc rgb '#e4e4e4'; set key outside right top vertical")
    script.add("set xlabel 'effective FLOPs per compulsory byte'; set ylabel 'effective GFLOP/s'; set xrange [\(left):\(right)]")
    var elements: [PlotScript.Element] = []
    if let roof = input.roof {
        let colours = ["#000000", "#555555", "#888888", "#aaaaaa"]
        for (index, bandwidth) in roof.bandwidths.enumerated() {
            // The slanted part up to the peak, then level.
            let corner = roof.peakGflops / bandwidth.gbps
            var rows = [[left, min(roof.peakGflops, left * bandwidth.gbps)]]
            if corner > left, corner < right { rows.append([corner, roof.peakGflops]) }
            rows.append([right, min(roof.peakGflops, right * bandwidth.gbps)])
            let label = "\(bandwidth.level) \(Int(bandwidth.gbps)) GB/s" + (index == 0 ? ", peak \(Int(roof.peakGflops)) GFLOP/s" : "")
            elements.append(
                .init(style: "using 1:2 with lines lw 2 dt \(index + 1) lc rgb '\(colours[index % 4])' title \(PlotScript.quoted(label))", rows: rows))
        }
    }
    for (layer, pointType) in [("dw", 7), ("pw", 5), ("conv", 9), ("sep", 11)] {
        for family in ["naive", "im2col", "simd", "tiled"] {
            elements.append(
                .init(
                    style: "using 1:2 with points pt \(pointType) ps 1 lc rgb '\(Palette.family(family))' title \(PlotScript.quoted("\(layer) \(family)"))",
                    rows: points.filter { $0.layer == layer && $0.family == family }.map { [$0.x, $0.y] }))
        }
    }
    script.plot(elements)
    return script
}
