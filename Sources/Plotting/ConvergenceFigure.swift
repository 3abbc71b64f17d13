import Foundation
import Results

/// How far the best so far of each search strategy is from the exhaustive best, against the candidates that it has measured: the
/// geometric mean over a study's problems. Needs the trace that `scripts/study-tuning` writes.
let convergenceFigure = Figure(
    name: "convergence", summary: "best so far against evaluations, by search strategy",
    needs: "a study's trace; run `scripts/study-tuning` first"
) { input in
    // By strategy and problem: evaluations and the loss of the best so far.
    var paths: [String: [String: [(evaluations: Double, loss: Double)]]] = [:]
    for row in input.trace {
        guard let strategy = row["strategy"], let problem = row["problem"], let evaluations = row["evaluations"].flatMap(Double.init),
            let loss = row["loss"].flatMap(Double.init), loss.isFinite
        else { continue }
        paths[strategy, default: [:]][problem, default: []].append((evaluations, loss))
    }
    guard !paths.isEmpty else { return nil }
    var script = PlotScript()
    script.width = 1000
    script.height = 640
    let problems = Set(paths.values.flatMap(\.keys)).count
    script.add("set title \(PlotScript.quoted("Best so far of \(problems) problems, \(input.machine)")); set logscale x; set grid lc rgb '#e4e4e4'")
    script.add("set xlabel 'candidates measured'; set ylabel '% over the exhaustive best, geometric mean'; set key outside right")
    script.plot(
        paths.sorted { $0.key < $1.key }.enumerated().map { index, entry in
            let own = entry.value.values.map { path in path.sorted { $0.evaluations < $1.evaluations } }
            // From where every problem has a best.
            let start = own.compactMap(\.first?.evaluations).max() ?? 1
            let steps = Set(own.flatMap { $0.map(\.evaluations) }).filter { $0 >= start }.sorted()
            let rows = steps.map { step in
                let losses = own.compactMap { path in path.last { $0.evaluations <= step }.map { log(1 + $0.loss) } }
                return [step, 100 * (exp(losses.reduce(0, +) / Double(max(1, losses.count))) - 1)]
            }
            let colour = Palette.colours[index % Palette.colours.count]
            return .init(style: "using 1:2 with linespoints pt 7 ps 0.5 lw 2 lc rgb '\(colour)' title \(PlotScript.quoted(entry.key))", rows: rows)
        })
    return script
}
