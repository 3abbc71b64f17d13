import Foundation
import Synchronization

/// OpenBLAS, loaded when it is first needed and with the kernels of a level of our choice.
///
/// It is opened at run time and not linked, because it chooses its kernel set while it is loaded, from the CPU or from
/// `OPENBLAS_CORETYPE`. Older releases do not know newer CPUs, and an inherited variable may name another machine's set:
/// AVX2 kernels on an AVX-512 CPU halve the speed that everything is compared with, AVX kernels on a CPU without end the
/// program. So the variable is set to fit before the library opens.
public struct OpenBLAS: Sendable {
    /// The kernel set in use, such as `SkylakeX`.
    public let core: String
    /// The release and how it was built, such as `OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH …`.
    public let release: String
    let sgemm: SGEMM
    private let setThreads: @convention(c) (CInt) -> Void

    /// `cblas_sgemm(order, transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)`
    typealias SGEMM = @convention(c) (
        CInt, CInt, CInt, CInt, CInt, CInt, Float, UnsafePointer<Float>, CInt, UnsafePointer<Float>, CInt, Float,
        UnsafeMutablePointer<Float>, CInt
    ) -> Void

    static let rowMajor: CInt = 101
    static let asIs: CInt = 111

    /// Where the library may be; the first that opens is taken.
    private static let names = [
        "libopenblas.so.0", "libopenblas.so", "/opt/homebrew/opt/openblas/lib/libopenblas.dylib",
        "/usr/local/opt/openblas/lib/libopenblas.dylib",
    ]
    /// What to say where there is none.
    public static let missing = "OpenBLAS is not installed (libopenblas.so.0); apt-get install libopenblas0"

    /// The set that has the instructions of a level and no others; later CPUs run these, too.
    private static let sets = ["v4": "SkylakeX", "v3": "Haswell", "baseline": "Nehalem"]

    /// The library with the kernels of `level`; nil where there is none. It is opened, and the environment changed, by the first call,
    /// which decides for the process: a host of `libatrous` whose plan needs no OpenBLAS never sees either.
    public static func shared(level: String) -> OpenBLAS? {
        opened.withLock { opened in
            if let known = opened { return known }
            let library = OpenBLAS(level: level)
            opened = .some(library)
            return library
        }
    }

    private static let opened = Mutex<OpenBLAS??>(nil)

    private init?(level: String) {
        #if arch(x86_64)
        if let set = Self.sets[level] { setenv("OPENBLAS_CORETYPE", set, 1) }
        #endif
        guard let library = Self.names.lazy.compactMap({ dlopen($0, RTLD_NOW | RTLD_LOCAL) }).first,
            let sgemm = dlsym(library, "cblas_sgemm"), let threads = dlsym(library, "openblas_set_num_threads"),
            let corename = dlsym(library, "openblas_get_corename")
        else { return nil }
        self.sgemm = unsafeBitCast(sgemm, to: SGEMM.self)
        setThreads = unsafeBitCast(threads, to: (@convention(c) (CInt) -> Void).self)
        func text(_ function: UnsafeMutableRawPointer?) -> String {
            guard let function else { return "unknown" }
            return unsafeBitCast(function, to: (@convention(c) () -> UnsafePointer<CChar>?).self)().map { String(cString: $0) } ?? "unknown"
        }
        core = text(corename)
        release = text(dlsym(library, "openblas_get_config"))
    }

    /// Multiplies on the calling thread alone from now on.
    func useOneThread() { setThreads(1) }
}
