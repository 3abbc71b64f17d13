/// Takes the times of a space's candidates: the machine, or in tests a made-up function.
public protocol Meter: AnyObject {
    /// Adds so many rounds in which each of the candidates gets one sample, interleaved. One that is new is verified first; one
    /// that is wrong gets none. Once the time is over a round is finished and no further one begun, nor a verification unless nothing
    /// has passed one yet.
    func measure(_ candidates: [Int], rounds: Int) throws
    /// Nanoseconds by round; `disturbed` admits samples that something else had a part in.
    func samples(_ candidate: Int, disturbed: Bool) -> [Int: Double]
    func isWrong(_ candidate: Int) -> Bool
    /// Rounds so far.
    var rounds: Int { get }
    /// Nanoseconds that measuring has taken, warming up included and verifying not.
    var spentNs: Double { get }
    /// Whether the time that the search was given is over.
    var isOver: Bool { get }
}
