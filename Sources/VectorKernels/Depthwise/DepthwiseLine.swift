import ConvCore

/// Depthwise convolution that keeps its map, on blocks of 16 channels: each row of outputs computed along its dilation phases, up to twelve pixels of
/// a phase in one register tile, rows of taps in a loop. Whether inputs lie beside a tile in its row is compiled in, so that nothing is tested and no dead
/// place costs anything: within a part of a row the only branches are those of the loops over rows of taps and over neighbouring phases. Phases of up to
/// three pixels either way are computed as a whole (`DepthwisePatchTile`), of two under at least three rows of taps, else five.
///
/// Order: blocks of channels, rows phase by phase, halves of a line, parts of a row, phases, rows of taps. For 16 registers: on a Zen 4, of the FMA peak,
/// under 5 × 5, 7 × 7 and 9 × 9 taps 67 to 80 % on 256 channels of 40 × 40 at the dilation that is the number of taps, 76 to 85 % on 128 of 80 × 80, where
/// the best other kernels reach 56 to 66 and 59 to 70 %; under dense 5 × 5 and 7 × 7 taps 77 and 83 % on 512 of 20 × 20 for 64 and 74; under 7 × 7
/// and 9 × 9 taps at dilation 7 and 9 there, whose phases are whole, 76 and 60 % for 60 and 50. On phases of four pixels `dw-phase` and `dw-row-blocked` pass it,
/// `dw-stage` under 9 × 9 dense taps on 20 × 20. Under 11 × 11 taps, on a Zen 3, 0.46 to 1.12 of the time of the next best (0.82 on the mean of 12 layers).
///
/// Lost, in prototypes: columns of taps outside and inputs as operands of the multiply-adds (within 3 % on whole phases, 10 to 80 % slower beside inputs of
/// other tiles); columns of taps in two groups (up to 8 % slower); tiles of neighbouring pixels of all phases with both loops over taps
/// (0.22 to 0.75 of the peak: each short inner loop ends in a misprediction); inputs at multiples of a step, as addresses can say them, for a pointer
/// that walks along the row (an eighth fewer instructions, and up to 10 % slower on a Zen 3); the two halves of a row in turn (no change). A copy of the
/// arguments for every part of a row cost 20 to 70 %.
let depthwiseLineBlocked = Kernel(
    name: "dw-line-blocked-\(isaName)", layer: .dw, family: .tiled, isa: isaName, layout: .nchw16c, threaded: true,
    summary: "register tile of a row of one dilation phase on blocks of channels, its ends compiled in",
    supports: { p in
        guard keepsMap(p) else { return .no(reason: "the map changes or shifts; it takes stride 1 and a padding that keeps the map; dw-tile takes it, on NHWC") }
        guard lineTaps.contains(p.kw) || p.kw > 11 && computesPatches(p) else {
            return .no(reason: "\(p.kw) taps in a row; it takes 5, 7, 9 and 11, and more on phases of up to three pixels; dw-tile takes others, on NHWC")
        }
        return wholeBlocks(p.ic, insteadOf: "dw-phase")
    },
    memory: { p, _, _ in Kernel.Memory(packed: vectorMajorWithStartsBytes(p)) },
    plan: { p, _, inputs in planLines(p, inputs, .lines, parts: lineParts(p)) })
