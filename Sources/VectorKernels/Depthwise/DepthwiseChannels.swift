import ConvCore

// What the depthwise kernels share: how channels are cut into vectors, and their weights packed.

/// Whether every output depends on the input of its own place alone.
func overwrites(_ p: Problem) -> Bool {
    p.kh == 1 && p.kw == 1 && p.strideH == 1 && p.strideW == 1 && p.padTop == 0 && p.padLeft == 0 && p.oh == p.ih
        && p.ow == p.iw
}

/// Whether outputs lie where their inputs do: stride 1, odd numbers of taps, a padding of half of them.
func keepsMap(_ p: Problem) -> Bool {
    p.strideH == 1 && p.strideW == 1 && p.oh == p.ih && p.ow == p.iw && p.kh % 2 == 1 && p.kw % 2 == 1
        && p.padTop == p.dilationH * (p.kh / 2) && p.padLeft == p.dilationW * (p.kw / 2)
}

/// Channels rounded up to whole vectors.
func paddedChannels(_ p: Problem) -> Int { (p.ic + lanes - 1) / lanes * lanes }

/// `[c][kh][kw]` → `[kh][kw][c]`, filled up with zeros to whole vectors.
func packTapMajor(_ p: Problem, _ source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>) {
    let taps = p.kh * p.kw
    let padded = paddedChannels(p)
    for tap in 0..<taps {
        for c in 0..<padded { target[tap * padded + c] = c < p.ic ? source[c * taps + tap] : 0 }
    }
}

/// Weights as ``packVectorMajor(_:_:into:)`` packs them, and behind them what the sums of every channel begin with: its bias or zero. Of whole
/// vectors of channels.
func packVectorMajorWithStarts(_ p: Problem, _ inputs: Kernel.PlanInputs) -> (weights: UnsafePointer<Float>, starts: UnsafePointer<Float>) {
    let weights = inputs.packed.assumingMemoryBound(to: Float.self)
    packVectorMajor(p, inputs.weights, into: weights)
    let starts = weights + p.weightCount
    for channel in 0..<p.ic { starts[channel] = inputs.bias?[channel] ?? 0 }
    return (UnsafePointer(weights), UnsafePointer(starts))
}

/// What these take.
func vectorMajorWithStartsBytes(_ p: Problem) -> Int { 4 * (p.weightCount + p.ic) }

/// The first channel of a vector: the last vector overlaps the one before where the channels are no whole number of them.
func firstChannel(_ p: Problem, _ vector: Int) -> Int { min(vector * lanes, p.ic - lanes) }

/// `[c][kh][kw]` → `[vector][kh][kw][lane]`.
func packVectorMajor(_ p: Problem, _ source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>) {
    let taps = p.kh * p.kw
    for vector in 0..<paddedChannels(p) / lanes {
        for tap in 0..<taps {
            for lane in 0..<lanes {
                target[(vector * taps + tap) * lanes + lane] = source[(firstChannel(p, vector) + lane) * taps + tap]
            }
        }
    }
}
