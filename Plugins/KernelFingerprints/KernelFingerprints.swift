import Foundation
import PackagePlugin

/// Generates the table of the kernels' fingerprints for the target that it is applied to: see `Sources/FingerprintTool`.
@main
struct KernelFingerprints: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: Target) throws -> [Command] {
        let root = context.package.directoryURL
        let output = context.pluginWorkDirectoryURL.appending(path: "SourceHashes.swift")
        let folders = ["VectorKernels", "ScalarKernels", "BLASKernels", "ConvCore", "CVector", "ThreadPool", "CThreadPool"]
        var inputs = [root.appending(path: "Package.swift")]
        for folder in folders {
            let files = FileManager.default.enumerator(at: root.appending(path: "Sources/\(folder)"), includingPropertiesForKeys: nil)
            for case let file as URL in files ?? .init() where ["swift", "c", "h"].contains(file.pathExtension) { inputs.append(file) }
        }
        inputs.sort { $0.path < $1.path }
        return [
            .buildCommand(
                displayName: "Fingerprinting the kernels", executable: try context.tool(named: "FingerprintTool").url,
                arguments: [output.path] + inputs.map(\.path), inputFiles: inputs, outputFiles: [output])
        ]
    }
}
