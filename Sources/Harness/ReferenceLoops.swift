import CPUFeatures

/// Two short loops whose times tell what the core is like at the moment; about 15 µs together.
public struct ReferenceLoops: Sendable {
    /// Of a chain of dependent multiplications: the clock, and whether the thread was interrupted.
    public let chainNs: Double
    /// Of as many independent additions as the core can begin: whether a stranger has its other hardware thread.
    public let wideNs: Double

    private static let chainSteps: UInt = 8_000
    private static let wideSteps: UInt = 8_000

    /// Runs both on the calling thread.
    public init() {
        let start = Clock.now()
        Self.keep(atrous_chain_loop(Self.chainSteps))
        let middle = Clock.now()
        Self.keep(atrous_wide_loop(Self.wideSteps))
        chainNs = Double(middle - start)
        wideNs = Double(Clock.now() - middle)
    }

    /// So many milliseconds of work for one core, for who wants to see whether it is there.
    public static func spin(milliseconds: Double) { keep(atrous_chain_loop(UInt(milliseconds * 900_000))) }

    @_optimize(none)
    private static func keep(_ value: UInt) {}
}

/// What the clock was during a measurement: the chain of dependent multiplications, between its rounds.
public struct ClockWatch {
    private var chains: [Double] = []
    public init() {}
    public var medianNs: Double? { chains.isEmpty ? nil : Statistics.median(chains) }
    public mutating func look() { chains.append(ReferenceLoops().chainNs) }
}
