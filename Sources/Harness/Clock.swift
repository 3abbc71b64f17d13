import Foundation

/// The monotonic clock that everything is timed with, in nanoseconds.
public enum Clock {
    @inline(__always)
    public static func now() -> UInt64 { clock_gettime_nsec() }

    @inline(__always)
    private static func clock_gettime_nsec() -> UInt64 {
        var t = timespec()
        clock_gettime(CLOCK_MONOTONIC, &t)
        return UInt64(t.tv_sec) &* 1_000_000_000 &+ UInt64(t.tv_nsec)
    }

    /// The smallest step that two calls in a row can see, in nanoseconds: the median of 1,000 observed steps.
    public static func resolutionNs() -> Double {
        var steps: [Double] = []
        while steps.count < 1_000 {
            let start = now()
            var end = now()
            while end == start { end = now() }
            steps.append(Double(end - start))
        }
        return Statistics.median(steps)
    }
}

/// Keeps a result that nothing else needs from being optimised away with the work behind it.
@_optimize(none)
public func keepAlive(_ value: Float) {}
