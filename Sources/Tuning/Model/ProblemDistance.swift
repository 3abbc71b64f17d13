import ConvCore
import Foundation

extension Problem {
    /// Shapes that compare: layer, kernel, stride and dilation are the same.
    struct ShapeClass: Hashable, Sendable {
        let layer: Layer
        let numbers: [Int]
    }

    var shapeClass: ShapeClass {
        ShapeClass(layer: layer, numbers: [kh, kw, strideH, strideW, dilationH, dilationW])
    }

    /// How far apart two problems of a layer are, in doublings of their sizes: channels, pixels, batch, and, for other classes,
    /// kernel and dilation. nil for problems of different layers.
    func distance(to other: Problem) -> Double? {
        guard layer == other.layer else { return nil }
        func doublings(_ a: Int, _ b: Int) -> Double { abs(log2(Double(a) / Double(b))) }
        var sum = doublings(dstChannels, other.dstChannels) + doublings(oh * ow, other.oh * other.ow) + 0.5 * doublings(batch, other.batch)
        if layer != .dw { sum += doublings(ic, other.ic) }
        if layer == .conv { sum += doublings(groups, other.groups) }
        sum += 2 * doublings(kh * kw, other.kh * other.kw) + doublings(strideH * strideW, other.strideH * other.strideW)
        sum += 0.5 * doublings(dilationH * dilationW, other.dilationH * other.dilationW)
        if activation != other.activation { sum += 0.25 }
        if bias != other.bias { sum += 0.05 }
        return sum
    }
}
