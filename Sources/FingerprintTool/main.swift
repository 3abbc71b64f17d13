import Foundation

// Writes a Swift table of one hash per source file of the kernels, so that stored times can be told from those of other code.
// A file's hash covers its own code and every declaration of other files whose name it mentions, and those that these mention;
// comments, white space, summaries and configuration spaces do not count, since they change no time: a configuration has its own key.
// Usage: FingerprintTool OUTPUT INPUT…

let arguments = CommandLine.arguments
guard arguments.count > 2 else {
    FileHandle.standardError.write(Data("FingerprintTool: write an output and the source files\n".utf8))
    exit(2)
}

// Their names are everywhere and their code is in no kernel's loop: declarations, texts, the lists themselves.
let passive: Set = [
    "KernelList.swift", "Kernel.swift", "SeparableKernel.swift", "Configuration.swift", "ConfigurationSpace+Walk.swift",
    "Problem.swift", "Problem+Text.swift", "Problem+Separable.swift", "ProblemError.swift", "Layer.swift", "Layout.swift", "RandomSource.swift",
    "ISAProbe.swift", "Probe.swift", "AlignedMemory.swift",
]

// Declares kernels, made of others, and nothing that another file's kernels run.
let composing: Set = ["Kernel+Separable.swift"]

var files: [SourceFile] = []
var build = ""
for path in arguments.dropFirst(2).sorted() {
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let name = (path as NSString).lastPathComponent
    if name == "Package.swift" {
        build = text.split(separator: "\n").filter { $0.contains("unsafeFlags") || $0.contains("march") }.joined(separator: "\n")
    } else if !passive.contains(name) {
        let parts = path.split(separator: "/")
        let module = parts.firstIndex(of: "Sources").map { String(parts[$0 + 1]) } ?? ""
        files.append(SourceFile(name: name, module: module, text: text))
    }
}
build += compilerVersion()

var table = "// File → hash of its code and of the code that it uses.\nlet sourceHashes: [String: UInt64] = [\n"
let followed = files.filter { !composing.contains($0.name) }.flatMap(\.declarations)
for file in files {
    let members = closure(of: file, in: followed)
    var hash = Hash()
    hash.add(build)
    for member in members { hash.add(member.id.file + "\n" + member.code + "\n") }
    let used = Set(members.map(\.id.file)).sorted().joined(separator: " ")
    table += "    \"\(file.name)\": 0x\(String(hash.value, radix: 16)),  // \(used)\n"
}
try (table + "]\n").write(toFile: arguments[1], atomically: true, encoding: .utf8)

/// The first line of `swiftc --version`; empty where there is none on the path.
func compilerVersion() -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["swiftc", "--version"]
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return "" }
    let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return text.split(separator: "\n").first.map(String.init) ?? ""
}
