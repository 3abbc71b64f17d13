import ConvCore

/// The candidates of a case, with what a model says of them. A candidate is named by its place here.
public struct SearchSpace: Sendable {
    public let subject: TuningCase
    public let candidates: [Candidate]
    /// What the model expects, in nanoseconds: good for an order.
    public let expectedNs: [Double]
    /// What no implementation can undercut on this machine.
    public let boundNs: [Double]
    /// The standard configuration of every kernel.
    public let standards: [Int]
    private let places: [String: Int]

    public init(_ subject: TuningCase, candidates: [Candidate], expectedNs: [Double], boundNs: [Double]) {
        precondition(candidates.count == expectedNs.count && candidates.count == boundNs.count)
        self.subject = subject
        self.candidates = candidates
        self.expectedNs = expectedNs
        self.boundNs = boundNs
        standards = candidates.indices.filter { candidates[$0].configuration == candidates[$0].kernel.space.standard }
        places = Dictionary(candidates.indices.map { (candidates[$0].name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    public func place(of name: String) -> Int? { places[name] }

    /// Candidates one step of one parameter away.
    public func neighbours(of place: Int) -> [Int] {
        let kernel = candidates[place].kernel
        return kernel.space.neighbours(of: candidates[place].configuration).compactMap { places[Candidate(kernel, $0).name] }
    }

    /// All, the most promising first; equals in the order of their names.
    public var byExpectation: [Int] {
        candidates.indices.sorted { (expectedNs[$0], candidates[$0].name) < (expectedNs[$1], candidates[$1].name) }
    }
}

/// A kernel whose space leaves nothing to tune.
public struct SpaceError: Error, CustomStringConvertible {
    public let description: String

    /// Throws where one of the kernels has no valid configuration.
    public static func check(_ kernels: [Kernel]) throws(SpaceError) {
        for kernel in kernels {
            if let fault = kernel.space.fault { throw SpaceError(description: "the space of \(kernel.name) has no valid point: \(fault)") }
        }
    }
}
