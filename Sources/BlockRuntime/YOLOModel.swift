/// The YOLOv5 models by their width.
package enum YOLOModel: String, CaseIterable, Sendable {
    case n, s, m, l, x

    /// The width in quarters: widths 0.25, 0.5, 0.75, 1, 1.25.
    var quarters: Int {
        switch self {
        case .n: 1
        case .s: 2
        case .m: 3
        case .l: 4
        case .x: 5
        }
    }

    /// Channels of the feature map, which are the block's input and output.
    package func channels(_ level: FeatureLevel) -> Int { level.fullChannels / 4 * quarters }

    /// `64 channels at P3, 128 at P4, 256 at P5`
    var channelSummary: String {
        FeatureLevel.allCases.enumerated()
            .map { "\(channels($1))\($0 == 0 ? " channels" : "") at \($1.rawValue.uppercased())" }
            .joined(separator: ", ")
    }
}

/// The three maps that detectors of the YOLO kind read; an input of 640 gives 80×80, 40×40, 20×20.
package enum FeatureLevel: String, CaseIterable, Sendable {
    case p3, p4, p5

    /// Pixels of the network's input per pixel of the map.
    package var stride: Int {
        switch self {
        case .p3: 8
        case .p4: 16
        case .p5: 32
        }
    }

    /// Channels at width 1.
    var fullChannels: Int { stride * 32 }
}
