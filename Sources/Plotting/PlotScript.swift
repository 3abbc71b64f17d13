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
