import ConvCore
import Harness
import Results

/// Stored measurements of one machine: the newest of each case.
struct Store {
    private var newest: [Key: ResultRow] = [:]

    private struct Key: Hashable {
        let problem: Problem
        let candidate: String
        let threads: Int
    }

    /// Rows that fit the machine and cache mode; a missing folder is an empty store.
    init(_ path: String, machine: String, cache: String) throws {
        for row in try Self.rows(path) where row.machine == machine && row.cache == cache { add(row) }
    }

    private static func rows(_ path: String) throws -> [ResultRow] {
        let contents: ResultFile.Contents
        do {
            contents = try ResultFile.readFolder(path)
        } catch {
            switch error {
            case .missing, .noRows: return []
            default: throw error
            }
        }
        for warning in contents.warnings { Console.warning(warning) }
        return contents.rows
    }

    mutating func add(_ row: ResultRow) {
        guard row.dtype == "f32", let problem = try? Problem(parsing: row.problem)
        else { return }
        let key = Key(problem: problem, candidate: row.candidate, threads: row.threads)
        if let old = newest[key], old.timeUTC > row.timeUTC { return }
        newest[key] = row
    }

    /// nil where nothing was measured, or where the newest verdict is that the kernel is wrong.
    func row(_ problem: Problem, _ candidate: Candidate, threads: Int) -> ResultRow? {
        let row = newest[Key(problem: problem, candidate: candidate.name, threads: threads)]
        return row?.verdict == "PASSED" && row?.medianNs != nil ? row : nil
    }
}
