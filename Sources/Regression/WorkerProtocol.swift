/// What driver and worker say to each other: one line each way, fields separated by tabs.
///
/// | driver | worker | meaning |
/// |---|---|---|
/// | | `atrous-worker VERSION LEVEL HARNESS` | said once, at the start: protocol version, instruction-set level, `harnessVersion` (earlier builds do not say it) |
/// | `cases THREADS PROBLEM` | `cases NAME…` | the candidates for a problem, each at its standard configuration |
/// | `open ID THREADS NAME PROBLEM` | `opened ARENA PACKED SCRATCH` | names a case; bytes |
/// | `verify ID` | `verified ERROR` or `fault TEXT` | against the oracle, in memory of its own |
/// | `place P ADDRESS BYTES PATH` | `placed` | maps shared pages |
/// | `enter ID P` | `entered` | lays the case out there and fills in its inputs |
/// | `burst RUNS P CPU SHIFT` | `burst NS SWITCHES CHAIN WIDE` | plans, warms up, times so many runs of the case entered there, on a stack in the shared pages that begins so many bytes lower |
/// | `plan THREADS SIZE ACTIVATION BLOCK` | `planned PREDICTED MEASURED` | plans a whole block, and runs it; nanoseconds. Since version 2 |
/// | anything | `error TEXT` | could not be done |
///
/// The end of its input ends a worker. A later driver can talk to an earlier worker: commands are only ever added, and the
/// version grows when one is.
public enum WorkerProtocol {
    public static let version = 2
    /// What a comparison of kernels needs; ``PlanCheck`` asks for more.
    static let least = 1
    static let greeting = "atrous-worker"

    static func line(_ fields: [String]) -> String { fields.joined(separator: "\t") }
    static func fields(_ line: String) -> [String] {
        line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
    }
    /// Free text as one field of one line.
    static func field(_ text: String) -> String { text.replacing("\t", with: " ").replacing("\n", with: " ") }
}

/// One timed burst, as the worker saw it.
public struct Burst: Sendable, Equatable {
    /// Of all runs together.
    public let ns: Double
    /// How often a thread of the worker was taken off its CPU meanwhile.
    public let switches: Int
    /// The dependent chain, right before and right behind: the slower of the two. Its time is the clock's.
    public let chainNs: Double
    /// The same of a loop that begins as many operations as the core can: longer when a stranger has its other hardware thread.
    public let wideNs: Double

    public init(ns: Double, switches: Int = 0, chainNs: Double = 0, wideNs: Double = 0) {
        self.ns = ns
        self.switches = switches
        self.chainNs = chainNs
        self.wideNs = wideNs
    }

    var fields: [String] { ["burst", "\(ns)", "\(switches)", "\(chainNs)", "\(wideNs)"] }

    init?(_ fields: [String]) {
        guard fields.count >= 5, fields[0] == "burst", let ns = Double(fields[1]), ns > 0, ns.isFinite,
            let switches = Int(fields[2]), let chain = Double(fields[3]), let wide = Double(fields[4])
        else { return nil }
        self.init(ns: ns, switches: switches, chainNs: chain, wideNs: wide)
    }
}
