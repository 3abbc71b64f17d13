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

    /// What a line says.
    private enum Line {
        case wanted(TuningCase)
        /// A comment, or nothing.
        case blank
        /// What does not read, and why.
        case unread(String)

        init(_ text: String) {
            let parts = text.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
            let own = parts[0].trimmingCharacters(in: .whitespaces)
            guard !own.isEmpty else { self = .blank; return }
            guard let problem = try? Problem(parsing: own) else { self = .unread("'\(own)' is no problem"); return }
            var (threads, regime) = (1, MeasurementOptions.Cache.warm)
            let words = (parts.count == 2 ? parts[1] : "").split(separator: " ").map(String.init)
            for (name, value) in zip(words, words.dropFirst()) {
                switch name {
                case "threads":
                    guard let count = Int(value), Session.threadCounts.contains(count) else {
                        self = .unread("threads '\(value)' is no whole number from \(Session.threadCounts.lowerBound) to \(Session.threadCounts.upperBound)")
                        return
                    }
                    threads = count
                case "cache":
                    guard let cache = MeasurementOptions.Cache(rawValue: value) else {
                        self = .unread("cache '\(value)' is none of \(MeasurementOptions.Cache.allCases.map(\.rawValue).joined(separator: ", "))")
                        return
                    }
                    regime = cache
                default: continue
                }
            }
            self = .wanted(TuningCase(problem, threads: threads, regime: regime))
        }

        var subject: TuningCase? { if case .wanted(let subject) = self { subject } else { nil } }
    }

    private static func lines(_ path: String) -> [String] {
        let text = FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
        var lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map(String.init)
        // Behind the last line's end.
        if lines.last == "" { lines.removeLast() }
        return lines
    }

    /// Adds those that are not listed yet. A folder that takes no file costs the note, not the command.
    static func note(_ cases: [TuningCase], beside store: TuningStore) {
        guard !cases.isEmpty else { return }
        let path = path(beside: store)
        try? FileWriting.locked(path) { () throws(ResultError) in
            let old = lines(path)
            let known = Set(old.compactMap { Line($0).subject })
            let new = cases.filter { !known.contains($0) }.map(line)
            guard !new.isEmpty else { return }
            try FileWriting.replace(path, with: Data(((old + new).joined(separator: "\n") + "\n").utf8))
        }
    }

    /// The listed cases; lines that do not read are named.
    static func all(beside store: TuningStore) -> [TuningCase] {
        let path = path(beside: store)
        return lines(path).enumerated().compactMap { place, text in
            let line = Line(text)
            if case .unread(let reason) = line { Console.warning("\(path):\(place + 1): \(reason); the line is not read") }
            return line.subject
        }
    }

    /// Takes the cases that are decided now from the list. Comments stay, and so does what does not read.
    static func prune(beside store: TuningStore, isDecided: (TuningCase) -> Bool) throws {
        let path = path(beside: store)
        guard FileManager.default.fileExists(atPath: path) else { return }
        try FileWriting.locked(path) { () throws(ResultError) in
            let old = lines(path)
            let left = old.filter { !(Line($0).subject.map(isDecided) ?? false) }
            guard left.contains(where: { !$0.isEmpty }) else { return _ = unlink(path) }
            if left != old { try FileWriting.replace(path, with: Data((left.joined(separator: "\n") + "\n").utf8)) }
        }
    }
}
