import ConvCore

/// Every kernel of this instruction-set level. To add one: write its file, add its line.
/// Touch this only after the CPU check: its initialiser is code of this level.
public let kernels: [Kernel] = [
    depthwiseDirect,
    depthwiseTile,
    depthwisePhase,
    depthwiseStage,
    depthwiseRoll,
    depthwiseScale,
    depthwisePhaseBlocked,
    depthwiseRollBlocked,
    depthwiseScaleBlocked,
    pointwiseDirect,
    pointwiseTile,
    pointwisePanel,
    pointwiseStrassen,
    pointwiseTileBlocked,
    denseDirect,
    denseTile,
]

/// The kernels of this level for whole separables; the same rule holds.
public let separableKernels: [SeparableKernel] = [separableFused]
