// swift-tools-version: 6.2
import PackageDescription

// One row per instruction-set level of the vector kernels. Every row compiles the one source folder
// `Sources/VectorKernels` (each target folder holds a symlink to it) with its own flags; which rows may run
// is decided at run time by `CPUFeatures`.
struct ISALevel {
    var target: String
    var define: String
    var march: String?
}

#if arch(x86_64)
let isaLevels = [
    ISALevel(target: "KernelsBaseline", define: "ATROUS_BASELINE", march: nil),
    ISALevel(target: "KernelsX86V3", define: "ATROUS_X86_V3", march: "x86-64-v3"),
    ISALevel(target: "KernelsX86V4", define: "ATROUS_X86_V4", march: "x86-64-v4"),
]
#else
let isaLevels = [ISALevel(target: "KernelsBaseline", define: "ATROUS_BASELINE", march: nil)]
#endif

// Reference and scalar kernels are optimised in debug builds too: a textbook loop at -Onone is a hundred times slower.
let optimised: [SwiftSetting] = [.unsafeFlags(["-O"])]

// Functions of the kernels begin on a cache line: code that has nothing to do with a kernel then moves it by whole lines, and its
// loops keep their place in them. Aligning the heads of loops as well (`-align-all-nofallthru-blocks=5`) cost conv-direct 3 % and
// gained nothing elsewhere.
let alignment = ["-Xllvm", "-align-all-functions=6"]

// Lost: leaving out passes of Swift's optimiser that take half of v3's time to compile, since their own grows with the square of an unrolled
// tile. Without loop-invariant-code-motion 14 of v3's tiles spill; without both passes of redundant-load-elimination four of v4's do, and at v3
// layers below 2 µs take up to 12 % longer; without the early one alone, which saves 14 % of v4's time to compile, up to 3 %.

func vectorKernels(_ level: ISALevel) -> Target {
    let march = level.march.map { ["-Xcc", "-march=\($0)"] } ?? []
    return .target(
        name: level.target,
        dependencies: ["ConvCore", "CVector", "ThreadPool"],
        swiftSettings: [.define(level.define), .unsafeFlags(["-Ounchecked"] + march + alignment)])
}

let package = Package(
    name: "atrous",
    products: [
        .executable(name: "atrous", targets: ["atrous"]),
        .library(name: "ConvCore", targets: ["ConvCore"]),
        .library(name: "KernelRegistry", targets: ["KernelRegistry"]),
        .library(name: "Harness", targets: ["Harness"]),
        .library(name: "BlockRuntime", targets: ["BlockRuntime"]),
        // `scripts/library` gives it the name libatrous.so; a product may not be called like the executable.
        .library(name: "AtrousC", type: .dynamic, targets: ["AtrousC"]),
    ],
    targets: [
        .target(name: "CPUFeatures"),
        .target(name: "CVector"),
        .target(name: "CThreadPool"),
        .target(name: "ThreadPool", dependencies: ["CThreadPool"], swiftSettings: optimised),
        .target(name: "ConvCore", dependencies: ["ThreadPool"]),
        .target(name: "ReferenceKernels", dependencies: ["ConvCore"], swiftSettings: optimised),
        .target(name: "ScalarKernels", dependencies: ["ConvCore"], swiftSettings: optimised),
        .target(name: "BLASKernels", dependencies: ["ConvCore", "ThreadPool"], swiftSettings: optimised),
        .target(name: "KernelRegistry",
                dependencies: ["ConvCore", "CPUFeatures", "ScalarKernels", "BLASKernels"]
                    + isaLevels.map { .target(name: $0.target) },
                swiftSettings: isaLevels.count > 1 ? [.define("ATROUS_X86")] : []),
        .target(name: "Harness", dependencies: ["ConvCore", "ReferenceKernels", "ThreadPool", "CPUFeatures"]),
        .target(name: "FaultyKernels", dependencies: ["ConvCore"]),
        .target(name: "BlockRuntime", dependencies: ["ConvCore", "KernelRegistry", "ReferenceKernels", "ThreadPool"]),
        .target(name: "CAtrous"),
        .target(name: "AtrousC", dependencies: ["BlockRuntime", "CAtrous", "ConvCore"],
                linkerSettings: [.unsafeFlags(["-Xlinker", "-soname=libatrous.so"])]),
        .target(name: "CWorker"),
        .target(name: "Regression", dependencies: ["CWorker", "ConvCore", "Harness", "Results", "ThreadPool"], swiftSettings: optimised),
        .target(name: "Tuning",
                dependencies: ["BlockRuntime", "ConvCore", "Harness", "KernelRegistry", "Results", "ThreadPool"],
                plugins: ["KernelFingerprints"]),
        .plugin(name: "KernelFingerprints", capability: .buildTool(), dependencies: ["FingerprintTool"]),
        .executableTarget(name: "FingerprintTool"),
        .target(name: "Results"),
        .target(name: "CSampleProfiler"),
        .target(name: "Disassembly", dependencies: ["CSampleProfiler"]),
        .target(name: "GnuplotBridge", linkerSettings: [.linkedLibrary("boost_iostreams")]),
        .target(name: "Plotting", dependencies: ["GnuplotBridge", "Results"]),
        .target(name: "OptionParsing"),
        .executableTarget(
            name: "atrous",
            dependencies: ["ConvCore", "KernelRegistry", "Harness", "BlockRuntime", "Results", "Plotting", "OptionParsing",
                           "Disassembly", "FaultyKernels", "Regression", "ThreadPool", "Tuning"]),
    ] + isaLevels.map(vectorKernels) + [
        .testTarget(name: "ConvCoreTests", dependencies: ["ConvCore"]),
        .testTarget(name: "HarnessTests", dependencies: ["Harness", "KernelRegistry", "FaultyKernels", "ReferenceKernels", "ThreadPool"]),
        .testTarget(name: "RegressionTests", dependencies: ["ConvCore", "FaultyKernels", "Harness", "KernelRegistry", "Regression", "Results", "ThreadPool"], resources: [.copy("Fixtures")]),
        .testTarget(name: "DisassemblyTests", dependencies: ["Disassembly"]),
        .testTarget(name: "OptionParsingTests", dependencies: ["OptionParsing"]),
        .testTarget(name: "ResultsTests", dependencies: ["Results"]),
        .testTarget(name: "TuningTests", dependencies: ["Tuning", "BlockRuntime", "ConvCore", "Harness", "KernelRegistry", "Results", "ThreadPool"]),
        .testTarget(name: "PlottingTests", dependencies: ["Plotting"]),
        .testTarget(name: "BlockRuntimeTests", dependencies: ["BlockRuntime", "ConvCore", "KernelRegistry", "ReferenceKernels", "ThreadPool"],
                    resources: [.copy("Fixtures")]),
    ],
    cxxLanguageStandard: .cxx17)
