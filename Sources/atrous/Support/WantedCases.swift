import ConvCore
import Foundation
import Harness
import Results
import Tuning

/// Cases that were asked for and not tuned, for the next tuning: a problem file, one line a case, beside the store. Lines may be
/// added by hand: a problem, and behind `#` `threads N cache MODE` where it is not one thread with warm caches.
enum WantedCases {
    static func path(beside store: TuningStore) -> String { FileWriting.beside(store.file.path, "wanted.txt") }

    private static func line(_ subject: TuningCase) -> String { "\(subject.problem.text)  # threads \(subject.threads) cache \(subject.regime.rawValue)" }

    /// nil for a comment, or what does not read.
    private static func subject(_ line: String) -> TuningCase? {
        let parts = line.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        guard let problem = try? Problem(parsing: parts[0].trimmingCharacters(in: .whitespaces)) else { return nil }
        let words = (parts.count == 2 ? parts[1] : "").split(separator: " ")
        func word(behind name: String) -> String? { words.firstIndex(of: name[...]).flatMap { $0 + 1 < words.count ? String(words[$0 + 1]) : nil } }
        return TuningCase(
            problem, threads: word(behind: "threads").flatMap(Int.init) ?? 1,
            regime: word(behind: "cache").flatMap(MeasurementOptions.Cache.init) ?? .warm)
    }

    private static func lines(_ path: String) -> [String] {
        let text = FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
        return text.split(whereSeparator: \.isNewline).map(String.init)
    }

    /// Adds those that are not listed yet. A folder that takes no file costs the note, not the command.
    static func note(_ cases: [TuningCase], beside store: TuningStore) {
        guard !cases.isEmpty else { return }
        let path = path(beside: store)
        try? FileWriting.locked(path) { () throws(ResultError) in
            let old = lines(path)
            let known = Set(old.compactMap(subject))
            let new = cases.filter { !known.contains($0) }.map(line)
            guard !new.isEmpty else { return }
            try FileWriting.replace(path, with: Data(((old + new).joined(separator: "\n") + "\n").utf8))
        }
    }

    /// The listed cases.
    static func all(beside store: TuningStore) -> [TuningCase] { lines(path(beside: store)).compactMap(subject) }

    /// Takes the cases that are decided now from the list. Comments stay, and so does what does not read.
    static func prune(beside store: TuningStore, isDecided: (TuningCase) -> Bool) throws {
        let path = path(beside: store)
        guard FileManager.default.fileExists(atPath: path) else { return }
        try FileWriting.locked(path) { () throws(ResultError) in
            let old = lines(path)
            let left = old.filter { !(subject($0).map(isDecided) ?? false) }
            guard !left.isEmpty else { return _ = unlink(path) }
            if left != old { try FileWriting.replace(path, with: Data((left.joined(separator: "\n") + "\n").utf8)) }
        }
    }
}
