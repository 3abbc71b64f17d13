import ConvCore

// What the kernels of layout `nchw16c` share.

/// Vectors of a block of channels.
let blockVectors = Layout.blockChannels / lanes

/// Of a kernel that works in blocks of channels.
func wholeBlocks(_ channels: Int, insteadOf other: String) -> Kernel.Support {
    guard Layout.nchw16c.holds(channels: channels) else {
        return .no(reason: "\(channels) channels are no whole blocks of \(Layout.blockChannels); \(other) takes them")
    }
    return .yes
}
