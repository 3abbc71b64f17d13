import ConvCore
import Testing

@Suite struct ConfigurationTests {
    private let space = ConfigurationSpace(
        [Parameter("m", [1, 2, 4], standard: 2, "rows"), Parameter("kc", [8, 16], standard: 8, "block")],
        constraint: "m·kc ≤ 32", admits: { $0["m"] * $0["kc"] <= 32 })

    @Test func textRoundTrips() throws {
        for configuration in space.all { #expect(try space.parse(configuration.description) == configuration) }
        #expect(try space.parse("kc16").description == "m2kc16", "what is left out takes its standard value")
        #expect(space.standard.description == "m2kc8")
    }

    @Test func theConstraintCutsTheProduct() { #expect(space.all.map(\.description) == ["m1kc8", "m1kc16", "m2kc8", "m2kc16", "m4kc8"]) }

    @Test(arguments: [("x3", "parameters"), ("m3", "takes 1, 2, 4"), ("m4kc16", "constraint"), ("m", "parameters"), ("m2m4", "gives m twice"), ("m2kc8m2", "gives m twice")])
    func badTextNamesTheMend(text: String, part: String) {
        #expect { _ = try space.parse(text) } throws: { "\($0)".contains(part) }
    }

    @Test func everyPackedWeightIsWhereTheTileReadsIt() throws {
        let p = try Problem(parsing: "conv:g2c6o10h4k3")
        let panels = PackedPanels(p, width: 4)
        #expect(panels.panels == 2 && panels.count == 2 * 9 * 3 * 4)
        let weights = (0..<p.weightCount).map { Float($0 + 1) }
        var packed = [Float](repeating: -1, count: panels.count)
        panels.pack(weights, group: 1, ocPerGroup: p.ocPerGroup, into: &packed)
        for oc in 0..<8 {
            for c in 0..<3 {
                for tap in 0..<9 {
                    let found = packed[oc / 4 * panels.panelCount + (tap * 3 + c) * 4 + oc % 4]
                    #expect(found == (oc < 5 ? weights[((5 + oc) * 3 + c) * 9 + tap] : 0))
                }
            }
        }
    }

    @Test(arguments: [(400, 8, 16, 2), (3, 8, 16, 2), (7, 4, 3, 3), (1, 12, 1, 5), (1000, 6, 2, 4)])
    func theGridCoversEveryTileOnce(rows: Int, tileRows: Int, panels: Int, threads: Int) {
        let grid = TileGrid(rows: rows, tileRows: tileRows, panels: panels, threads: threads)
        var count = [Int](repeating: 0, count: rows * panels)
        for i in 0..<threads {
            for row in grid.rows(of: i) { for panel in grid.panels(of: i) { count[row * panels + panel] += 1 } }
        }
        #expect(count.allSatisfy { $0 == 1 })
    }
}
