import COpenBLAS
import Foundation

/// Which of its per-CPU kernel sets OpenBLAS runs.
///
/// OpenBLAS chooses one when it is loaded, from the CPU or from `OPENBLAS_CORETYPE`. Older releases do not know newer
/// CPUs, and an inherited variable may name another machine's core: a set of AVX2 kernels on an AVX-512 CPU halves the
/// speed that everything is compared with, and one above the CPU's level crashes. A program therefore calls
/// ``match(level:)`` first thing.
public enum OpenBLASCore {
    /// The set in use, such as `SkylakeX`.
    public static var name: String { openblas_get_corename().map { String(cString: $0) } ?? "unknown" }

    /// Sets by the level whose instructions they use.
    private static let sets: [(level: String, names: Set<String>, preferred: String)] = [
        ("v4", ["SkylakeX", "Cooperlake", "SapphireRapids"], "SkylakeX"),
        ("v3", ["Haswell", "Zen"], "Haswell"),
    ]
    private static let avx: Set<String> = ["Sandybridge", "Bulldozer", "Piledriver", "Steamroller", "Excavator"]
    private static let marker = "ATROUS_OPENBLAS_MATCHED"

    /// Where the set in use is not of the given level, starts the program anew with one that is; only then returns
    /// where that cannot be done. Does nothing on other architectures.
    public static func match(level: String) {
        #if arch(x86_64) && os(Linux)
        let wanted: String
        if let row = sets.first(where: { $0.level == level }) {
            guard !row.names.contains(name) else { return }
            wanted = row.preferred
        } else {
            guard avx.contains(name) || sets.contains(where: { $0.names.contains(name) }) else { return }
            wanted = "Nehalem"
        }
        // Once is enough: a release that lacks the set would go round for ever.
        guard getenv(marker) == nil else { return }
        setenv(marker, "1", 1)
        setenv("OPENBLAS_CORETYPE", wanted, 1)
        let arguments = CommandLine.arguments.map { strdup($0) } + [nil]
        execv("/proc/self/exe", arguments)
        #endif
    }
}
