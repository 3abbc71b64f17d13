/// The values of one command line, read as what they are meant to be. A flag's name is given without its dashes.
public struct Values: Sendable {
    /// What is not an option, in order.
    public let arguments: [String]
    private let given: [String: [String]]
    /// Options that the command line itself names, and not the environment.
    private let onLine: Set<String>

    init(arguments: [String], given: [String: [String]], onLine: Set<String>) {
        self.arguments = arguments
        self.given = given
        self.onLine = onLine
    }

    /// For options that have no meaning beside the others: an error where the command line names one. What the environment gives is
    /// for every command and may stay without effect.
    public func refuse(_ names: [String], for mode: String, why: String) throws(OptionError) {
        for name in names where onLine.contains(name) { throw .withoutEffect(flag: "--\(name)", mode: mode, why: why) }
    }

    /// Whether the flag is there.
    public func flag(_ name: String) -> Bool { given[name] != nil }
    public func string(_ name: String) -> String? { given[name]?.last }

    /// The option, or the variable, where the value came from that.
    func spelled(_ name: String) -> String { onLine.contains(name) ? "--\(name)" : Option.variable(of: name) }

    /// Every value of a repeatable option.
    public func strings(_ name: String) -> [String] { given[name] ?? [] }

    public func int(_ name: String, in range: ClosedRange<Int>) throws(OptionError) -> Int? {
        guard let text = string(name) else { return nil }
        return try Self.int(text, flag: spelled(name), in: range)
    }

    /// `1,2,4`
    public func ints(_ name: String, in range: ClosedRange<Int>) throws(OptionError) -> [Int]? {
        guard let text = string(name) else { return nil }
        var values: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let value = try Self.int(String(part), flag: spelled(name), in: range)
            if !values.contains(value) { values.append(value) }
        }
        return values
    }

    /// Comma-separated words.
    public func words(_ name: String, among choices: [String]) throws(OptionError) -> [String]? {
        guard let text = string(name) else { return nil }
        let words = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        for word in words where !choices.contains(word) {
            throw .unknownChoice(
                flag: spelled(name), value: word, nearest: nearestName(to: word, in: choices), choices: choices)
        }
        return words
    }

    /// Seconds: `30s`, `500ms`, `2m`, or a plain number of seconds.
    public func seconds(_ name: String, in range: ClosedRange<Double>) throws(OptionError) -> Double? {
        guard let text = string(name) else { return nil }
        let units: [(suffix: String, factor: Double)] = [("us", 1e-6), ("ms", 1e-3), ("s", 1), ("m", 60), ("h", 3600)]
        let unit = units.first { text.hasSuffix($0.suffix) }
        let number = Double(text.dropLast(unit?.suffix.count ?? 0)).map { $0 * (unit?.factor ?? 1) }
        guard let number, number.isFinite, range.contains(number) else {
            throw .badValue(
                flag: spelled(name), value: text,
                wanted: "time from \(Self.short(range.lowerBound)) s to \(Self.short(range.upperBound)) s; write for example 500ms, 30s or 2m")
        }
        return number
    }

    private static func int(_ text: String, flag: String, in range: ClosedRange<Int>) throws(OptionError) -> Int {
        guard let value = Int(text), range.contains(value) else {
            throw .badValue(
                flag: flag, value: text, wanted: "whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private static func short(_ value: Double) -> String {
        value == value.rounded() ? String(Int(value)) : String(value)
    }
}
