import Results

/// A figure: a name, and how stored rows become a picture. To add one: write its file, add its line to ``Figures/all``.
public struct Figure: Sendable {
    public let name: String
    /// One line: what it shows.
    public let summary: String
    /// The results that it cannot do without, and where they come from.
    public let needs: String
    /// nil where the rows do not hold what it needs.
    public let make: @Sendable (FigureInput) -> PlotScript?
}

public enum Figures {
    public static let all: [Figure] = [speedupFigure, gflopsFigure, rooflineFigure, limitsFigure, savingFigure, blockFigure, stageFigure] + tuningFigures

    /// Of a tuning store and of the study of its searches.
    static let tuningFigures = [tuningFigure, landscapeFigure, convergenceFigure]
}

/// The rows of one machine and thread count that a figure shows.
public struct FigureInput: Sendable {
    /// Passed and measured, the newest of each case. A kernel that has no rows with so many threads is there with one.
    public let rows: [ResultRow]
    public let machine: String
    public let threads: Int
    /// Absent where no profile is stored beside the results.
    public let roof: MachineRoof?
    /// Every row of the machine's tuning stores that passed, with any number of threads; ``rows`` holds only their picks, since a
    /// search's other rows rest on a few short samples.
    public let tuned: [ResultRow]
    /// Rows of a study of searches and of one of kernels: column → field.
    public let trace, study: [[String: String]]

    public init(rows: [ResultRow], machine: String, threads: Int, roof: MachineRoof?, trace: [[String: String]] = [], study: [[String: String]] = []) {
        self.roof = roof
        self.trace = trace
        self.study = study
        tuned = Self.current(rows.filter { $0.machine == machine && $0.tuning.schema > 0 && $0.verdict == "PASSED" && $0.medianNs != nil })
        let rows = rows.filter { $0.tuning.schema == 0 } + tuned.filter { $0.tuning.mark == "pick" }
        self.machine = machine
        self.threads = threads
        let able = Set(rows.filter { $0.machine == machine && $0.threads == threads }.map(\.kernel))
        var newest: [String: ResultRow] = [:]
        var order: [String] = []
        for row in rows where row.machine == machine {
            guard row.threads == threads || row.threads == 1 && !able.contains(row.kernel) else { continue }
            let key = "\(row.problem)|\(row.candidate)|\(row.cache)"
            if newest[key] == nil { order.append(key) }
            if newest[key]?.timeUTC ?? "" <= row.timeUTC { newest[key] = row }
        }
        // A kernel whose newest verdict is that it is wrong is not shown with an older figure.
        self.rows = order.map { newest[$0]! }.filter { $0.verdict == "PASSED" && $0.medianNs != nil }
    }

    /// A store's rows without those that it keeps from before: of each kernel those of the code and the harness that measured it last,
    /// and of each case the last pick.
    private static func current(_ rows: [ResultRow]) -> [ResultRow] {
        func latest(_ rows: [ResultRow], by key: (ResultRow) -> String) -> [String: ResultRow] {
            Dictionary(rows.map { (key($0), $0) }, uniquingKeysWith: { $0.timeUTC > $1.timeUTC ? $0 : $1 })
        }
        func origin(_ row: ResultRow) -> [String] { [row.tuning.cpuID, row.tuning.fingerprint, row.tuning.harness] }
        func subject(_ row: ResultRow) -> String { "\(row.problem)|\(row.threads)|\(row.cache)" }
        let last = latest(rows, by: \.kernel)
        let own = rows.filter { origin($0) == origin(last[$0.kernel]!) }
        let picks = latest(own.filter { $0.tuning.mark == "pick" }, by: subject)
        return own.filter { $0.tuning.mark != "pick" || $0.candidate == picks[subject($0)]!.candidate }
    }

    /// `4 threads on MACHINE, warm cache`
    var conditions: String { conditions(rows) }

    /// The same of a single layer, which may have been measured with fewer threads only.
    func conditions(of layer: String) -> String { conditions(rows.filter { $0.layer == layer }) }

    private func conditions(_ rows: [ResultRow]) -> String {
        let caches = Set(rows.map(\.cache)).sorted().joined(separator: " and ")
        let threads = rows.map(\.threads).max() ?? threads
        return "\(threads) thread\(threads == 1 ? "" : "s"), \(machine), \(caches) cache"
    }

    /// Problems of a layer, in the order of the rows.
    func problems(of layer: String) -> [String] {
        var seen: Set<String> = []
        return rows.filter { $0.layer == layer }.map(\.problem).filter { seen.insert($0).inserted }
    }

    /// The fastest row of a problem among those that `admits` lets in.
    func best(_ problem: String, _ admits: (ResultRow) -> Bool) -> ResultRow? {
        rows.filter { $0.problem == problem && admits($0) }.min { $0.medianNs! < $1.medianNs! }
    }
}

/// A machine's measured limits.
public struct MachineRoof: Sendable {
    /// 10⁹ FLOP/s.
    public let peakGflops: Double
    /// 10⁹ bytes per second, by level.
    public let bandwidths: [(level: String, gbps: Double)]

    public init(peakGflops: Double, bandwidths: [(level: String, gbps: Double)]) {
        self.peakGflops = peakGflops
        self.bandwidths = bandwidths
    }
}

let layerTitles = [("dw", "depthwise"), ("pw", "pointwise"), ("conv", "dense and grouped"), ("sep", "separable")]
