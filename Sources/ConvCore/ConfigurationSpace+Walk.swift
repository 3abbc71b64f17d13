// How a search moves through a space.

extension ConfigurationSpace {
    /// Configurations before the constraint.
    public var gridCount: Int { parameters.reduce(1) { $0 * $1.values.count } }

    /// The admitted configurations that differ from this one in a single parameter, by one step of its values.
    public func neighbours(of c: Configuration) -> [Configuration] { changed(c) { at, _ in [at - 1, at + 1] } }

    /// The neighbours, and those in which a parameter takes its least or its greatest value.
    public func moves(from c: Configuration) -> [Configuration] { changed(c) { at, all in [at - 1, at + 1, all.first!, all.last!] } }

    /// The admitted configurations in which one parameter's value is another: `places` are given where it stands and where it may.
    private func changed(_ c: Configuration, _ places: (Int, Range<Int>) -> [Int]) -> [Configuration] {
        var result: [Configuration] = []
        for (index, parameter) in parameters.enumerated() {
            guard let at = parameter.values.firstIndex(of: c.entries[index].value) else { continue }
            var seen: Set = [at]
            for place in places(at, parameter.values.indices) where parameter.values.indices.contains(place) && seen.insert(place).inserted {
                var entries = c.entries
                entries[index] = .init(name: parameter.name, value: parameter.values[place])
                let other = Configuration(entries)
                if admits(other) { result.append(other) }
            }
        }
        return result
    }

    /// Steps of single parameters between a configuration and the standard one.
    public func stepsFromStandard(_ c: Configuration) -> Int {
        zip(parameters, c.entries).reduce(0) { sum, pair in
            let (parameter, entry) = pair
            let from = parameter.values.firstIndex(of: parameter.standard)!
            return sum + abs((parameter.values.firstIndex(of: entry.value) ?? from) - from)
        }
    }

    /// Why nothing can be tuned here: no configuration is admitted, or the standard one is not. nil for a sound space.
    public var fault: String? {
        if all.isEmpty { return "no configuration satisfies its constraint (\(constraint)); widen a parameter's values" }
        if !admits(standard) { return "its standard configuration \(standard) breaks its constraint (\(constraint)); change a standard value" }
        return nil
    }
}
