import ConvCore
import Harness
import OptionParsing
import Regression

/// The cases that both builds have, as the options select them.
struct CheckMatrix {
    var cases: [CheckCase] = []
    /// What one of the builds lacks.
    var missing: [CheckOutcome.Missing] = []

    /// `stored`: what was tuned is compared, too.
    init(_ values: Values, command: String, base: String, head: String, session: Session, stored: StoredPicks = .none) throws {
        let selection = try ProblemSelection.nonEmpty(values, command: command)
        let patterns = try values.strings("kernel").map { try Pattern($0, flag: "--kernel")! }
        let a = try WorkerProcess(base)
        let b: WorkerProcess
        // It has started before: that it does no more is what head has brought.
        do { b = try WorkerProcess(head) } catch { throw error.endsWorker ? SideError(.head, error) as any Error : error }
        defer { a.stop(); b.stop() }
        if a.level != b.level {
            throw UsageError("\(command): base runs at \(a.level), head at \(b.level); set ATROUS_ISA to the lower of the two")
        }
        let cache = MachineProfile.cacheLevels().first { $0.level == 2 }?.bytes ?? 1 << 20
        for threads in session.threads {
            for problem in selection.problems {
                func wanted(_ name: String) -> Bool {
                    // Library and textbook kernels are not what a change to this project makes slower.
                    patterns.isEmpty
                        ? !name.contains("-naive-") && !name.contains("-im2col-")
                        : patterns.contains { $0.matches(name) }
                }
                let ofBase = try Survey.candidates(problem, threads: threads, .base, a).filter(wanted)
                let ofHead = try Survey.candidates(problem, threads: threads, .head, b).filter(wanted)
                let known = Set(ofHead.map(Self.kernel))
                for name in ofBase where known.contains(Self.kernel(name)) {
                    cases.append(CheckCase(problem, candidate: name, threads: threads, privateCacheBytes: cache))
                    // The kernel is compared with its configuration pinned; what a user meets is each build's own.
                    if let own = ofHead.first(where: { Self.kernel($0) == Self.kernel(name) }), own != name {
                        cases.append(CheckCase(problem, candidate: name, headCandidate: own, threads: threads, privateCacheBytes: cache))
                    }
                }
                // What was tuned is compared too, so that a choice that has become stale shows.
                if let pick = stored.pick(problem, threads: threads), !ofBase.contains(pick) {
                    cases.append(CheckCase(problem, candidate: pick, threads: threads, privateCacheBytes: cache))
                }
                let place = "\(problem.label), \(threads) thread\(threads == 1 ? "" : "s")"
                func lacks(_ names: [String], _ side: Side, _ other: [String]) -> [CheckOutcome.Missing] {
                    let others = Set(other.map(Self.kernel))
                    return names.filter { !others.contains(Self.kernel($0)) }.map {
                        .init(
                            layer: problem.layer.rawValue, name: CheckCase(problem, candidate: $0, threads: threads, privateCacheBytes: cache).name,
                            has: side, text: "only \(side) has \($0) on \(place)")
                    }
                }
                missing += lacks(ofBase, .base, ofHead) + lacks(ofHead, .head, ofBase)
            }
        }
        guard !cases.isEmpty else {
            throw UsageError("\(command): no case is left that both builds have; loosen --kernel, --filter or --threads")
        }
    }

    private static func kernel(_ candidate: String) -> Substring { candidate.prefix { $0 != "@" } }
}
