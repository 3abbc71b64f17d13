import BLASKernels
import ConvCore
import KernelsBaseline
import ScalarKernels

#if ATROUS_X86
import KernelsX86V3
import KernelsX86V4
#endif

/// Every kernel that this CPU can run.
///
/// The list of a level is touched only when the CPU has the level: reading it already runs code of that level.
public struct KernelRegistry: Sendable {
    /// The highest level in use.
    public let level: InstructionSet
    /// Slowest family first: naive, im2col, then the vector kernels from the lowest level to the highest.
    public let kernels: [Kernel]
    /// For a depthwise unit and the pointwise one behind it at once, lowest level first.
    public let separableKernels: [SeparableKernel]
    /// The kernel set that OpenBLAS runs; nil where OpenBLAS is not installed. Asking loads it.
    public var openBLASCore: String? { library?.core }
    /// Release and kernel set: what times of its kernels depend on. Asking loads it.
    public var openBLAS: String? { library.map { "\($0.release) \($0.core)" } }
    private var library: OpenBLAS? { OpenBLAS.shared(level: level.rawValue) }

    public init(level: InstructionSet) {
        precondition(level <= InstructionSet.detected, "this CPU cannot run \(level.rawValue) code")
        self.level = level
        let levels = Self.levels(upTo: level)
        kernels =
            naiveKernels + im2colKernels({ OpenBLAS.shared(level: level.rawValue) }, epilogue: levels.last!.epilogue) + levels.flatMap { $0.kernels() + $0.wholeSeparables }
        separableKernels = levels.flatMap { $0.separableKernels() }
    }

    /// The kernel of that name.
    public func kernel(named name: String) -> Kernel? { kernels.first { $0.name == name } }

    /// The kernels of the problem's layer that can run it, and the reasons of those that cannot.
    public func split(for problem: Problem) -> (able: [Kernel], unable: [(kernel: Kernel, reason: String)]) {
        var able: [Kernel] = []
        var unable: [(Kernel, String)] = []
        for kernel in kernels where kernel.layer == problem.layer {
            switch kernel.supports(problem) {
            case .yes: able.append(kernel)
            case .no(let reason): unable.append((kernel, reason))
            }
        }
        return (able, unable)
    }

    /// The machine probes of every usable level, lowest first.
    public var probes: [ISAProbe] { Self.levels(upTo: level).map { $0.probe() } }

    /// target[c][r] = source[r][c] over rows × columns; rows of source are `step` floats apart, of target `targetStep`.
    /// `past`: target may go past the caches.
    public typealias Transposition =
        @Sendable (
            _ source: UnsafePointer<Float>, _ step: Int, _ rows: Int, _ columns: Int, _ target: UnsafeMutablePointer<Float>,
            _ targetStep: Int, _ past: Bool
        ) -> Void

    /// The fastest copy between layouts up to a level.
    public static func transposition(upTo level: InstructionSet) -> Transposition { levels(upTo: level).last!.transpose }

    private struct Level {
        let level: InstructionSet
        let epilogue: RowEpilogue
        let transpose: Transposition
        let kernels: @Sendable () -> [Kernel]
        let separableKernels: @Sendable () -> [SeparableKernel]
        let probe: @Sendable () -> ISAProbe

        /// Kernels of layer `sep`: the first tiled kernels of both units one after the other, and the fused ones.
        var wholeSeparables: [Kernel] {
            let tiled = kernels().filter { $0.family == .tiled && $0.layout == .nhwc }
            guard let dw = tiled.first(where: { $0.layer == .dw }), let pw = tiled.first(where: { $0.layer == .pw }) else { return [] }
            return [
                Kernel(
                    separable: "sep-pair-\(level.rawValue)", by: dw, then: pw, summary: "\(dw.name), then \(pw.name), the map between them whole")
            ] + separableKernels().map(Kernel.init)
        }
    }

    private static func levels(upTo cap: InstructionSet) -> [Level] {
        var levels = [
            Level(
                level: .baseline,
                epilogue: { KernelsBaseline.finishRow($0, count: $1, bias: $2, activation: $3) },
                transpose: { KernelsBaseline.transpose($0, step: $1, rows: $2, columns: $3, to: $4, targetStep: $5, past: $6) },
                kernels: { KernelsBaseline.kernels },
                separableKernels: { KernelsBaseline.separableKernels },
                probe: { KernelsBaseline.probe })
        ]
        #if ATROUS_X86
        levels.append(
            Level(
                level: .v3, epilogue: { KernelsX86V3.finishRow($0, count: $1, bias: $2, activation: $3) },
                transpose: { KernelsX86V3.transpose($0, step: $1, rows: $2, columns: $3, to: $4, targetStep: $5, past: $6) },
                kernels: { KernelsX86V3.kernels },
                separableKernels: { KernelsX86V3.separableKernels },
                probe: { KernelsX86V3.probe }))
        levels.append(
            Level(
                level: .v4, epilogue: { KernelsX86V4.finishRow($0, count: $1, bias: $2, activation: $3) },
                transpose: { KernelsX86V4.transpose($0, step: $1, rows: $2, columns: $3, to: $4, targetStep: $5, past: $6) },
                kernels: { KernelsX86V4.kernels },
                separableKernels: { KernelsX86V4.separableKernels },
                probe: { KernelsX86V4.probe }))
        #endif
        return levels.filter { $0.level <= cap }
    }
}
