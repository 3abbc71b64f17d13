import ConvCore

// What the kernels of layout `nchw16c` share.

/// Vectors of a block of channels.
let blockVectors = Layout.blockChannels / lanes

/// Of a kernel that works in blocks of channels.
func wholeBlocks(_ channels: Int, insteadOf other: String) -> Kernel.Support {
    guard Layout.nchw16c.holds(channels: channels) else {
        return .no(reason: "\(channels) channels are no whole blocks of \(Layout.blockChannels); \(other) takes them, on NHWC")
    }
    return .yes
}

/// Whether the blocks of all images can be shared out whole, or nearly: else threads need smaller units of work, as a call computes a part of
/// a block.
func sharesMaps(_ p: Problem, threads: Int) -> Bool {
    let maps = p.batch * p.ic / Layout.blockChannels
    return maps % threads == 0 || maps >= 8 * threads
}

/// Of a product: floats from one block to the next in src and dst alike, and a tap for each of src. A tuple, since the copying of a struct
/// of this size becomes a shared function with instructions of this level.
typealias ChannelBlocks = (step: Int, taps: UnsafePointer<Tap>)
