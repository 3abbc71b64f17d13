import Foundation
import Results
import Testing

func sampleRow(_ problem: String = "g8mb1ic8ih4oc8oh4kh3ph1n\"a, b\"", kernel: String = "dw-x", median: Double? = 1234.5) -> ResultRow {
    var row = ResultRow()
    row.run = "r1"
    row.machine = "m"
    row.layer = "dw"
    row.problem = problem
    row.kernel = kernel
    row.config = "t8"
    row.threads = 2
    row.cache = "warm"
    row.medianNs = median
    row.verdict = median == nil ? "FAILED" : "PASSED"
    row.family = "tiled"
    row.nominalFLOPs = 1_000_000
    return row
}

@Suite struct ResultFileTests {
    private let folder: String

    init() throws {
        folder = NSTemporaryDirectory() + "atrous-results-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    @Test func theHeaderIsTheContract() {
        #expect(
            ResultFile.header.hasPrefix(
                "run,time_utc,commit,machine,cpu,isa,dtype,layer,problem,kernel,config,layout,threads,cache,samples,median_ns,mad_ns,"
                    + "min_ns,mean_ns,ci_low_ns,ci_high_ns,nominal_flops,effective_flops,bytes,gflops,gbps,attainable,max_error,verdict"))
    }

    @Test func whatIsNoFileIsWrittenInPlaceAndALinkStaysOne() throws {
        let pipe = folder + "/pipe"
        try #require(mkfifo(pipe, 0o600) == 0)
        // Both ends, so that neither waits for the other.
        let ends = open(pipe, O_RDWR)
        defer { close(ends) }
        try FileWriting.replace(pipe, with: Data("text".utf8))
        var buffer = [UInt8](repeating: 0, count: 16)
        #expect(read(ends, &buffer, 16) == 4)
        var info = stat()
        #expect(stat(pipe, &info) == 0 && info.st_mode & S_IFMT == S_IFIFO)
        let (file, link) = (folder + "/file", folder + "/link")
        try FileWriting.replace(file, with: Data("old".utf8))
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: file)
        try FileWriting.replace(link, with: Data("new".utf8))
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "new")
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == file)
        #expect(throws: ResultError.self) { try FileWriting.replace(folder, with: Data()) }
    }

    @Test func rowsComeBackAsWritten() throws {
        let path = folder + "/sub/bench.csv"
        let rows = [sampleRow(), sampleRow("plain", median: nil), sampleRow("quote\"and\ncomma,", median: 0.25)]
        let appender = try ResultAppender(path)
        for row in rows.prefix(2) { try appender.append(row) }
        #expect(try ResultFile.read(path).rows == Array(rows.prefix(2)))
        #expect(rows[0].problemName == "a, b" && rows[1].problemName == "plain")
        #expect(rows[0].candidate == "dw-x@t8")
    }

    @Test func aTornLineIsCutOffAndTheRestStays() throws {
        let path = folder + "/torn.csv"
        try ResultAppender(path).append(sampleRow())
        let file = FileHandle(forWritingAtPath: path)!
        try file.seekToEnd()
        try file.write(contentsOf: Data("r2,2026,half a li".utf8))
        try file.close()
        let appender = try ResultAppender(path)
        #expect(appender.warnings.count == 1)
        try appender.append(sampleRow(kernel: "dw-y"))
        let contents = try ResultFile.read(path)
        #expect(contents.rows.map(\.kernel) == ["dw-x", "dw-y"] && contents.warnings.isEmpty)
    }

    @Test func aStrangersFileIsLeftAsItIs() throws {
        for (name, text) in [("a.json", "{\"one\": \"line\"}"), ("b.csv", "x,y\n1,2\n3,4"), ("c.csv", "x,y\n1,2\n")] {
            let path = folder + "/" + name
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            #expect(throws: ResultError.otherColumns(path)) { try ResultAppender(path) }
            #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
        }
        // A header that was cut short by a kill is ours.
        let path = folder + "/header.csv"
        try Data(ResultFile.header.utf8.prefix(20)).write(to: URL(fileURLWithPath: path))
        try ResultAppender(path).append(sampleRow())
        #expect(try ResultFile.read(path).rows.count == 1)
    }

    @Test(arguments: [",reference_ns", ",predicted_ns", ",fma_gflops", ",hand_over_ns", ",move_gbps"])
    func aFileOfAnEarlierVersionGetsTheNewColumns(first: String) throws {
        let path = folder + "/earlier.csv"
        let cut = ResultFile.header.firstRange(of: first)!.lowerBound
        let added = ResultFile.header[cut...].count { $0 == "," }
        var row = sampleRow()
        row.referenceNs = nil
        try Data("\(ResultFile.header[..<cut])\n\(ResultFile.line(row).dropLast(added))\nr2,torn".utf8).write(to: URL(fileURLWithPath: path))
        var later = sampleRow(kernel: "dw-y")
        later.referenceNs = 9000
        try ResultAppender(path).append(later)
        let contents = try ResultFile.read(path)
        #expect(contents.rows == [row, later] && contents.warnings.isEmpty)
        #expect(try String(contentsOfFile: path, encoding: .utf8).hasPrefix(ResultFile.header + "\n"))
    }

    @Test func aBrokenLineIsNamedAndTheRestLoads() throws {
        let path = folder + "/broken.csv"
        let text = [ResultFile.header, ResultFile.line(sampleRow()), "not,enough", ResultFile.line(sampleRow(kernel: "dw-z"))]
            .joined(separator: "\n")
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        let contents = try ResultFile.read(path)
        #expect(contents.rows.map(\.kernel) == ["dw-x", "dw-z"])
        #expect(contents.warnings.count == 1 && contents.warnings[0].hasPrefix(path + ":3:"))
    }

    @Test func aLineBehindABlankOneIsNamedByItsNumber() throws {
        let path = folder + "/blank.csv"
        try Data("\(ResultFile.header)\n\n\(ResultFile.line(sampleRow()))\n\n\nnot,enough\n".utf8).write(to: URL(fileURLWithPath: path))
        let contents = try ResultFile.read(path)
        #expect(contents.rows == [sampleRow()] && contents.lines == [3])
        #expect(contents.warnings.count == 1 && contents.warnings[0].hasPrefix(path + ":6:"))
    }

    private func historyRow(_ ns: Double) -> HistoryRow {
        var row = HistoryRow()
        (row.commit, row.source, row.problem, row.candidate, row.cache, row.medianNs) = ("c1", "check", "g8mb1ic8ih4oc8oh4kh3ph1n\"a, b\"", "dw-x", "warm", ns)
        return row
    }

    @Test func aHistoryGrowsAndNamesItsBrokenLines() throws {
        let path = folder + "/history.csv"
        let history = HistoryFile(path)
        try history.require()
        #expect(!FileManager.default.fileExists(atPath: path))
        try history.append([historyRow(10)])
        try FileWriting.append(path, Data("\nnonsense\n\n".utf8))
        try history.append([historyRow(20), historyRow(30)])
        let (rows, warnings) = try history.read()
        #expect(rows == [historyRow(10), historyRow(20), historyRow(30)])
        #expect(warnings.count == 1 && warnings[0].hasPrefix(path + ":4:"))
    }

    /// What is said of a history leads to what writes one, and not to `bench --out`.
    @Test func whatIsNoHistoryIsLeftAsItIs() throws {
        let path = folder + "/bench.csv"
        try ResultAppender(path).append(sampleRow())
        let before = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect(throws: ResultError.notHistory(path)) { try HistoryFile(path).require() }
        #expect(throws: ResultError.notHistory(path)) { try HistoryFile(path).append([historyRow(1)]) }
        #expect(throws: ResultError.notHistory(path)) { try HistoryFile(path).read() }
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
        for error in [ResultError.notHistory(path), .noHistory(path)] { #expect("\(error)".contains("--history") && !"\(error)".contains("--out")) }
        #expect(throws: ResultError.noHistory(folder + "/none.csv")) { try HistoryFile(folder + "/none.csv").read() }
    }

    @Test func aPlaceIsTriedBeforeTheWork() throws {
        #expect(throws: ResultError.self) { try FileWriting.require("/proc/nowhere/x") }
        #expect(throws: ResultError.self) { try FileWriting.require(folder) }
        #expect(throws: ResultError.self) { try FileWriting.requireAppending("/proc/nowhere/x") }
        // A device takes a file's place.
        for path in ["/dev/null", folder + "/new/file"] { try FileWriting.require(path) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/new").isEmpty)
        try FileWriting.append(folder + "/new/file", Data("a".utf8))
        try FileWriting.append(folder + "/new/file", Data("b".utf8))
        #expect(try String(contentsOfFile: folder + "/new/file", encoding: .utf8) == "ab")
        #expect(throws: ResultError.self) { try FileWriting.append("/dev/full", Data("a".utf8)) }
    }

    @Test func pathsOfAnyLengthAreWritten() throws {
        // Names in the current folder, which all tests share, are scripts/check-commands' matter.
        let longest = String(repeating: "n", count: 255)
        for path in ["a", "b/c", "d/e/f", longest, "b/" + longest].map({ folder + "/" + $0 }) {
            try FileWriting.require(path)
            try FileWriting.replace(path, with: Data("x".utf8))
            #expect(FileManager.default.contents(atPath: path) == Data("x".utf8))
        }
        #expect(FileWriting.beside("a", "i") == "i" && FileWriting.beside("b/c", "i") == "b/i" && FileWriting.beside("/c", "i") == "/i")
        for path in ["b/", "h/", ".", ".."].map({ folder + "/" + $0 }) { #expect(throws: ResultError.self) { try FileWriting.require(path) } }
        #expect(throws: ResultError.cannotWrite(folder + "/a/x", reason: folder + "/a is a file")) { try FileWriting.require(folder + "/a/x") }
        #expect(!FileManager.default.fileExists(atPath: folder + "/h"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).allSatisfy { !$0.hasSuffix(".partial") })
    }

    @Test func fieldsAreQuotedWhereTheyNeedIt() throws {
        try LineWriter(folder + "/trace.csv", header: "a,b").append(fields: ["x, \"y\"", "z"])
        #expect(try String(contentsOfFile: folder + "/trace.csv", encoding: .utf8) == "a,b\n\"x, \"\"y\"\"\",z\n")
    }

    @Test func laterColumnsAreReadOver() throws {
        let path = folder + "/later.csv"
        try Data("\(ResultFile.header),new\n\(ResultFile.line(sampleRow())),7\n".utf8).write(to: URL(fileURLWithPath: path))
        #expect(try ResultFile.read(path).rows == [sampleRow()])
    }

    @Test func unusableFilesAreOneClearLine() throws {
        #expect(throws: ResultError.missing("/nowhere.csv")) { try ResultFile.read("/nowhere.csv") }
        #expect(throws: ResultError.unreadable(folder)) { try ResultFile.read(folder) }
        try Data().write(to: URL(fileURLWithPath: folder + "/empty.csv"))
        #expect(throws: ResultError.empty(folder + "/empty.csv")) { try ResultFile.read(folder + "/empty.csv") }
        try Data("a,b\n1,2\n".utf8).write(to: URL(fileURLWithPath: folder + "/other.csv"))
        #expect(throws: ResultError.notResults(folder + "/other.csv")) { try ResultFile.read(folder + "/other.csv") }
        #expect(throws: ResultError.noRows(folder)) { try ResultFile.readFolder(folder) }
        #expect { _ = try ResultAppender(folder + "/other.csv") } throws: { "\($0)".contains("other columns") }
        #expect { _ = try ResultAppender("/proc/none/x.csv") } throws: { "\($0)".contains("cannot be written") }
        #expect { try FileWriting.replace(folder + "/empty.csv/x", with: Data()) } throws: { "\($0)".contains("is a file") }
    }

    @Test func aFullDiskLeavesTheRowsBefore() throws {
        let appender = try ResultAppender("/dev/full")
        #expect { try appender.append(sampleRow()) } throws: { "\($0)".contains("cannot be written") }
    }

    @Test func theJSONIsWhatOtherToolsRead() throws {
        var context = GoogleBenchmarkJSON.Context()
        context.caches = [(1, 32768, 1)]
        let data = try GoogleBenchmarkJSON.encode([sampleRow(), sampleRow(median: nil)], context: context)
        let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        let benchmarks = try #require(object["benchmarks"] as? [[String: Any]])
        #expect(benchmarks.count == 1, "a row without a time is left out")
        for key in ["name", "run_name", "run_type", "real_time", "cpu_time", "time_unit", "iterations", "threads"] {
            #expect(benchmarks[0][key] != nil, "\(key)")
        }
        #expect(benchmarks[0]["real_time"] as? Double == 1234.5)
        let head = try #require(object["context"] as? [String: Any])
        #expect(head["json_schema_version"] as? Int == 1 && (head["caches"] as? [Any])?.count == 1)
    }
}
