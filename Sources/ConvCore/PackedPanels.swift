/// Weights rearranged for a register tile: panels of `width` output channels (a whole number of vectors), inside a panel
/// tap by tap, input channel by input channel, so that the tile reads one running stream. The last panel is filled up
/// with zeros.
public struct PackedPanels: Sendable {
    public let panels: Int
    /// Output channels per panel.
    public let width: Int
    /// Input channels per tap.
    public let depth: Int
    public let taps: Int

    /// Panels of so many output channels for one group of the problem.
    public init(_ p: Problem, width: Int) {
        self.width = width
        panels = (p.ocPerGroup + width - 1) / width
        depth = p.icPerGroup
        taps = p.kh * p.kw
    }

    /// Floats of one panel, and of all of a group.
    public var panelCount: Int { taps * depth * width }
    public var count: Int { panels * panelCount }

    /// Packs group `group` of `[oc][ic / groups][kh][kw]`.
    public func pack(_ weights: UnsafePointer<Float>, group: Int, ocPerGroup: Int, into target: UnsafeMutablePointer<Float>) {
        for panel in 0..<panels {
            let firstChannel = panel * width
            let channels = min(width, ocPerGroup - firstChannel)
            let source = weights + (group * ocPerGroup + firstChannel) * depth * taps
            let out = target + panel * panelCount
            if channels < width { out.update(repeating: 0, count: panelCount) }
            for channel in 0..<channels {
                for c in 0..<depth {
                    for tap in 0..<taps {
                        out[(tap * depth + c) * width + channel] = source[(channel * depth + c) * taps + tap]
                    }
                }
            }
        }
    }
}
