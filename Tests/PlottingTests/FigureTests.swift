import Foundation
import Plotting
import Results
import Testing

@Suite struct FigureTests {
    private let folder = NSTemporaryDirectory() + "atrous-plots-\(UUID().uuidString)"

    private func input() -> FigureInput {
        var rows: [ResultRow] = []
        for (layer, k) in [("dw", 5), ("pw", 1), ("conv", 3)] {
            for size in 1...4 {
                for (index, family) in ["naive", "im2col", "simd", "tiled"].enumerated() {
                    var row = ResultRow()
                    row.machine = "test-machine"
                    row.layer = layer
                    row.problem = "mb1ic\(size)ih8oc8oh8kh\(k)ph0n\"\(layer)_p\(size)\(layer == "conv" ? "-dense" : "")\""
                    row.kernel = "\(layer)-\(family)-x"
                    row.family = family
                    row.cache = "warm"
                    row.medianNs = 1e6 / Double(1 + 9 * index) * Double(size)
                    row.ciLowNs = row.medianNs! * 0.98
                    row.ciHighNs = row.medianNs! * 1.02
                    row.nominalFLOPs = 2e6
                    row.effectiveFLOPs = 1e6
                    row.bytes = 1e5 * Double(size)
                    row.verdict = "PASSED"
                    rows.append(row)
                }
            }
        }
        for (layer, family, unit) in [
            ("block", "im2col", ""), ("block", "planned", ""), ("stage", "planned", " layout0"),
            ("stage", "planned", " branches.0.dw+branches.0.pw"), ("stage", "planned", " fuse.pw"),
        ] {
            var row = ResultRow()
            row.machine = "test-machine"
            row.layer = layer
            row.problem = "literal 1x8x4x4 silu\(unit) n\"a-block\""
            row.kernel = "\(layer)-\(family)"
            row.family = family
            row.cache = "warm"
            row.medianNs = family == "planned" ? 1e6 : 3e6
            row.verdict = "PASSED"
            rows.append(row)
        }
        for t in 1...5 {
            for v in [2, 4, 8] {
                var row = ResultRow()
                (row.machine, row.layer, row.problem, row.kernel, row.cache) = ("test-machine", "dw", "dw:c8h9k3n\"tuned\"", "dw-x", "warm")
                (row.config, row.verdict, row.medianNs, row.tuning.schema) = ("t\(t)v\(v)", "PASSED", Double(1000 + 40 * t * t + v), 1)
                row.tuning.standard = t == 3 && v == 4 ? 1 : 0
                row.tuning.mark = t == 1 && v == 2 ? "pick" : t == 3 && v == 4 ? "final" : ""
                row.tuning.ratio = row.tuning.mark == "final" ? 1.3 : nil
                rows.append(row)
            }
        }
        let trace = ["model", "random"].flatMap { strategy in
            (1...6).map { ["strategy": strategy, "problem": "a", "evaluations": "\(4 * $0)", "loss": "\(0.5 / Double($0))"] }
        }
        let study = ["dw", "pw"].flatMap { layer in
            [("v4", "1"), ("v4", "2"), ("im2col", "1")].map { kind, threads in
                ["problem": "\(layer):c8n\"s-p3-\(layer)\"", "layer": layer, "kind": kind, "threads": threads, "tuning": "standard", "median_ns": "4e5",
                 "effective_flops": "4e7", "attainable": "0.8", "fma_gflops": "110"]
            }
                // Of an older table.
                + [["problem": "\(layer):c9n\"s-p3-\(layer)-old\"", "layer": layer, "kind": "v4", "threads": "1", "tuning": "standard", "median_ns": "4e5"]]
        }
        return FigureInput(
            rows: rows, machine: "test-machine", threads: 1, roof: MachineRoof(peakGflops: 100, bandwidths: [("L1", 200), ("L2", 50)]), trace: trace, study: study)
    }

    @Test func retiredRowsOfAStoreAreNotShown() {
        func row(_ kernel: String, _ time: String, code: String, mark: String = "", ratio: Double? = nil) -> ResultRow {
            var row = ResultRow()
            (row.machine, row.layer, row.problem, row.kernel, row.cache) = ("m", "dw", "dw:c8h9k3n\"tuned\"", kernel, "warm")
            (row.timeUTC, row.verdict, row.medianNs, row.tuning.schema) = (time, "PASSED", 1000, 1)
            (row.tuning.fingerprint, row.tuning.mark, row.tuning.ratio, row.tuning.standard) = (code, mark, ratio, 1)
            return row
        }
        let rows = [
            row("dw-x", "2026-01-01T00:00:00Z", code: "old", mark: "pick"), row("dw-y", "2026-01-01T00:00:00Z", code: "y", mark: "final", ratio: 9),
            row("dw-y", "2026-01-02T00:00:00Z", code: "y2", mark: "final", ratio: 1.5), row("dw-gone", "2025-01-01T00:00:00Z", code: "g", mark: "pick"),
            row("dw-x", "2026-01-02T00:00:00Z", code: "new", mark: "pick"),
        ]
        let input = FigureInput(rows: rows, machine: "m", threads: 1, roof: nil)
        #expect(input.tuned.map(\.tuning.fingerprint) == ["y2", "new"])
        #expect(input.rows.map(\.kernel) == ["dw-x"])
    }

    @Test func everyFigureIsDrawnInBothFormats() throws {
        let renderer = try Renderer()
        for figure in Figures.all {
            let script = try #require(figure.make(input()), "\(figure.name)")
            let svg = try renderer.draw(script, name: figure.name, folder: folder, format: .svg)
            let text = try String(contentsOfFile: svg, encoding: .utf8)
            #expect(text.contains("test-machine") && text.hasSuffix("</svg>\n\n") || text.contains("</svg>"), "\(figure.name)")
            let png = try renderer.draw(script, name: figure.name, folder: folder, format: .png)
            let data = try Data(contentsOf: URL(fileURLWithPath: png))
            #expect(data.starts(with: [0x89, 0x50, 0x4E, 0x47]) && data.count > 5_000, "\(figure.name)")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).allSatisfy { !$0.contains("partial") })
    }

    @Test func noRowsIsNoFigure() {
        let none = FigureInput(rows: [], machine: "m", threads: 1, roof: nil)
        for figure in Figures.all { #expect(figure.make(none) == nil, "\(figure.name)") }
    }

    @Test func anAbsentGnuplotIsSaid() {
        #expect(throws: PlotError.noGnuplot("/nowhere/gnuplot")) { try Renderer(environment: ["ATROUS_GNUPLOT": "/nowhere/gnuplot"]) }
        #expect(throws: PlotError.noGnuplot("gnuplot on the PATH")) { try Renderer(environment: ["PATH": "/nowhere"]) }
    }

    @Test(arguments: ["/bin/false", "/bin/true"])
    func aGnuplotThatDrawsNothingLeavesNoFile(program: String) throws {
        let renderer = try Renderer(environment: ["ATROUS_GNUPLOT": program])
        let script = try #require(Figures.all[0].make(input()))
        #expect { _ = try renderer.draw(script, name: "x", folder: folder, format: .svg) } throws: { "\($0)".hasPrefix("figure x: gnuplot says") }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    }
}
