import Foundation

/// What the machine cannot give.
public enum HarnessError: Error, Equatable, CustomStringConvertible {
    case outOfMemory(bytes: Int, free: Int)

    public var description: String {
        switch self {
        case .outOfMemory(let bytes, let free):
            "the problem needs \(bytes >> 20) MiB and \(free >> 20) MiB are free; choose a smaller one, or leave out im2col (--family naive,simd,tiled)"
        }
    }
}

/// Asked before much is allocated: systems hand out more than they have, and end the program later.
public enum FreeMemory {
    public static func require(_ bytes: Int) throws(HarnessError) {
        // Small ones are not worth a look.
        guard bytes > 256 << 20, let free = available(), bytes > free else { return }
        throw .outOfMemory(bytes: bytes, free: free)
    }

    /// The most that this process has held in memory, in bytes; nil where the system does not tell.
    public static func processPeak() -> Int? { kibibytes("VmHWM:", in: "/proc/self/status") }

    /// Bytes that can be had without swapping; nil where the system does not tell.
    private static func available() -> Int? {
        kibibytes("MemAvailable:", in: "/proc/meminfo")
    }

    /// The number behind a key of a file of /proc, in bytes.
    private static func kibibytes(_ key: String, in file: String) -> Int? {
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else { return nil }
        for line in text.split(separator: "\n") where line.hasPrefix(key) {
            return line.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 << 10 }
        }
        return nil
    }
}
