/// The columns that a tuning store has behind those of every result file: what a row may be used for, and how its case was
/// decided.
public struct TuningFields: Sendable, Equatable {
    /// Of the store's format; 0 in rows that are none of a store.
    public var schema = 0
    /// Vendor, family, model, stepping.
    public var cpuID = ""
    /// Of the kernel's code, the compiler and its flags: 16 hexadecimal digits.
    public var fingerprint = ""
    /// The version of the measuring code.
    public var harness = ""
    /// `quick`, `thorough`, `exhaustive`: of the search that measured the row.
    public var effort = ""
    public var strategy = ""
    /// Nanoseconds of measuring that the row took, warming up included.
    public var measuringNs: Double?
    /// `pick` on the row that its case was decided for; `final` on those that were run against it.
    public var mark = ""
    /// On a pick: the second-best candidate.
    public var runnerUp = ""
    /// On a pick: the runner-up's time over the pick's, run in the same rounds, with its 95 % interval. On a row that was run against
    /// it: its own time over the pick's in those rounds.
    public var ratio: Double?
    public var ratioLow: Double?
    public var ratioHigh: Double?
    /// On a pick: the expected loss if it is not the best, as a fraction of the time.
    public var regret: Double?
    /// On a pick: candidates that were measured, and that there were.
    public var evaluations: Int?
    public var spaceSize: Int?
    /// On a pick: `kernel:hash` of every kernel that took part, separated by blanks; the hash covers code and space.
    public var covers = ""
    /// 1 on the standard configuration of a kernel, which is what runs where nothing was tuned; 0 on others.
    public var standard: Int?

    public init() {}
}
