import ConvCore

/// One tap of a tile's sum: offsets, in floats, that are added to the A and the B pointer.
struct Tap {
    var a: Int
    var b: Int
}

/// A tile of earlier sums: rows `row` floats apart.
struct Addend {
    var sums: UnsafePointer<Float>
    var row: Int
}

/// What a register tile computes: `C[m][n] = Σ_taps Σ_k A[m·aRow + k·aStep] · B[k·bStep + n]`, m over MR rows and n over
/// NR vectors. A is broadcast value by value, B read in vectors. Strides are in floats.
struct TileArguments {
    var a: UnsafePointer<Float>
    var b: UnsafePointer<Float>
    var c: UnsafeMutablePointer<Float>
    /// At least one; a plain matrix product has the single tap (0, 0).
    var taps: UnsafePointer<Tap>
    var tapCount: Int
    /// Terms per tap.
    var depth: Int
    var aRow: Int
    var aStep: Int
    var bStep: Int
    var cRow: Int
    /// From one vector of a row of C to the next.
    var cVector = lanes
    /// Where sums start.
    var start: Start
    /// Whether the sums are complete: then the activation is applied.
    var finish: Bool
    var activation: Activation
    /// What the activated sums go through before they are written, from the first column on; only where every vector is whole.
    var following: Kernel.Following? = nil
    /// Lanes of the last vector that exist in C (and, for a tile that reads B in place, in B).
    var lastLanes: Int
    /// Tiles of earlier sums that are added to the start.
    var addends: UnsafePointer<Addend>? = nil
    var addendCount = 0
    /// Whether to ask for C's lines before the sum. Rows of a slice of a wider map lie too far apart for the hardware to
    /// foresee: without, the stores at 128 of 512 channels and 80×80 pixels cost 7 % of a reduction over 128 channels, 5 % of
    /// one over 64. With rows that join, asking costs 1 to 3 %.
    var prefetchesC = false
    /// Tiles one after the other, below each other or side by side. From one to the next A, B and C go on by so many floats, which is to be said
    /// where there are several; `ahead` and `later` have steps of their own.
    var tiles = 1
    var aTileStep = 0
    var bTileStep = 0
    var cTileStep = 0
    /// What is needed later on: asked for with every term of the sum, `aheadStep` floats further each time; nil for nothing.
    var ahead: UnsafePointer<Float>? = nil
    var aheadStep = 0
    var aheadTileStep = 0
    /// Whether every tap begins to ask anew, as far on as its A.
    var aheadFollowsTaps = false
    /// What further tiles need from beyond L2, likewise: asked for into L2, `laterStep` floats further with every term.
    var later: UnsafePointer<Float>? = nil
    var laterStep = 0
    var laterTileStep = 0

    enum Start {
        /// From the sums that C holds (a later block of a split reduction).
        case partial
        /// From zero.
        case zero
        /// From bias[n], one per column: channels lie along the vectors (NHWC).
        case columns(UnsafePointer<Float>)
        /// From bias[m], one per row: channels lie along the rows (NCHW).
        case rows(UnsafePointer<Float>)
    }
}
