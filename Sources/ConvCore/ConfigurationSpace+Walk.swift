// How a search moves through a space.

extension ConfigurationSpace {
    /// Configurations before the constraint.
    public var gridCount: Int { parameters.reduce(1) { $0 * $1.values.count } }

    /// The admitted configurations that differ from this one in a single parameter, by one step of its values.
    public func neighbours(of c: Configuration) -> [Configuration] {
        var result: [Configuration] = []
        for (index, parameter) in parameters.enumerated() {
            guard let at = parameter.values.firstIndex(of: c.entries[index].value) else { continue }
            for step in [-1, 1] where parameter.values.indices.contains(at + step) {
                var entries = c.entries
                entries[index] = .init(name: parameter.name, value: parameter.values[at + step])
                let neighbour = Configuration(entries)
                if admits(neighbour) { result.append(neighbour) }
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
