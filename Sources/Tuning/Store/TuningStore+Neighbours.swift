import ConvCore
import Foundation

extension TuningStore {
    /// Decided cases of the same layer, threads and regime, the nearest first; the case itself is not among them.
    func neighbours(of subject: TuningCase, sameClass: Bool) -> [(subject: TuningCase, distance: Double)] {
        decided.compactMap { other -> (TuningCase, Double)? in
            guard other.threads == subject.threads, other.regime == subject.regime, other.problem != subject.problem,
                !sameClass || other.problem.shapeClass == subject.problem.shapeClass,
                let distance = subject.problem.distance(to: other.problem)
            else { return nil }
            return (other, distance)
        }.sorted { ($0.1, $0.0.problem.text) < ($1.1, $1.0.problem.text) }.map { (subject: $0.0, distance: $0.1) }
    }

    /// Candidates that may do well: what was picked for this very problem elsewhere (by other code, on another CPU), then the picks of
    /// the nearest cases, then their finalists.
    func neighbourPicks(of subject: TuningCase) -> [String] {
        var names = rows(of: subject).filter { $0.row.tuning.mark == "pick" }.map(\.row.candidate)
        let near = neighbours(of: subject, sameClass: false).prefix(4)
        names += near.compactMap { pick($0.subject)?.candidate }
        for case_ in near { names += usable(case_.subject).filter { $0.tuning.mark == "final" }.map(\.candidate) }
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }

    /// What is stored of cases with the same layer, threads and regime: losses against the fastest of each.
    func observations(like subject: TuningCase) -> [LearnedEffects.Observation] {
        neighbours(of: subject, sameClass: false).prefix(24).flatMap { near, _ -> [LearnedEffects.Observation] in
            let rows = usable(near)
            guard rows.count >= 3, let best = rows.first?.medianNs else { return [] }
            return rows.map { row in
                LearnedEffects.Observation(
                    problem: near.problem, kernel: row.kernel, configuration: Configuration(text: row.config),
                    loss: log(row.medianNs! / best))
            }
        }
    }
}

extension Configuration {
    /// Names and values as a configuration's description writes them; what does not read ends it.
    init(text: String) {
        var entries: [Entry] = []
        var rest = text[...]
        while !rest.isEmpty {
            let name = rest.prefix { $0.isLetter }
            let digits = rest.dropFirst(name.count).prefix { $0.isNumber }
            guard !name.isEmpty, let value = Int(digits) else { break }
            entries.append(Entry(name: String(name), value: value))
            rest = rest.dropFirst(name.count + digits.count)
        }
        self.init(entries)
    }
}
