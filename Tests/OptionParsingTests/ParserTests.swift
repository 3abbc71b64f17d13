import Foundation
import OptionParsing
import Testing

private let table = CommandTable(
    tool: "tool", version: "1.0", summary: "does things",
    commands: [
        Command(
            "bench", "measures",
            options: [
                Option("rounds", "N", "rounds", default: "11"), Option("problem", "TEXT", "a problem", repeatable: true),
                Option("cache", "MODE", "cache", choices: ["warm", "cold"]), Option("quiet", nil, "no progress"),
                Option("min-time", "TIME", "time"), Option("threads", "LIST", "threads"),
                Option("json", "FILE", "json", isPath: true, bare: "-"),
            ]),
        Command("list", "lists", arguments: [.init("WHAT", "what", choices: ["kernels", "presets"])]),
    ])

private func values(_ line: String..., environment: [String: String] = [:]) throws -> Values {
    guard case .run(_, let values) = try table.parse(line, environment: environment) else {
        throw OptionError.missingArgument("run", command: "test", choices: [])
    }
    return values
}

@Suite struct ParserTests {
    @Test func bothSpellingsAndTypes() throws {
        let v = try values("bench", "--rounds", "5", "--problem=a", "--problem", "b", "--quiet", "--min-time", "500ms", "--threads", "1,2,1")
        #expect(try v.int("rounds", in: 1...9) == 5)
        #expect(v.strings("problem") == ["a", "b"] && v.flag("quiet") && !v.flag("cache"))
        #expect(try v.seconds("min-time", in: 0...1) == 0.5)
        #expect(try v.ints("threads", in: 1...8) == [1, 2])
        #expect(try values("bench", "--json").string("json") == "-")
        #expect(try values("bench", "--json=f.json").string("json") == "f.json")
    }

    @Test func whatMeansNothingBesideTheOthersIsRefused() throws {
        let v = try values("bench", "--rounds", "5", environment: ["ATROUS_CACHE": "cold"])
        // What the environment gives is for every command.
        try v.refuse(["cache", "quiet"], for: "blocks", why: "they run warm")
        #expect(throws: OptionError.withoutEffect(flag: "--rounds", mode: "blocks", why: "they are fixed")) {
            try v.refuse(["cache", "rounds"], for: "blocks", why: "they are fixed")
        }
        #expect("\(OptionError.withoutEffect(flag: "--rounds", mode: "blocks", why: "they are fixed"))"
            == "--rounds has no effect in blocks: they are fixed; leave it out")
    }

    @Test func theEnvironmentFillsWhatTheLineLeavesOut() throws {
        let environment = ["ATROUS_ROUNDS": "7", "ATROUS_MIN_TIME": "2m", "ATROUS_QUIET": "1"]
        let v = try values("bench", "--rounds", "5", environment: environment)
        #expect(try v.int("rounds", in: 1...9) == 5)
        #expect(try v.seconds("min-time", in: 0...200) == 120 && v.flag("quiet"))
        // Errors name what was written.
        #expect { _ = try v.seconds("min-time", in: 0...1) } throws: { "\($0)".contains("ATROUS_MIN_TIME") && !"\($0)".contains("--min-time") }
        #expect { _ = try v.int("rounds", in: 6...9) } throws: { "\($0)".contains("--rounds") }
        #expect { _ = try values("bench", environment: ["ATROUS_CACHE": "wram"]) } throws: { "\($0)".contains("ATROUS_CACHE") }
    }

    @Test(arguments: [
        (["bensh"], "did you mean bench"), (["bench", "--round", "3"], "did you mean --rounds"), (["bench", "--rounds"], "needs a value"),
        (["bench", "--rounds", "3", "--rounds", "4"], "twice"), (["bench", "--quiet=1"], "takes no value"),
        (["bench", "--cache", "wram"], "did you mean warm"), (["bench", "x"], "takes no argument"), (["list"], "kernels, presets"),
        (["list", "kernel"], "did you mean kernels"), (["bench", "--rounds="], "needs a value"), (["bench", "-q"], "unknown option -q"),
    ])
    func badLinesSayWhatToWrite(line: [String], part: String) {
        #expect {
            _ = try table.parse(line)
        } throws: { "\($0)".contains(part) && !"\($0)".contains("\n") }
    }

    @Test func badValuesNameFlagAndRange() throws {
        #expect { _ = try values("bench", "--rounds", "0").int("rounds", in: 1...9) } throws: { "\($0)".contains("--rounds '0'") && "\($0)".contains("1 to 9") }
        #expect { _ = try values("bench", "--min-time", "soon").seconds("min-time", in: 0...1) } throws: { "\($0)".contains("500ms") }
        #expect { _ = try values("bench", "--threads", "1,,2").ints("threads", in: 1...4) } throws: { "\($0)".contains("--threads") }
    }

    @Test func helpListsEverything() {
        for command in table.commands {
            #expect(table.help.contains(command.name))
            let help = table.help(for: command)
            for option in command.options { #expect(help.contains("--\(option.name)")) }
            #expect(help.split(separator: "\n").allSatisfy { $0.count <= 100 })
        }
    }

    @Test(arguments: [("bensh", "bench"), ("lits", "list"), ("be", nil), ("zzz", nil)] as [(String, String?)])
    func nearestNames(typed: String, meant: String?) { #expect(nearestName(to: typed, in: ["bench", "list"]) == meant) }

    @Test(arguments: [("tool b", "bench"), ("tool bench --ca", "--cache"), ("tool bench --cache w", "warm"), ("tool list pre", "presets")])
    func bashCompletes(line: String, word: String) throws {
        let words = line.split(separator: " ").map { "'\($0)'" }
        let script = table.completion(for: .bash) + "\nCOMP_WORDS=(\(words.joined(separator: " "))); COMP_CWORD=\(words.count - 1); _tool; echo \"${COMPREPLY[*]}\"\n"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["-c", script]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(output.split(whereSeparator: \.isWhitespace).map(String.init) == [word])
    }
}
