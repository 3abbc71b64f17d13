import Foundation

/// Files that killed checks left in the temporary folder: builds under other names, workers' last words, counts.
public enum Leftovers {
    private static let kinds: Set<Substring> = ["builds", "worker", "callgrind"]
    /// Another container's checks may use the same folder, and their processes are not seen from here.
    private static let seconds = 3600.0

    /// Removes what no living process owns and nothing has touched for an hour.
    public static func remove(in folder: String = NSTemporaryDirectory()) {
        for entry in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
            // atrous-KIND-PROCESS-…
            let words = entry.split(separator: "-")
            guard words.count > 3, words[0] == "atrous", kinds.contains(words[1]), let owner = pid_t(words[2]), owner > 0, kill(owner, 0) != 0, errno == ESRCH
            else { continue }
            let path = "\(folder)/\(entry)"
            let changed = (try? FileManager.default.attributesOfItem(atPath: path))?[.modificationDate] as? Date
            guard let changed, -changed.timeIntervalSinceNow > seconds else { continue }
            try? FileManager.default.removeItem(atPath: path)
        }
    }
}
