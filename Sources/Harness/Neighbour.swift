import ConvCore

/// Stands in for the layer that runs before this one in a network, whichever that is: it reads a map and weights as large as this layer's, and
/// writes this layer's src. What of the caches it takes is what this layer has to do without; src is as hot as a layer leaves it.
///
/// It is made up, since a layer's times are kept for all networks that hold it; what one costs behind its own neighbours in a block is
/// measured where the block is planned.
struct Neighbour {
    private let map: AlignedMemory
    private let weights: AlignedMemory
    private let mapCount, weightCount: Int

    init(_ p: Problem) {
        (mapCount, weightCount) = (p.srcCount, p.weightCount)
        map = AlignedMemory(floats: mapCount)
        weights = AlignedMemory(floats: weightCount)
        for (memory, count) in [(map, mapCount), (weights, weightCount)] { memory.floats.update(repeating: 0.5, count: count) }
    }

    func run(into src: UnsafeMutablePointer<Float>) {
        var sum: Float = 0
        // One value per cache line.
        for i in stride(from: 0, to: weightCount, by: 16) { sum += weights.floats[i] }
        keepAlive(sum)
        src.update(from: map.floats, count: mapCount)
    }
}
