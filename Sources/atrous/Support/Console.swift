import ConvCore
import Foundation
import Results

/// Writes a line to stdout at once, so that a kill loses none; stands in for the buffered function of that name.
func print(_ line: String) { Console.output(Data((line + "\n").utf8)) }

/// The terminal: messages and progress on stderr, tables for stdout.
enum Console {
    /// Bytes for stdout. One that does not take them (a full disk) ends the program: a part must not pass for the whole.
    static func output(_ data: Data) {
        do {
            try write(data)
        } catch {
            self.error("\(error)")
            exit(ExitCode.badInput.rawValue)
        }
    }

    /// Lines for stdout, for who has more to do than to end where it does not take them.
    static func write(_ lines: [String]) throws { try write(Data((lines.joined(separator: "\n") + "\n").utf8)) }

    private static func write(_ data: Data) throws {
        guard !FileWriting.writeAll(STDOUT_FILENO, data) else { return }
        throw UsageError("stdout: cannot be written (\(FileWriting.reason())); direct it to another place, or make room there")
    }

    static func error(_ text: String) { line("atrous: \(text.onOneLine)") }
    static func warning(_ text: String) { line("atrous: warning: \(text.onOneLine)") }
    static func note(_ text: String) { line(text.onOneLine) }

    /// As one word of a shell's command line.
    static func shellQuoted(_ text: String) -> String {
        text.wholeMatch(of: /[A-Za-z0-9_.,:=@%+\/\-]+/) != nil ? text : "'\(text.replacing("'", with: "'\\''"))'"
    }

    private static func line(_ text: String) {
        onTerminal((isTerminal ? "\r\u{1B}[K" : "") + text + "\n")
    }

    /// For stderr; nobody is left to be told where it takes nothing.
    static func onTerminal(_ text: String) { _ = FileWriting.writeAll(STDERR_FILENO, Data(text.utf8)) }

    static let isTerminal = isatty(STDERR_FILENO) == 1

    /// Columns aligned to their widest entry: text to the left, numbers to the right.
    static func table(_ header: [String], _ rows: [[String]], right: Set<Int>) -> String {
        let widths = header.indices.map { column in ([header] + rows).map { $0[column].count }.max() ?? 0 }
        func line(_ row: [String]) -> String {
            zip(row.indices, row).map { index, text in
                let space = String(repeating: " ", count: widths[index] - text.count)
                return right.contains(index) ? space + text : text + space
            }.joined(separator: "  ").replacing(/\ +$/, with: "")
        }
        return ([line(header), widths.map { String(repeating: "-", count: $0) }.joined(separator: "  ")] + rows.map(line))
            .joined(separator: "\n")
    }
}

/// A bar with the time that is left, on a terminal; otherwise a line every ten seconds, so that a log shows life.
final class Progress {
    private let total: Int
    private let quiet: Bool
    private let start = Date()
    private var shown = Date.distantPast
    private var done = 0.0

    init(total: Int, quiet: Bool) {
        self.total = total
        self.quiet = quiet
    }

    /// `fraction` of the current step is done, behind `step` whole ones.
    func update(step: Int, fraction: Double = 0, _ label: String) {
        done = (Double(step) + fraction) / Double(max(total, 1))
        let now = Date()
        guard !quiet, now.timeIntervalSince(shown) > (Console.isTerminal ? 0.1 : 10) else { return }
        if !Console.isTerminal, now.timeIntervalSince(start) < 10 { return }
        shown = now
        let elapsed = now.timeIntervalSince(start)
        let left = done > 0.01 ? Self.clock(elapsed * (1 - done) / done) + " left" : ""
        if Console.isTerminal {
            let filled = Int(done * 24)
            let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 24 - filled)
            Console.onTerminal("\r\u{1B}[K[\(bar)] \(step)/\(total) \(left)  \(label.prefix(60))")
        } else {
            Console.note("\(Int(done * 100)) %  \(step)/\(total)  \(left)  \(label)")
        }
    }

    func finish() {
        if !quiet, Console.isTerminal { Console.onTerminal("\r\u{1B}[K") }
    }

    private static func clock(_ seconds: Double) -> String {
        seconds < 60 ? "\(Int(seconds.rounded())) s" : String(format: "%d:%02d min", Int(seconds) / 60, Int(seconds) % 60)
    }
}

enum Format {
    /// Milliseconds with enough digits.
    static func ms(_ ns: Double) -> String { number(ns / 1e6, digits: 3) }
    static func percent(_ fraction: Double?) -> String { fraction.map { String(format: "%.0f %%", $0 * 100) } ?? "-" }
    static func times(_ ratio: Double?) -> String { ratio.map { number($0, digits: 3) + " ×" } ?? "-" }
    static func bytes(_ n: Int) -> String {
        n < 1 << 10 ? "\(n) B" : n < 1 << 20 ? "\(n >> 10) KiB" : String(format: "%.1f MiB", Double(n) / 1_048_576)
    }

    /// So many significant digits, without an exponent.
    static func number(_ value: Double, digits: Int) -> String {
        guard value.isFinite, value != 0 else { return value == 0 ? "0" : "-" }
        let whole = Int(log10(abs(value)).rounded(.down)) + 1
        return String(format: "%.\(max(0, digits - whole))f", value)
    }
}
