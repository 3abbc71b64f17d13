import ConvCore
import Foundation
import Results

/// Stored rows in the T4 format of auto-tuning results, which KernelTuner and other tuners read.
/// Source: the Autotuning methodology's T4 results schema, version 1.0.0, as KernelTuner writes it.
public enum T4 {
    /// One result a row; times in milliseconds. A configuration holds CPU, type, kernel, problem, threads and cache besides its
    /// parameters, so that one file may hold many cases of many machines.
    public static func encode(_ rows: [ResultRow]) throws -> Data {
        let results = rows.map { row -> [String: Any] in
            var configuration: [String: Any] = [
                "kernel": row.kernel, "problem": row.problem, "threads": row.threads, "cache": row.cache, "isa": row.isa,
                "cpu": row.cpu, "cpu_id": row.tuning.cpuID, "dtype": row.dtype,
            ]
            for entry in Configuration(text: row.config).entries { configuration[entry.name] = entry.value }
            let passed = row.verdict == "PASSED" && row.medianNs != nil
            let ms = passed ? [row.medianNs! / 1e6] : []
            return [
                "timestamp": row.timeUTC, "configuration": configuration, "objectives": ["time"],
                "times": [
                    "compilation_time": (row.planNs ?? 0) / 1e6, "runtimes": ms, "framework": 0,
                    "search_algorithm": 0, "validation": 0,
                ] as [String: Any],
                "invalidity": passed ? "correct" : "correctness", "correctness": passed ? 1 : 0,
                "measurements": ms.map { ["name": "time", "value": $0, "unit": "ms"] as [String: Any] },
            ]
        }
        return try JSONSerialization.data(
            withJSONObject: ["schema_version": "1.0.0", "results": results],
            options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
    }
}
