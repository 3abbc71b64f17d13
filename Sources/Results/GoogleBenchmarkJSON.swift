import Foundation

/// Results in the shape of Google Benchmark's JSON reports, for the tools that read those.
/// Source of the shape: google/benchmark, docs/tools.md and its JSON reporter, schema version 1.
public enum GoogleBenchmarkJSON {
    public struct Context: Sendable {
        public var date = ""
        public var executable = "atrous"
        public var cpus = 1
        /// Data and unified caches: level, bytes, CPUs that share one.
        public var caches: [(level: Int, bytes: Int, sharedBy: Int)] = []
        public var version = ""
        public var extra: [String: String] = [:]
        public init() {}
    }

    /// One iteration row per measured case; times in nanoseconds. A row without a time is left out, since several readers
    /// break on a missing or infinite number.
    public static func encode(_ rows: [ResultRow], context: Context) throws -> Data {
        var head: [String: Any] = [
            "date": context.date, "host_name": "", "executable": context.executable, "num_cpus": context.cpus,
            "mhz_per_cpu": 0, "cpu_scaling_enabled": false, "load_avg": [Double](), "library_version": context.version,
            "library_build_type": "release", "json_schema_version": 1,
            "caches": context.caches.map {
                ["type": $0.level == 1 ? "Data" : "Unified", "level": $0.level, "size": $0.bytes, "num_sharing": $0.sharedBy]
            },
        ]
        for (key, value) in context.extra { head[key] = value }
        var benchmarks: [[String: Any]] = []
        for row in rows {
            guard let median = row.medianNs, median.isFinite else { continue }
            let name = "\(row.layer)/\(row.problemName)/\(row.candidate)/threads:\(row.threads)"
            var entry: [String: Any] = [
                "name": name, "run_name": name, "family_index": benchmarks.count, "per_family_instance_index": 0,
                "run_type": "iteration", "repetitions": 1, "repetition_index": 0, "threads": row.threads,
                "iterations": row.samples ?? 0, "real_time": median, "cpu_time": median, "time_unit": "ns",
                "problem": row.problem,
            ]
            let counters = [
                ("items_per_second", row.nominalFLOPs.map { $0 / median * 1e9 }),
                ("bytes_per_second", row.bytes.map { $0 / median * 1e9 }), ("mad_ns", row.madNs),
                ("min_ns", row.minNs), ("attainable", row.attainable),
            ]
            for (key, value) in counters { if let value, value.isFinite { entry[key] = value } }
            benchmarks.append(entry)
        }
        return try JSONSerialization.data(
            withJSONObject: ["context": head, "benchmarks": benchmarks],
            options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
    }
}
