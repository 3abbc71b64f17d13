import ConvCore

extension [BlockUnit] {
    /// The separable that begins at a unit, as one problem under its prefix, such as `branches.0`; nil where no depthwise unit
    /// is read by a pointwise one alone behind it. Throws ``BlockError/problem(unit:_:)``.
    package func separable(at index: Int, size: BlockSize) throws(BlockError) -> Problem? {
        guard isSeparable(at: index) else { return nil }
        let (dw, pw) = (self[index], self[index + 1])
        let first = try dw.problem(at: size)
        do {
            var whole = try first.followed(by: PointwiseTail(oc: pw.oc, activation: pw.activation))
            whole.name = String(dw.name.dropLast(".dw".count))
            return whole
        } catch {
            throw .problem(unit: pw.name, error)
        }
    }

    /// Whether a depthwise unit and the pointwise unit that reads it, and nothing else, begin at `index`.
    func isSeparable(at index: Int) -> Bool {
        index + 1 < count && self[index].kind == .dw && self[index + 1].kind == .pw && self[index + 1].inputs == [.unit(index)]
    }
}

extension BlockDescription {
    /// Its separables, each as one problem, in their order.
    package func separableProblems(size: BlockSize) throws(BlockError) -> [Problem] {
        let units = try units(cin: size.cin, cout: size.cout)
        var problems: [Problem] = []
        for index in units.indices {
            if let problem = try units.separable(at: index, size: size) { problems.append(problem) }
        }
        return problems
    }
}
