import Foundation
import GnuplotBridge
import Results

/// What can go wrong with a figure. One line: what, and what to do.
public enum PlotError: Error, Equatable, CustomStringConvertible {
    case noGnuplot(String)
    case failed(figure: String, reason: String)
    case nothingToShow(figure: String, needs: String)
    case cannotWrite(String, reason: String)

    public var description: String {
        switch self {
        case .noGnuplot(let looked):
            "gnuplot is not there (looked for \(looked)); install it (apt-get install gnuplot-nox) or set ATROUS_GNUPLOT to its path"
        case .failed(let figure, let reason): "figure \(figure): gnuplot says: \(reason)"
        case .nothingToShow(let figure, let needs): "figure \(figure) needs \(needs)"
        case .cannotWrite(let path, let reason): "\(path): cannot be written (\(reason)); choose another --out"
        }
    }

    /// Whether the machine lacks something, rather than the user's input.
    public var isMissingTool: Bool { if case .noGnuplot = self { true } else { false } }
}

public enum PictureFormat: String, CaseIterable, Sendable {
    case svg, png
}

/// Draws scripts into files through gnuplot.
public struct Renderer {
    private let gnuplot: String

    /// Throws ``PlotError/noGnuplot(_:)`` where gnuplot is neither at `ATROUS_GNUPLOT` nor on the path.
    public init(environment: [String: String] = ProcessInfo.processInfo.environment) throws(PlotError) {
        let files = FileManager.default
        if let path = environment["ATROUS_GNUPLOT"], !path.isEmpty {
            guard files.isExecutableFile(atPath: path) else { throw .noGnuplot(path) }
            gnuplot = path
            return
        }
        let folders = (environment["PATH"] ?? "").split(separator: ":")
        guard let path = folders.map({ "\($0)/gnuplot" }).first(where: files.isExecutableFile) else {
            throw .noGnuplot("gnuplot on the PATH")
        }
        gnuplot = path
    }

    /// Draws one figure into `folder/name.format`; the file appears when it is whole. Returns its path.
    public func draw(_ script: PlotScript, name: String, folder: String, format: PictureFormat) throws -> String {
        let path = "\(folder)/\(name).\(format.rawValue)"
        try FileWriting.makeFolder(of: path)
        let temporary = "\(path).\(ProcessInfo.processInfo.processIdentifier).partial"
        guard FileManager.default.createFile(atPath: temporary, contents: nil) else {
            throw PlotError.cannotWrite(path, reason: "the folder takes no new file")
        }
        let terminal =
            switch format {
            case .svg:
                "set terminal svg noenhanced size \(script.width),\(script.height) font 'Helvetica,14' background '#ffffff'"
            case .png: "set terminal pngcairo noenhanced size \(script.width),\(script.height) font 'Sans,11'"
            }
        let head = [terminal, "set output \(PlotScript.quoted(temporary))", "set encoding utf8"]
        var texts = head + script.commands.map(\.text)
        texts.append("unset output")
        let blocks = script.commands.flatMap(\.data)
        let counts = head.map { _ in Int32(0) } + script.commands.map { Int32($0.data.count) } + [0]
        if let reason = run(texts, blocks, counts, scratch: temporary + ".log") {
            unlink(temporary)
            throw PlotError.failed(figure: name, reason: reason)
        }
        guard let size = try? FileManager.default.attributesOfItem(atPath: temporary)[.size] as? Int, size > 0 else {
            unlink(temporary)
            throw PlotError.failed(figure: name, reason: "nothing was drawn")
        }
        guard rename(temporary, path) == 0 else {
            unlink(temporary)
            throw PlotError.cannotWrite(path, reason: String(cString: strerror(errno)))
        }
        return path
    }

    /// The reason of a failure, or nil.
    private func run(_ texts: [String], _ blocks: [[[Double]]], _ counts: [Int32], scratch: String) -> String? {
        let flat = blocks.map { rows in rows.flatMap(\.self) }
        let buffers = flat.map { values -> UnsafeMutablePointer<Double> in
            let buffer = UnsafeMutablePointer<Double>.allocate(capacity: max(values.count, 1))
            buffer.update(from: values, count: values.count)
            return buffer
        }
        let commands = texts.map { UnsafePointer(strdup($0)) }
        defer {
            for buffer in buffers { buffer.deallocate() }
            for command in commands { free(UnsafeMutableRawPointer(mutating: command)) }
        }
        let data = zip(blocks, buffers).map { rows, buffer in
            atrous_plot_data(values: buffer, rows: Int32(rows.count), columns: Int32(rows.first?.count ?? 0))
        }
        var error = [CChar](repeating: 0, count: 512)
        let code = atrous_gnuplot_run(gnuplot, scratch, commands, data, counts, Int32(texts.count), &error, 512)
        guard code != 0 else { return nil }
        return String(decoding: error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
