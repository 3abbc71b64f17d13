import ConvCore

/// What the machine cannot give.
public enum HarnessError: Error, Equatable, CustomStringConvertible {
    /// `advice`: what to write instead.
    case outOfMemory(bytes: Int, free: Int, advice: String)

    public var description: String {
        switch self {
        case .outOfMemory(let bytes, let free, let advice):
            "the problem needs \(bytes >> 20) MiB and \(free >> 20) MiB are free; \(advice)"
        }
    }
}

/// Asked before much is allocated: systems hand out more than they have, and end the program later.
public enum FreeMemory {
    /// Advice where a layer's problem does not fit.
    public static let smallerProblem = "choose a smaller one, or leave out im2col (--family naive,simd,tiled)"

    /// The same where a whole block does not.
    public static let smallerBlock = "choose a smaller size or batch"

    public static func require(_ bytes: Int, advice: String = smallerProblem) throws(HarnessError) {
        // Small ones are not worth a look.
        guard bytes > 256 << 20, let free = SystemMemory.available, bytes > free else { return }
        throw .outOfMemory(bytes: bytes, free: free, advice: advice)
    }
}
