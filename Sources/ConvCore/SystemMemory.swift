import Foundation

/// What the system says of memory, in bytes; nil where it does not tell.
public enum SystemMemory {
    /// What can be had without swapping.
    public static var available: Int? { kibibytes("MemAvailable:", in: "/proc/meminfo") }

    /// The most that this process has held.
    public static var processPeak: Int? { kibibytes("VmHWM:", in: "/proc/self/status") }

    /// The number behind a key of a file of /proc, in bytes.
    private static func kibibytes(_ key: String, in file: String) -> Int? {
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else { return nil }
        for line in text.split(separator: "\n") where line.hasPrefix(key) {
            return line.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 << 10 }
        }
        return nil
    }
}
