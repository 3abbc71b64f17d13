import ConvCore

/// What the machine cannot give.
public enum HarnessError: Error, Equatable, CustomStringConvertible {
    case outOfMemory(bytes: Int, free: Int)

    public var description: String {
        switch self {
        case .outOfMemory(let bytes, let free):
            "the problem needs \(bytes >> 20) MiB and \(free >> 20) MiB are free; choose a smaller one, or leave out im2col (--family naive,simd,tiled)"
        }
    }
}

/// Asked before much is allocated: systems hand out more than they have, and end the program later.
public enum FreeMemory {
    public static func require(_ bytes: Int) throws(HarnessError) {
        // Small ones are not worth a look.
        guard bytes > 256 << 20, let free = SystemMemory.available, bytes > free else { return }
        throw .outOfMemory(bytes: bytes, free: free)
    }
}
