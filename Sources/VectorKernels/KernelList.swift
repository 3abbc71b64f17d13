import ConvCore

/// Every kernel of this instruction-set level. To add one: write its file, add its line.
/// The first tiled kernel of a layer is what a block runs unplanned, the last that takes a problem what is named where nothing is known of it:
/// both take problems of any width.
/// Touch this only after the CPU check: its initialiser is code of this level.
public let kernels: [Kernel] = [
    depthwiseDirect,
    depthwiseTile,
    depthwisePhaseBlocked,
    depthwiseRollBlocked,
    depthwiseSlideBlocked,
    depthwiseLineBlocked,
    depthwiseStrideBlocked,
    depthwiseRowBlocked,
    depthwiseScaleBlocked,
    depthwiseTilePlanes,
    depthwiseScalePlanes,
    depthwisePhase,
    depthwiseStage,
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
    denseTile,
]

/// The kernels of this level for whole separables; the same rule holds.
public let separableKernels: [SeparableKernel] = [separableFused]
