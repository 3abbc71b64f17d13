import Foundation
import Harness
import OptionParsing
import Plotting
import Results

/// Figures from stored rows only: nothing is measured here.
func runPlot(_ values: Values) throws -> ExitCode {
    let names = try values.words("figure", among: Figures.all.map(\.name))
    let formats = try values.words("format", among: PictureFormat.allCases.map(\.rawValue)) ?? ["svg", "png"]
    let folder = values.string("results") ?? "results"
    let renderer = try Renderer()
    let contents = try ResultFile.readFolder(folder)
    for warning in contents.warnings { Console.warning(warning) }
    let input = try figureInput(contents.rows, folder: folder, values)
    for figure in Figures.all where names?.contains(figure.name) ?? true {
        guard let script = figure.make(input) else {
            // Not every set of results has every figure in it.
            guard names != nil else { continue }
            throw PlotError.nothingToShow(figure: figure.name, needs: figure.needs)
        }
        for format in formats {
            let path = try renderer.draw(
                script, name: figure.name, folder: values.string("out") ?? "plots", format: PictureFormat(rawValue: format)!)
            if !values.flag("quiet") { print(path) }
        }
    }
    return .fine
}

/// The rows of one machine and thread count, and the roofs that were stored with them.
private func figureInput(_ rows: [ResultRow], folder: String, _ values: Values) throws -> FigureInput {
    let counts = Dictionary(grouping: rows, by: \.machine).mapValues(\.count)
    let machine = values.string("machine") ?? counts.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key ?? ""
    guard counts[machine] != nil else {
        throw UsageError("--machine '\(machine)' has no results in \(folder); it holds \(counts.keys.sorted().joined(separator: ", "))")
    }
    let held = Set(rows.filter { $0.machine == machine }.map(\.threads)).sorted()
    let threads = try values.int("threads", in: 1...1024) ?? held.last!
    guard held.contains(threads) else {
        throw UsageError("--threads \(threads): \(folder) holds results with \(held.map(String.init).joined(separator: ", "))")
    }
    func table(_ name: String) -> [[String: String]] {
        ["\(folder)/\(machine)", folder].lazy.map { ResultFile.table("\($0)/\(name)") }.first { !$0.isEmpty } ?? []
    }
    return FigureInput(
        rows: rows, machine: machine, threads: threads, roof: storedRoof(folder, machine, threads), trace: table("tuning-trace.csv"), study: table("kernels.csv"))
}

/// The profile that `atrous bench` keeps beside its results.
private func storedRoof(_ folder: String, _ machine: String, _ threads: Int) -> MachineRoof? {
    for path in ["\(folder)/\(machine)/machine.json", "\(folder)/machine.json"] {
        guard let data = FileManager.default.contents(atPath: path),
            let profile = try? JSONDecoder().decode(MachineProfile.self, from: data)
        else { continue }
        return MachineRoof(
            peakGflops: profile.peakGflops(threads: threads),
            bandwidths: profile.bandwidths.filter { $0.threads == threads }.map {
                ($0.level, max($0.readGBps, $0.writeGBps, $0.copyGBps))
            })
    }
    return nil
}
