import Foundation

/// A column of the CSV: its name, and how a field gets in and out of a row. The one schema for writing and reading; columns
/// are only ever added at the end.
struct Column: Sendable {
    let name: String
    let write: @Sendable (ResultRow) -> String
    /// Whether the text could be read.
    let read: @Sendable (inout ResultRow, String) -> Bool

    /// Every column that is known.
    static let all = stored + added

    /// Of a tuning store, in its order.
    static let stored = measured + tuned

    /// Of a result file, in its order.
    static let results = measured + added

    /// What both have in front.
    private static let measured: [Column] = [
        text("run", \.run), text("time_utc", \.timeUTC), text("commit", \.commit), text("machine", \.machine),
        text("cpu", \.cpu), text("isa", \.isa), text("dtype", \.dtype), text("layer", \.layer),
        text("problem", \.problem), text("kernel", \.kernel), text("config", \.config), text("layout", \.layout),
        count("threads", \.threads), text("cache", \.cache), count("samples", \.samples),
        number("median_ns", \.medianNs), number("mad_ns", \.madNs), number("min_ns", \.minNs),
        number("mean_ns", \.meanNs), number("ci_low_ns", \.ciLowNs), number("ci_high_ns", \.ciHighNs),
        number("nominal_flops", \.nominalFLOPs), number("effective_flops", \.effectiveFLOPs), number("bytes", \.bytes),
        number("gflops", \.gflops), number("gbps", \.gbps), number("attainable", \.attainable),
        number("max_error", \.maxError), text("verdict", \.verdict), text("family", \.family),
        count("disturbed", \.disturbed), number("plan_ns", \.planNs), count("scratch_bytes", \.scratchBytes),
        count("packed_bytes", \.packedBytes), count("parameters", \.parameters), count("seed", \.seed),
    ]

    /// Of a result file, behind the others.
    private static let added: [Column] = [
        number("reference_ns", \.referenceNs), number("predicted_ns", \.predictedNs), count("attempts", \.attempts),
        number("fma_gflops", \.multiplyAddGflops), number("hand_over_ns", \.handOverNs),
        number("move_gbps", \.movedGBps),
    ]

    /// Of a tuning store, behind the others.
    private static let tuned: [Column] = [
        count("schema", \.tuning.schema), text("cpu_id", \.tuning.cpuID), text("fingerprint", \.tuning.fingerprint),
        text("harness", \.tuning.harness), text("effort", \.tuning.effort), text("strategy", \.tuning.strategy),
        number("measuring_ns", \.tuning.measuringNs), text("mark", \.tuning.mark), text("runner_up", \.tuning.runnerUp),
        number("ratio", \.tuning.ratio), number("ratio_low", \.tuning.ratioLow), number("ratio_high", \.tuning.ratioHigh),
        number("regret", \.tuning.regret), count("evaluations", \.tuning.evaluations),
        count("space_size", \.tuning.spaceSize), text("covers", \.tuning.covers),
        count("standard", \.tuning.standard),
    ]

    private typealias Path<T> = WritableKeyPath<ResultRow, T> & Sendable

    private static func text(_ name: String, _ path: Path<String>) -> Column {
        Column(name: name, write: { $0[keyPath: path] }, read: { $0[keyPath: path] = $1; return true })
    }

    private static func count(_ name: String, _ path: Path<Int>) -> Column {
        Column(
            name: name, write: { String($0[keyPath: path]) },
            read: { row, field in
                guard let value = Int(field) else { return false }
                row[keyPath: path] = value
                return true
            })
    }

    private static func count(_ name: String, _ path: Path<Int?>) -> Column {
        Column(
            name: name, write: { $0[keyPath: path].map(String.init) ?? "" },
            read: { row, field in
                row[keyPath: path] = Int(field)
                return field.isEmpty || Int(field) != nil
            })
    }

    private static func number(_ name: String, _ path: Path<Double?>) -> Column {
        Column(
            name: name, write: { $0[keyPath: path].map(short) ?? "" },
            read: { row, field in
                row[keyPath: path] = Double(field)
                return field.isEmpty || Double(field)?.isFinite == true
            })
    }

    /// Whole numbers in full, others with six digits; never "nan" or "inf".
    private static func short(_ value: Double) -> String {
        guard value.isFinite else { return "" }
        if value == value.rounded(), abs(value) < 1e15 { return String(Int(value)) }
        return String(format: "%.6g", value)
    }
}
