import ConvCore

/// A block at a size, as a preset asks for it.
package struct BlockCase: Sendable {
    let prefix: String
    let suffix: String
    package let block: BlockDescription
    package let size: BlockSize

    /// Such as `s-p5-literal`; `-i320` and `-b4` follow where the input is not 640 or the batch not 1.
    package var name: String { "\(prefix)-\(block.name)\(suffix)" }

    /// The block's layers under readable names, which may repeat where the problems are equal; with `withDense` also
    /// the dense convolutions that the separables replace, with `separables` those as one problem each.
    func problems(withDense: Bool, separables: Bool) throws(BlockError) -> [Problem] {
        let units = try block.units(cin: size.cin, cout: size.cout)
        var problems: [Problem] = []
        for unit in units {
            var problem = try unit.problem(at: size)
            problem.name = "\(prefix)-\(Self.role(unit, cout: size.cout ?? size.cin))\(suffix)"
            problems.append(problem)
        }
        for var problem in separables ? try block.separableProblems(size: size) : [] {
            // A branch's inner separable keeps mid channels.
            let inner = problem.dstChannels == size.cout ?? size.cin ? "" : "-mid"
            let role = problem.name!.hasPrefix("branches.") ? "sep\(problem.kh)d\(problem.dilationH)\(inner)" : "\(problem.name!)-sep"
            problem.name = "\(prefix)-\(role)\(suffix)"
            problems.append(problem)
        }
        guard withDense else { return problems }
        for comparison in try block.denseComparison(size: size) {
            var problem = comparison.dense
            // A branch's inner separable keeps mid channels.
            let inner = problem.oc == size.cout ?? size.cin ? "" : "-mid"
            problem.name = "\(prefix)-conv\(problem.kh)d\(problem.dilationH)\(inner)\(suffix)"
            problems.append(problem)
        }
        return problems
    }

    /// What a unit is called among the layers of all variants: equal problems alike, different ones differently.
    private static func role(_ unit: BlockUnit, cout: Int) -> String {
        if unit.name.hasPrefix("branches.") {
            return unit.kind == .dw ? "dw\(unit.kernel)d\(unit.dilation)" : unit.oc == cout ? "pw" : "pw-mid"
        }
        // A separable compress ends in the very layer that the unit compress is.
        if unit.name == "compress.pw" { return "compress" }
        return unit.name.split(separator: ".").joined(separator: "-")
    }
}
