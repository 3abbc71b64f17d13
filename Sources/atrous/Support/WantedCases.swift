import ConvCore
import Foundation
import Harness
import Results
import Tuning

/// Cases that were asked for and not tuned, for the next tuning: a problem file, one line a case, beside the store.
enum WantedCases {
    static func path(beside store: TuningStore) -> String { (store.file.path as NSString).deletingLastPathComponent + "/wanted.txt" }

    /// Adds those that are not listed yet. A folder that takes no file costs the note, not the command.
    static func note(_ cases: [TuningCase], beside store: TuningStore) {
        let path = path(beside: store)
        let old = FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let known = Set(old.split(separator: "\n").map(String.init))
        let new = cases.map { "\($0.problem.text)  # threads \($0.threads) cache \($0.regime.rawValue)" }.filter { !known.contains($0) }
        guard !new.isEmpty else { return }
        try? FileWriting.replace(path, with: Data((old + new.joined(separator: "\n") + "\n").utf8))
    }

    /// The listed cases that are not decided yet; the others are taken from the list.
    static func open(beside store: TuningStore) throws -> [TuningCase] {
        let path = path(beside: store)
        guard let data = FileManager.default.contents(atPath: path) else { return [] }
        let cases = String(decoding: data, as: UTF8.self).split(separator: "\n").compactMap { line -> TuningCase? in
            let parts = line.split(separator: "#", maxSplits: 1)
            let words = (parts.count == 2 ? parts[1] : "").split(separator: " ")
            guard let problem = try? Problem(parsing: parts[0].trimmingCharacters(in: .whitespaces)), words.count == 4,
                let threads = Int(words[1]), let regime = MeasurementOptions.Cache(rawValue: String(words[3]))
            else { return nil }
            return TuningCase(problem, threads: threads, regime: regime)
        }
        return cases.filter { store.pick($0) == nil }
    }

    /// Leaves in the list what is still open.
    static func prune(beside store: TuningStore) throws {
        let path = path(beside: store)
        guard FileManager.default.fileExists(atPath: path) else { return }
        let left = try open(beside: store)
        guard !left.isEmpty else { return _ = unlink(path) }
        let lines = left.map { "\($0.problem.text)  # threads \($0.threads) cache \($0.regime.rawValue)\n" }
        try FileWriting.replace(path, with: Data(lines.joined().utf8))
    }
}
