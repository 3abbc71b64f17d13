import Results

/// What makes two rows the same measurement: the later one counts.
struct RowKey: Hashable {
    private let text: [String]
    private let threads: Int

    /// `problem`: its text without the name, which is no part of one; what the row says where that does not read.
    init(_ row: ResultRow, problem: String) {
        let t = row.tuning
        text = [t.cpuID, row.isa, row.dtype, problem, row.kernel, row.config, row.cache, t.fingerprint, t.harness]
        threads = row.threads
    }
}
