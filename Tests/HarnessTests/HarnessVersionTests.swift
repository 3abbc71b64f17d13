import Foundation
import Harness
import Testing

/// Nobody changes the way in which times are taken without a thought of `harnessVersion`: stored times of the way before would
/// pass for times of the way now.
@Suite struct HarnessVersionTests {
    /// What the code of ``files`` was when somebody last judged it. The one line to change: the test says what to write.
    private let judged = (version: 3, code: "bd9981f85c7fae00")

    /// Where what a sample holds comes from, under Sources.
    private let files = [
        "ConvCore/AlignedMemory.swift", "Harness/Arena.swift", "Harness/Clock.swift", "Harness/Disturbance.swift", "Harness/HandOver.swift",
        "Harness/Measurement.swift", "Harness/Neighbour.swift", "Harness/QuietThreads.swift", "Harness/Sampler.swift", "Harness/SamplingSession.swift",
        "Harness/Statistics.swift", "Harness/StealTime.swift", "Tuning/Search/SamplerMeter.swift",
    ]

    /// Without comments and white space, which change no time.
    private func code(_ text: String) -> String {
        text.split(separator: "\n").map { line in
            let parts = line.split(separator: "//", maxSplits: 1, omittingEmptySubsequences: false)
            return parts[0].filter { !$0.isWhitespace }
        }.filter { !$0.isEmpty }.joined(separator: "\n")
    }

    /// FNV-1a, 64 bits.
    private func hash(_ text: String) -> String {
        String(text.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }, radix: 16)
    }

    @Test func aChangeOfTheSamplingCodeIsJudged() throws {
        let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../../Sources")
        let now = hash(try files.map { file in "\(file)\n\(code(try String(contentsOf: sources.appending(path: file), encoding: .utf8)))" }.joined())
        #expect(
            judged == (version: harnessVersion, code: now),
            "the sampling code is not the one that was judged: where a kernel would show another time now, raise harnessVersion; then write (version: \(harnessVersion), code: \"\(now)\")")
    }
}
