import ConvCore
import Foundation

/// Counts the instructions of a case under valgrind's callgrind: the same in every run, whatever else the machine does, so that
/// half a per cent can be told. Valgrind knows AVX2 at most; the caller caps the level.
public struct InstructionCounter {
    public enum Failure: Error, CustomStringConvertible {
        case noValgrind
        case noCount(String)
        public var description: String {
            switch self {
            case .noValgrind: "valgrind is not there; install it (apt-get install valgrind), or leave --counter out"
            case .noCount(let name): "callgrind left no count of \(name)"
            }
        }
    }

    /// Runs that a count is divided by: the loop's own instructions vanish.
    private static let runs = 3
    /// Callgrind is some fifty times slower than the processor.
    private static let patience = 600.0
    private let patience: Double

    private let worker: WorkerProcess
    private let folder: String

    public static var isAvailable: Bool {
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains { access("\($0)/valgrind", X_OK) == 0 }
    }

    /// `patience`: seconds that a command may take; nil for what the slowest of them needs.
    public init(_ build: String, patience: Double? = nil) throws {
        guard Self.isAvailable else { throw Failure.noValgrind }
        self.patience = patience ?? Self.patience
        folder = "\(NSTemporaryDirectory())/atrous-callgrind-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        worker = try WorkerProcess(
            try Self.stripped(build, into: folder), named: build,
            wrapper: [
                "valgrind", "--tool=callgrind", "--quiet", "--callgrind-out-file=\(folder)/out", "--toggle-collect=atrous_measured_burst",
                "--dump-after=atrous_measured_burst",
            ], environment: ["SWIFT_DETERMINISTIC_HASHING": "1"], patience: self.patience)
    }

    /// A copy without debug information, which older valgrinds give up on (DWARF 5); the symbols stay.
    private static func stripped(_ build: String, into folder: String) throws -> String {
        let target = "\(folder)/atrous"
        let source = URL(fileURLWithPath: build).resolvingSymlinksInPath().path
        for words in [["strip", "-g", "-o", target, source], ["llvm-objcopy", "-g", source, target]] where Subprocess.run(words).code == 0 {
            return target
        }
        return build
    }

    /// Instructions of one run. `id` must be another one for each case.
    public func count(_ one: CheckCase, _ side: Side, id: Int) throws -> Double {
        let opened = try worker.ask(
            ["open", "\(id)", "\(one.threads)", one.candidate(side), one.problem.text], expecting: "opened", within: patience)
        guard let bytes = opened.first.flatMap({ Int($0) }) else { throw Failure.noCount(one.name) }
        let memory = try SharedMemory(bytes: SharedMemory.stackBytes + bytes)
        try worker.map(memory, place: 0, within: patience)
        try worker.ask(["enter", "\(id)", "0"], expecting: "entered", within: patience)
        let before = dumps()
        _ = try worker.burst(runs: Self.runs, place: 0, cpu: 0, shift: 0, within: patience)
        let total = dumps().subtracting(before).compactMap(Self.total).max()
        guard let total, total > 0 else { throw Failure.noCount(one.name) }
        return total / Double(Self.runs)
    }

    public func stop() {
        worker.stop()
        try? FileManager.default.removeItem(atPath: folder)
    }

    private func dumps() -> Set<String> {
        Set(((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).map { "\(folder)/\($0)" })
    }

    /// The line `summary: N` or `totals: N` of a dump.
    private static func total(_ path: String) -> Double? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        for line in text.split(separator: "\n") where line.hasPrefix("summary:") || line.hasPrefix("totals:") {
            return line.split(separator: " ").dropFirst().first.flatMap { Double($0) }
        }
        return nil
    }
}
