import Foundation
import ThreadPool

/// Waits until no other thread of this process runs: pools and libraries poll for a while after their work, which takes
/// power and, on few cores, time from what is measured next.
enum QuietThreads {
    /// Returns once all other threads sleep, at the latest after `timeoutMs`.
    static func wait(timeoutMs: Double = 200) {
        #if os(Linux)
        let own = ThreadPool.callerID
        let deadline = Clock.now() + UInt64(timeoutMs * 1e6)
        while Clock.now() < deadline {
            guard let tasks = opendir("/proc/self/task") else { return }
            var busy = false
            while let entry = readdir(tasks) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                guard let id = Int(name), id != own else { continue }
                if state(of: id) == UInt8(ascii: "R") { busy = true }
            }
            closedir(tasks)
            if !busy { return }
            usleep(200)
        }
        #endif
    }

    /// The third field of /proc/self/task/N/stat, behind the name's closing parenthesis.
    private static func state(of task: Int) -> UInt8? {
        let file = open("/proc/self/task/\(task)/stat", O_RDONLY)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = read(file, &buffer, 256)
        guard count > 0, let end = buffer[0..<count].lastIndex(of: UInt8(ascii: ")")), end + 2 < count else { return nil }
        return buffer[end + 2]
    }
}
