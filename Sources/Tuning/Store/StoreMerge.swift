import ConvCore
import Results

/// Joins the rows of several stores, of any machines.
public enum StoreMerge {
    public struct Merged: Sendable {
        public var rows: [ResultRow]
        /// Keys that two stores held with different rows.
        public var conflicts: Int

        public init(rows: [ResultRow] = [], conflicts: Int = 0) {
            self.rows = rows
            self.conflicts = conflicts
        }
    }

    /// Without the name, which is no part of a problem.
    private static func problem(_ row: ResultRow) -> String { (try? Problem(parsing: row.problem))?.text ?? row.problem }

    private static func key(_ row: ResultRow) -> RowKey { RowKey(row, problem: problem(row)) }

    /// A decision is for one machine, case and version of the harness.
    private struct Decided: Hashable {
        let text: [String]
        let threads: Int

        init(_ row: ResultRow) {
            text = [row.tuning.cpuID, row.dtype, problem(row), row.cache, row.tuning.harness]
            threads = row.threads
        }
    }

    /// A store's rows as they count: the last of every key that says something, in the order of their first ones, and one pick a case.
    /// Rows that this version cannot interpret have keys, too, and stay.
    public static func reduced(_ rows: [ResultRow]) -> [ResultRow] {
        var places: [RowKey: Int] = [:]
        var result: [ResultRow] = []
        for row in rows where !row.saysNothing {
            let key = key(row)
            if let place = places[key] {
                result[place] = row
            } else {
                places[key] = result.count
                result.append(row)
            }
        }
        leaveOnePick(&result)
        return result
    }

    /// The latest pick of every case, whatever the code of its kernels: a retuned case still holds the pick of the code before.
    public static func latestPicks(_ rows: [ResultRow]) -> [ResultRow] {
        var places: [Decided: Int] = [:]
        var picks: [ResultRow] = []
        for row in reduced(rows) where row.tuning.mark == "pick" {
            if let place = places[Decided(row)] {
                if picks[place].timeUTC <= row.timeUTC { picks[place] = row }
            } else {
                places[Decided(row)] = picks.count
                picks.append(row)
            }
        }
        return picks
    }

    /// Of two rows with the same key the one of the greater effort stays, of equal efforts the later, of equal times the faster. So
    /// does the pick of a case that was decided twice; the other becomes a plain row.
    public static func merge(_ stores: [[ResultRow]]) -> Merged {
        var places: [RowKey: Int] = [:]
        var rows: [ResultRow] = []
        var conflicts = 0
        for row in stores.flatMap(reduced) {
            let key = key(row)
            guard let place = places[key] else {
                places[key] = rows.count
                rows.append(row)
                continue
            }
            if rows[place] != row { conflicts += 1 }
            if isBetter(row, than: rows[place]) { rows[place] = row }
        }
        leaveOnePick(&rows)
        return Merged(rows: rows, conflicts: conflicts)
    }

    /// Of a case that was decided twice, by two stores or by two processes at once, the better pick keeps its mark. Picks among
    /// kernels of other code are no rivals: which of them holds is known where they are read.
    static func leaveOnePick(_ rows: inout [ResultRow]) {
        var picks: [Decided: [Int]] = [:]
        for (place, row) in rows.enumerated() where row.tuning.mark == "pick" {
            let key = Decided(row)
            guard let other = picks[key]?.first(where: { sameCode(rows[$0], row) }) else {
                picks[key, default: []].append(place)
                continue
            }
            let loser = isBetter(row, than: rows[other]) ? other : place
            if loser == other { picks[key] = picks[key]!.map { $0 == other ? place : $0 } }
            rows[loser].clearDecision()
        }
    }

    /// Whether every kernel that took part in both decisions had the same code and space.
    private static func sameCode(_ a: ResultRow, _ b: ResultRow) -> Bool {
        func hashes(_ row: ResultRow) -> [String: String] {
            Dictionary(Cover.all(of: row).map { ($0.kernel, $0.hash) }, uniquingKeysWith: { first, _ in first })
        }
        let other = hashes(b)
        return hashes(a).allSatisfy { name, hash in other[name] ?? hash == hash }
    }

    private static func isBetter(_ a: ResultRow, than b: ResultRow) -> Bool {
        if a.effort != b.effort { return a.effort > b.effort }
        if a.timeUTC != b.timeUTC { return a.timeUTC > b.timeUTC }
        return (a.medianNs ?? .infinity) < (b.medianNs ?? .infinity)
    }
}
