import ConvCore

/// Every kernel of this instruction-set level. To add one: write its file, add its line.
/// The first tiled kernel of a layer on NHWC is what a block runs unplanned, the last that takes a problem what is named where nothing is known of it:
/// both take problems of any width.
/// Touch this only after the CPU check: its initialiser is code of this level.
public let kernels: [Kernel] = [depthwiseDirect, depthwiseTile] + ofSomeLevels + [
    depthwisePhaseBlocked,
    depthwiseRollBlocked,
    depthwiseSlideBlocked,
    depthwiseScaleBlocked,
    depthwiseTilePlanes,
    depthwiseScalePlanes,
    depthwisePhase,
    depthwiseRoll,
    depthwiseScale,
    pointwiseDirect,
    pointwiseTile,
    pointwiseTileBlocked,
    pointwiseTileFromPlanes,
    pointwiseTileToPlanes,
    pointwisePanel,
    pointwiseStrassenToPlanes,
    pointwiseStrassen,
    denseDirect,
    densePanel,
    denseTile,
]

/// Those that not every level has: most are compiled for fused multiply-adds, and `dw-phase` passes `dw-stage` where there are 32 registers.
private let ofSomeLevels: [Kernel] =
    (compilesLines ? [depthwiseLineBlocked] : []) + (compilesRows ? [depthwiseRowBlocked] : [])
    + (multiplyAddIsFused ? [depthwiseStrideBlocked] : []) + (vectorRegisters < 32 ? [depthwiseStage] : [])

/// The kernels of this level for whole separables; the same rule holds.
public let separableKernels: [SeparableKernel] = [separableFused]
