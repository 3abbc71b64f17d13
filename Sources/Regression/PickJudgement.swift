import Foundation

/// Whether the choice among kernels still stands, judged apart from whether a kernel became slower.
public struct PickJudgement: Sendable, Equatable {
    public enum Kind: String, Sendable {
        /// Another kernel than in base is the fastest.
        case changed
        /// What was chosen or tuned before is no longer the fastest in head, or does not run there any more.
        case stale
    }
    public let kind: Kind
    /// Whether a case that became slower or faster explains it.
    public let explained: Bool
    /// Problem and threads.
    public let subject: String
    let detail: String

    public init(_ kind: Kind, explained: Bool, _ subject: String, _ detail: String) {
        self.kind = kind
        self.explained = explained
        self.subject = subject
        self.detail = detail
    }

    public var text: String { "pick \(kind.rawValue), \(subject): \(detail)" }

    /// Of every problem and thread count of a check.
    public static func all(_ outcome: CheckOutcome) -> [PickJudgement] {
        var groups: [(key: String, cases: [CaseOutcome])] = []
        for c in outcome.cases where c.one.headCandidate == nil && c.baseNs != nil && c.headNs != nil {
            let key = "\(c.one.problem.layer.rawValue)/\(c.one.problem.label)/threads:\(c.one.threads)"
            if let index = groups.firstIndex(where: { $0.key == key }) { groups[index].cases.append(c) } else { groups.append((key, [c])) }
        }
        let changes = groups.compactMap { changed($0.key, $0.cases) }
        let configurations = outcome.cases.compactMap { c in
            c.one.headCandidate.map { own in
                PickJudgement(
                    .changed, explained: true, c.one.problem.label,
                    "\(c.one.candidate) in base, \(own) in head (\(c.change.map(CheckOutcome.percent) ?? "not measured"))")
            }
        }
        return configurations + changes
    }

    /// The fastest of base against the fastest of head. Two that lie within the margin of each other are a tie, not a change.
    private static func changed(_ key: String, _ cases: [CaseOutcome]) -> PickJudgement? {
        guard cases.count > 1, let old = cases.min(by: { $0.baseNs! < $1.baseNs! }), let new = cases.min(by: { $0.headNs! < $1.headNs! }),
            old.one != new.one, log(old.headNs! / new.headNs!) > log1p(old.threshold)
        else { return nil }
        let moved = [old, new].filter(\.judgement.isChange)
        let reason = moved.isEmpty ? "without a case that changed" : moved.map { "\($0.one.candidate) \($0.change.map(CheckOutcome.percent) ?? "")" }.joined(separator: ", ")
        return PickJudgement(
            .changed, explained: !moved.isEmpty, key,
            "\(old.one.candidate) in base, \(new.one.candidate) in head (\(reason))")
    }

    /// A stored choice against what head's other kernels take in this check.
    public static func stale(_ stored: String, problem: String, threads: Int, in outcome: CheckOutcome) -> PickJudgement? {
        let group = outcome.cases.filter {
            $0.one.headCandidate == nil && $0.one.threads == threads && $0.one.problem.text == problem && $0.headNs != nil
        }
        guard let own = group.first(where: { $0.one.candidate == stored }), let best = group.min(by: { $0.headNs! < $1.headNs! }) else { return nil }
        let loss = log(own.headNs! / best.headNs!)
        guard loss > log1p(own.threshold) else { return nil }
        return PickJudgement(
            .stale, explained: own.judgement.isChange || best.judgement.isChange, "\(own.one.problem.name ?? problem), threads \(threads)",
            "the stored \(stored) takes \(CheckOutcome.percent(loss)) beside \(best.one.candidate); tune again")
    }
}
