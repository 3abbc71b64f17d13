/// The loops of one instruction-set level that find a machine's peaks; the measuring itself is the harness's.
public struct ISAProbe: Sendable {
    public let name: String
    /// Floats in a vector.
    public let lanes: Int
    /// Vector multiply-adds per round of `multiplyAdds`.
    public let multiplyAddsPerRound: Int
    public let multiplyAdds: @Sendable (_ rounds: Int) -> Float
    /// `count` floats, a multiple of 8 vectors, `rounds` times.
    public let read: @Sendable (UnsafePointer<Float>, _ count: Int, _ rounds: Int) -> Float
    public let write: @Sendable (UnsafeMutablePointer<Float>, _ count: Int, _ rounds: Int) -> Float
    public let copy: @Sendable (UnsafePointer<Float>, UnsafeMutablePointer<Float>, _ count: Int, _ rounds: Int) -> Float

    public init(
        name: String, lanes: Int, multiplyAddsPerRound: Int, multiplyAdds: @escaping @Sendable (Int) -> Float,
        read: @escaping @Sendable (UnsafePointer<Float>, Int, Int) -> Float,
        write: @escaping @Sendable (UnsafeMutablePointer<Float>, Int, Int) -> Float,
        copy: @escaping @Sendable (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int, Int) -> Float
    ) {
        self.name = name
        self.lanes = lanes
        self.multiplyAddsPerRound = multiplyAddsPerRound
        self.multiplyAdds = multiplyAdds
        self.read = read
        self.write = write
        self.copy = copy
    }
}
