import ConvCore

/// Depthwise convolution under 3 × 3 taps that keeps its map, on blocks of 16 channels: up to three rows of outputs a dilation apart, computed along the
/// dilation phases of their columns, three sums of each sliding over the pixels of a phase. An input is loaded once for all of them: five per three outputs.
///
/// While rows are computed the inputs that the next ones need beside their own are asked for (`LineJob`). Order: blocks of channels, strips of columns,
/// rows phase by phase, vectors of a block, phases along the row, pixels. At 8 lanes phases of up to three pixels either way are computed as a whole
/// (`DepthwisePatchTile`).
///
/// At 8 lanes instructions count, not only multiply-adds: a vector of outputs has nine of these, 4.5 cycles' worth, and a core that another
/// program shares issues three instructions a cycle. One row with its sums moved from place to place takes 21 a vector, three rows whose sums take turns 15.
///
/// Of the FMA peak of a Zen 4, YOLOv5's maps: at 8 lanes 66 to 79 % on 40 × 40 and 80 × 80, dilation 2 to 9, and 54 to 79 % on 20 × 20; `dw-roll-blocked` and
/// `dw-phase` reach 44 to 60 %. At 16 lanes 87 to 93 % and 70 to 90 %, of `dw-roll-blocked`'s time 0.78 to 1.03. There `dw-row-blocked` is faster on some of the
/// maps that it has compiled. Lost, at 8 lanes: inputs as operands of the
/// multiply-adds and the sums of six pixels together (0.57 to 0.71 for 0.70 to 0.81 of the peak); tiles of six pixels walked down their columns
/// (0.56 to 0.67); two phases at a time (within 3 %); the vectors of a block in turn within a phase (up to 7 % slower on a busy Zen 3); asking for outputs as well, or for outputs first (up to 5 % slower); rows in the order of the map
/// (up to 15 % slower where 2·d + 1 rows do not fit L1); strips of 20 to 27 columns (4 to 30 % slower).
let depthwiseSlideBlocked = Kernel(
    name: "dw-slide-blocked-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: .nchw16c, threaded: true,
    summary: "3×3 taps on blocks of channels: three sums slid along the phases of up to three rows",
    space: ConfigurationSpace(
        [
            Parameter("r", [1, 2, 3], standard: mostSlideRows, "most rows of outputs computed together; fewer where they would leave L1"),
            Parameter("w", [32, 48, 64, 1000], standard: 48, "most columns of a strip, or about the dilation where that is more"),
        ],
        constraint: "r ≤ \(mostSlideRows): three sums of each row and six weights fit the registers, below AVX2 of one", admits: { $0["r"] <= mostSlideRows }),
    supports: { p in
        guard p.kh == 3, p.kw == 3 else { return .no(reason: "\(p.kh)×\(p.kw) taps; it takes 3×3; dw-tile takes others, on NHWC") }
        guard keepsMap(p) else { return .no(reason: "the map changes or shifts; it takes stride 1 and a padding of the dilation; dw-tile takes it, on NHWC") }
        return wholeBlocks(p.ic, insteadOf: "dw-phase")
    },
    memory: { p, _, _ in Kernel.Memory(packed: vectorMajorWithStartsBytes(p)) },
    plan: { p, c, inputs in planLines(p, inputs, .slides, mostRows: slideRows(p, most: c["r"], columns: c["w"]), mostColumns: c["w"]) })

/// How many rows are computed together. Where a block is several vectors, the next is to find the lines of the one before in L1: of r rows, r + 2 of inputs,
/// r of outputs and r that the next rows are asked for. At 8 lanes three rows of 40 pixels took up to 7 % more than two, two of 80 up to 12 % more than one,
/// and three in strips of 27 some 5 % more than two in strips of 40.
private func slideRows(_ p: Problem, most: Int, columns: Int) -> Int {
    if blockVectors == 1 { return most }
    return max(1, min(most, (slideLines / min(p.ow, columns) - 2) / 3))
}

/// Cache lines that rows computed together may take: of the 512 of 32 KiB.
private let slideLines = 400
