import BlockRuntime
import ConvCore
import Foundation
import Testing

@Suite("Problem files")
struct ProblemFileTests {
    @Test(arguments: [
        ("shapes_dilated_2d_unit-stride_no-padding", -1), ("shapes_dilated_rfcn", 1), ("shapes_mobilenet", 11),
        ("shapes_mobilenet_dw", 9),
    ])
    func benchdnnsFilesRead(name: String, count: Int) throws {
        let path = Fixtures.path("benchdnn/\(name)")
        let file = try ProblemFile.read(path)
        let lines = try String(contentsOfFile: path, encoding: .utf8)
            .split(separator: "\n", omittingEmptySubsequences: false)
        #expect(file.entries.count == lines.count { !$0.isEmpty && !$0.hasPrefix("#") })
        if count >= 0 { #expect(file.entries.count == count) }
        #expect(file.skipped.isEmpty && file.warnings.isEmpty)
        for entry in file.entries {
            let back = try Problem(parsing: entry.problem.text)
            #expect(back == entry.problem && back.text == entry.problem.text)
            let named = try Problem(parsing: "\(entry.problem)")
            #expect(named == entry.problem && named.name == entry.problem.name)
            let label = try #require(entry.problem.name)
            #expect(lines[entry.line - 1].contains(label))
        }
    }

    @Test func commentsBlanksAndSeveralToALine() throws {
        let text = "\u{FEFF}# head\r\n\r\n  dw:c8h9 pw:c8o4h9 # tail\n\tmb1ic3ih8oc4oh8kh3ph1n\"a#b c\"#x\n"
        let file = try ProblemFile(text: text, path: "f")
        #expect(file.entries.map(\.line) == [3, 3, 4])
        #expect(file.problems.map(\.layer) == [.dw, .pw, .conv])
        #expect(file.problems[2].name == "a#b c")
    }

    @Test func threeDimensionalOnesAndOptionsAreTold() throws {
        let text = "--reset --dir=FWD_B mb1ic3ih8oc4oh8kh3ph1\nic8id4ih4iw4oc8od4oh4ow4kd3kh3kw3pd1ph1pw1n\"v\"\n"
        let file = try ProblemFile(text: text, path: "f")
        #expect(file.entries.map(\.line) == [1])
        #expect(file.skipped.map(\.line) == [2])
        #expect(file.ignoredOptions.map(\.text) == ["--reset", "--dir=FWD_B"])
        #expect(file.warnings == [
            "f:1: ignored '--reset': an option of benchdnn, without effect here",
            "f:1: ignored '--dir=FWD_B': an option of benchdnn, without effect here",
            "f:2: skipped 'ic8id4ih4iw4oc8od4oh4ow4kd3kh3kw3pd1ph1pw1n\"v\"': a 3-D convolution; only 2-D is supported",
        ])
    }

    @Test func aBadLineIsNamed() {
        let text = "dw:c8h9\n\n# x\nmb1ic3ih8oc4oh8kh3zz4\n"
        #expect(Fixtures.message { _ = try ProblemFile(text: text, path: "f") }
            .hasPrefix("f:4: 'mb1ic3ih8oc4oh8kh3zz4': unknown"))
        #expect(Fixtures.message { _ = try ProblemFile(text: "dw:c8\n", path: "f") }.hasPrefix("f:1: "))
        for empty in ["", "# only a comment\n", "--reset\n"] {
            #expect(Fixtures.message { _ = try ProblemFile(text: empty, path: "f") }.hasPrefix("f: has no problems"))
        }
        #expect(Fixtures.message { _ = try ProblemFile.read("/nowhere/p") }
            == "/nowhere/p: cannot be read: No such file or directory")
        #expect(Fixtures.message { _ = try ProblemFile.read(Fixtures.path(ParameterTests.listing)) }
            .hasSuffix("cannot be read: it is not UTF-8 text"))
    }

    @Test func noTextTraps() {
        let letters = Array("mbgicohwkdspn_:\"#- \n0123456789éx")
        var random = RandomSource(seed: 3)
        for _ in 0..<3000 {
            let length = Int.random(in: 0...40, using: &random)
            let tail = String((0..<length).map { _ in letters.randomElement(using: &random)! })
            let text = (random.next() % 2 == 0 ? "mb1ic3ih8oc4" : "conv:") + tail
            let message = Fixtures.message { _ = try ProblemFile(text: text, path: "f") }
            #expect(message == "no error" || message.hasPrefix("f:"))
        }
    }
}
