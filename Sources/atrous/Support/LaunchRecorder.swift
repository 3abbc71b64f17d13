import Foundation
import Regression
import Results

/// Keeps every launch's value and its rounds in a CSV, so that a rule can be judged on them later. A disk that takes no more ends the
/// record and not the check.
final class LaunchRecorder {
    private let file: LineWriter
    private var isOpen = true

    init(_ path: String) throws {
        file = try LineWriter(path, header: "attempt,launch,case,sentinel,log_ratio,error,dropped,base_ns,head_ns,rounds")
    }

    func append(_ r: RegressionCheck.Record) {
        guard isOpen else { return }
        var fields = ["\(r.attempt)", "\(r.launch)", r.one.name, r.sentinel ? "1" : "0"]
        if let v = r.value {
            fields += [v.logRatio, v.error].map(Self.short) + ["\(v.dropped)"] + [v.baseNs, v.headNs].map(Self.short)
            fields.append(v.rounds.map(Self.short).joined(separator: " "))
        } else {
            fields += [String](repeating: "", count: 6)
        }
        do {
            try file.append(fields: fields)
        } catch {
            isOpen = false
            Console.warning("--record: \(error); the record ends here, the check goes on")
        }
    }

    private static func short(_ x: Double) -> String { String(format: "%.6g", x) }
}
