/// gnuplot commands, each with the data that its plot elements read.
public struct PlotScript: Sendable {
    /// Size in pixels.
    public var width = 1200
    public var height = 800
    private(set) var commands: [(text: String, data: [[[Double]]])] = []

    public init() {}

    mutating func add(_ text: String) { commands.append((text, [])) }

    /// One plot command; every element gets its own rows.
    mutating func plot(_ elements: [Element]) {
        let drawn = elements.filter { !$0.rows.isEmpty }
        guard !drawn.isEmpty else { return }
        commands.append(("plot " + drawn.map { "'-' \($0.style)" }.joined(separator: ", "), drawn.map(\.rows)))
    }

    /// A place along x for each name, its number.
    mutating func places(_ names: [String]) {
        add("set xrange [-0.7:\(Double(names.count) - 0.3)]; set xtics \(Self.tics(names))")
    }

    /// A bar per name, with a level line across, and what else is drawn over the bars.
    mutating func bars(
        _ title: String, _ bars: [(name: String, value: Double)], height: ClosedRange<Double>, line: Double, over: [Element] = []
    ) {
        add("set title \(Self.quoted(title)); set yrange [\(height.lowerBound):\(height.upperBound)]")
        places(bars.map(\.name))
        plot(
            [.init(style: "using 1:2 with boxes lc rgb '\(Palette.family("tiled"))'", rows: bars.enumerated().map { [Double($0.offset), $0.element.value] })]
                + over
                + [.init(style: "using 1:2 with lines dt 2 lc rgb '#404040'", rows: [[-0.7, line], [Double(bars.count) - 0.3, line]])])
    }

    struct Element {
        /// What follows the data source: `using 1:2 with lines title 'a'`.
        var style: String
        var rows: [[Double]]
    }

    /// Text between gnuplot's double quotes, without markup.
    static func quoted(_ text: String) -> String {
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("`", with: "'") + "\""
    }

    /// `("name" position, …)` for `set xtics`.
    static func tics(_ names: [String]) -> String {
        "(" + names.enumerated().map { "\(quoted($0.element)) \($0.offset)" }.joined(separator: ", ") + ")"
    }
}

/// Colours that colour-blind readers tell apart.
/// Source: Okabe, Ito, "Color Universal Design", 2008.
enum Palette {
    static let colours = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442", "#000000"]

    static func family(_ name: String) -> String {
        switch name {
        case "naive": "#808080"
        case "im2col": "#E69F00"
        case "simd": "#56B4E9"
        case "fused": "#CC79A7"
        case "planned": "#D55E00"
        default: "#009E73"
        }
    }
}
