import ConvCore
import Foundation
import Harness
import KernelRegistry
import OptionParsing
import Results
import ThreadPool

/// What the cases of one call share: thread counts, seed, identity of run, build and machine.
struct Session {
    let threads: [Int]
    let seed: UInt64
    let quiet: Bool
    let runID: String

    static let threadCounts = 1...1024

    init(_ values: Values) throws {
        threads = try values.ints("threads", in: Self.threadCounts) ?? [1]
        seed = UInt64(try values.int("seed", in: 0...Int.max) ?? 1)
        quiet = values.flag("quiet")
        runID = "\(Self.now.replacing(/[-:]/, with: ""))-\(ProcessInfo.processInfo.processIdentifier)"
        if let most = threads.max(), most > ThreadPool.usableCPUs, !quiet {
            Console.warning(
                "--threads \(most) is more than the \(ThreadPool.usableCPUs) CPUs that may be used; times will mislead")
        }
    }

    static var now: String {
        Date.now.formatted(.iso8601.year().month().day().time(includingFractionalSeconds: false).timeZone(separator: .omitted))
    }

    /// The commit that the sources stand at which this program was built from, or `unknown` where it does not lie in a checkout.
    static let commit: String = {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["git", "-C", (Build.runningPath as NSString).deletingLastPathComponent, "rev-parse", "--short=12", "HEAD"]
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return "unknown" }
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        let commit = text.trimmingCharacters(in: .whitespacesAndNewlines)
        return process.terminationStatus == 0 && !commit.isEmpty ? commit : "unknown"
    }()

    /// A row with what does not depend on the outcome.
    func row(
        _ candidate: Candidate, _ p: Problem, threads: Int, machine: MachineProfile, cache: MeasurementOptions.Cache
    ) -> ResultRow {
        var row = ResultRow()
        row.run = runID
        row.timeUTC = Self.now
        row.commit = Self.commit
        row.machine = machine.slug
        row.cpu = machine.cpu
        row.isa = candidate.kernel.isa
        row.layer = p.layer.rawValue
        row.problem = p.description
        row.kernel = candidate.kernel.name
        row.config = candidate.configuration.description
        row.layout = candidate.kernel.layout.rawValue
        row.threads = threads
        row.cache = cache.rawValue
        row.nominalFLOPs = p.nominalFLOPs
        row.effectiveFLOPs = p.effectiveFLOPs
        row.bytes = p.compulsoryBytes
        row.family = candidate.kernel.family.rawValue
        row.parameters = p.parameters
        row.seed = Int(exactly: seed)
        let memory = candidate.kernel.memory(p, candidate.configuration, threads)
        row.scratchBytes = memory.scratch
        row.packedBytes = memory.packed
        return row
    }

    /// The command line that repeats one case.
    func repeatCommand(_ command: String, _ candidate: Candidate, _ p: Problem, threads: Int, faults: Bool) -> String {
        let kernel = faults && candidate.kernel.isa == "fault" ? "--faults" : "--kernel '\(candidate.name)'"
        return "atrous \(command) --problem '\(p.text)' \(kernel) --threads \(threads) --seed \(seed)"
    }
}

extension ResultRow {
    mutating func fill(_ summary: SampleSummary) {
        samples = summary.count
        disturbed = summary.disturbedCount
        medianNs = summary.medianNs
        madNs = summary.madNs
        minNs = summary.minNs
        meanNs = summary.meanNs
        ciLowNs = summary.intervalNs.lowerBound
        ciHighNs = summary.intervalNs.upperBound
        multiplyAddGflops = summary.multiplyAddGflops
        handOverNs = summary.handOverNs
    }

    mutating func fill(_ m: Harness.Measurement, roofline: Roofline, cold: Bool) {
        fill(m.summary)
        gflops = m.nominalGflops
        gbps = m.gigabytesPerSecond
        attainable = roofline.floorNs(m.verified.problem, cold: cold) / m.medianNs
        maxError = m.verified.maxError
        planNs = m.planNs
        movedGBps = m.movedGBps
        verdict = "PASSED"
    }
}
