import Foundation
import Regression
import Results

/// Keeps every launch's value and its rounds in a CSV, so that a rule can be judged on them later.
final class LaunchRecorder {
    private let file: FileHandle

    init(_ path: String) throws {
        try FileWriting.replace(path, with: Data("attempt,launch,case,sentinel,log_ratio,error,dropped,base_ns,head_ns,rounds\n".utf8))
        guard let file = FileHandle(forWritingAtPath: path) else { throw ResultError.cannotWrite(path, reason: "it vanished") }
        try file.seekToEnd()
        self.file = file
    }

    func append(_ r: RegressionCheck.Record) {
        var fields = [
            "\(r.attempt)", "\(r.launch)", r.one.name.replacing("\"", with: ""), r.sentinel ? "1" : "0",
        ]
        if let v = r.value {
            fields += [v.logRatio, v.error].map(Self.short) + ["\(v.dropped)"] + [v.baseNs, v.headNs].map(Self.short)
            fields.append(v.rounds.map(Self.short).joined(separator: " "))
        } else {
            fields += [String](repeating: "", count: 6)
        }
        file.write(Data((fields.joined(separator: ",") + "\n").utf8))
    }

    private static func short(_ x: Double) -> String { String(format: "%.6g", x) }
}
