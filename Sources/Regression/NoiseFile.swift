import Foundation
import Results

/// What `atrous noise` found, beside the machine's results: how a check pairs its bursts.
public struct NoiseFile: Sendable {
    private struct Contents: Codable {
        struct Entry: Codable {
            let pairing: String
            let scatter, highScatter, secondsPerLaunch: Double
            let launches: Int
        }
        let best: String
        let commit: String
        let timeUTC: String
        let studies: [Entry]
    }

    public let path: String

    public init(_ path: String) { self.path = path }

    public func write(_ studies: [NoiseStudy], best: NoiseStudy, commit: String, timeUTC: String) throws {
        let contents = Contents(
            best: best.pairing.rawValue, commit: commit, timeUTC: timeUTC,
            studies: studies.map {
                .init(pairing: $0.pairing.rawValue, scatter: $0.scatter, highScatter: $0.highScatter, secondsPerLaunch: $0.secondsPerLaunch, launches: $0.launches)
            })
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try FileWriting.replace(path, with: try encoder.encode(contents))
    }

    /// One after the other where nothing was measured.
    public var bestPairing: Pairing {
        guard let data = FileManager.default.contents(atPath: path), let contents = try? JSONDecoder().decode(Contents.self, from: data)
        else { return .alternating }
        return Pairing(rawValue: contents.best) ?? .alternating
    }
}
