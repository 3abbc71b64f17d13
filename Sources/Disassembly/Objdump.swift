import Foundation

/// Reads machine code through binutils' objdump.
public enum Objdump {
    /// The functions of a file whose symbols `wanted` admits, in the file's order.
    public static func functions(of path: String, where wanted: (Substring) -> Bool) throws -> [Function] {
        let text = try output(["-d", "--no-show-raw-insn", path])
        var functions: [Function] = []
        var symbol: Substring?
        var instructions: [Instruction] = []
        func close() {
            if let symbol { functions.append(Function(symbol: String(symbol), instructions: instructions)) }
            instructions = []
        }
        for line in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: true) {
            if line.last == UInt8(ascii: ":"), let open = line.firstIndex(of: UInt8(ascii: "<")) {
                close()
                let name = Substring(decoding: line[(open + 1)...].dropLast(2), as: UTF8.self)
                symbol = wanted(name) ? name : nil
            } else if symbol != nil, let instruction = Instruction(line: Substring(decoding: line, as: UTF8.self)) {
                instructions.append(instruction)
            }
        }
        close()
        return functions
    }

    private static func output(_ arguments: [String]) throws -> Data {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["objdump"] + arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw process.terminationStatus == 127 ? DisassemblyError.noObjdump : .unreadable(arguments.last!)
        }
        return data
    }
}

public enum DisassemblyError: Error, CustomStringConvertible {
    case noObjdump
    case unreadable(String)
    case noSampling

    public var description: String {
        switch self {
        case .noObjdump: "objdump is not installed; on Debian and Ubuntu: apt-get install binutils"
        case .unreadable(let path): "objdump cannot read \(path)"
        case .noSampling: "where a kernel spends its time can be sampled on Linux on x86-64 only"
        }
    }
}
