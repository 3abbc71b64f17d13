import ConvCore

/// Depthwise convolution under 3 × 3 taps that keeps its map, on blocks of 16 channels: each row of outputs computed along its dilation phases,
/// three sums sliding over the pixels of a phase, all nine weights in registers, three inputs loaded per output.
///
/// While a row is computed the inputs that the next one needs beside its own are asked for (`LineJob`): at 8 lanes with the second half of each line,
/// whose own inputs lie in L1. Order: blocks of channels, rows phase by phase, vectors of a block, phases along the row, pixels.
///
/// The loop over pixels is kept as it is written: where the compiler made two or four pixels of one round, the same loads lay farther apart and an
/// odd pixel was left over, which took 8 to 27 % more (prototypes in C, 8 lanes, 512 channels of 20 × 20 to 128 of 80 × 80).
///
/// Of the FMA peak of a Zen 4 on YOLOv5's maps of 40 × 40 and 80 × 80, dilation 2 to 9: 66 to 77 % at 8 lanes, where `dw-roll-blocked` and `dw-phase`
/// reach 53 to 60 %; at 16 lanes 81 to 93 %, of `dw-roll-blocked`'s time 0.93 to 1.06, and 0.88 on 320 channels of 80 × 80. On the maps
/// that `dw-row-blocked` has compiled that one is faster, but for dilation 4 and 5 at 8 lanes. Lost, at 8 lanes: inputs as operands of the
/// multiply-adds and the sums of six pixels together (0.57 to 0.71 for 0.70 to 0.81 of the peak); tiles of six pixels walked down their columns
/// (0.56 to 0.67); two phases at a time (within 3 %); asking for outputs as well, or for outputs first (up to 5 % slower); rows in the order of the map
/// (up to 15 % slower where 2·d + 1 rows do not fit L1); phases of up to 20 pixels without a loop (5 to 15 % slower).
let depthwiseSlideBlocked = Kernel(
    name: "dw-slide-blocked-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: .nchw16c, threaded: true,
    summary: "3×3 taps on blocks of channels: three sums slid along the phases of a row, all weights in registers",
    supports: { p in
        guard p.kh == 3, p.kw == 3 else { return .no(reason: "\(p.kh)×\(p.kw) taps; it takes 3×3; dw-tile takes others") }
        guard keepsMap(p) else { return .no(reason: "the map changes or shifts; it takes stride 1 and a padding of the dilation; dw-tile takes it") }
        return wholeBlocks(p.ic, insteadOf: "dw-phase")
    },
    memory: { p, _, _ in Kernel.Memory(packed: vectorMajorWithStartsBytes(p)) },
    plan: { p, _, inputs in planLines(p, inputs) })
