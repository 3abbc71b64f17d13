import ConvCore

/// The three readings of the block that come with the package.
public enum BlockVariant: String, CaseIterable, Sendable {
    /// The article's printed code, repaired: unit 1×1, separables 3×3 of dilation 2, 3, 4, plain 1×1 fuse; conv biases.
    case listing
    /// The article's request word for word: separables 5×5 d5, 7×7 d7, 9×9 d9; compress and fuse are separables.
    case literal
    /// Its other reading: a dense separable k×k, then a separable 3×3 of dilation k, for k = 5, 7, 9.
    case rfb

    package var summary: String {
        switch self {
        case .listing: "3×3 at dilations 2, 3, 4; compress is a unit, fuse a plain 1×1 convolution"
        case .literal: "5×5 d5, 7×7 d7, 9×9 d9; compress and fuse are separables"
        case .rfb: "k×k dense, then 3×3 at dilation k, k = 5, 7, 9; compress and fuse are separables"
        }
    }

    /// Throws ``BlockError/unknownVariant(_:)``.
    public init(named name: String) throws(BlockError) {
        guard let variant = BlockVariant(rawValue: name) else { throw .unknownVariant(name) }
        self = variant
    }
}

/// A dilated depthwise-separable block, free of any size:
/// `[N,cin,H,W]` → compress to `mid` channels → branches, beside them a residual 1×1 of the block's input → concat
/// (branches first, residual last) → fuse to `cout` channels. Stride 1 and padding d·(k−1)/2, so H×W never changes.
package struct BlockDescription: Sendable, Equatable {
    /// What a convolution comes with.
    package enum Form: String, CaseIterable, Sendable {
        /// Convolution, batch norm, activation.
        case unit
        /// A depthwise unit followed by a pointwise unit.
        case separable
        /// A convolution with bias, nothing behind it.
        case plain
    }

    /// One of the convolutions that follow each other in a branch.
    package struct Step: Sendable, Equatable {
        /// Taps per side.
        package var kernel: Int
        /// True dilation: 1 is dense.
        package var dilation: Int
        /// Output channels; nil is the block's cout in a branch's last step and mid in the others.
        package var out: Int?
        /// `unit` and `plain` are dense k×k convolutions here.
        package var form: Form

        package init(kernel: Int, dilation: Int = 1, out: Int? = nil, form: Form = .separable) {
            self.kernel = kernel
            self.dilation = dilation
            self.out = out
            self.form = form
        }
    }

    /// A label, such as the variant's name.
    package var name: String
    /// Input channels; nil leaves them to the caller.
    package var cin: Int?
    /// Output channels; nil leaves them to the caller, whose default is cin.
    package var cout: Int?
    /// Channels behind compress; nil is ⌊cin/2⌋.
    package var mid: Int?
    /// nil: the branches read the block's input.
    package var compress: Form?
    package var branches: [[Step]]
    /// nil: only the branches are concatenated.
    package var residual: Form?
    package var fuse: Form
    /// Of every unit; a plain convolution has none.
    package var activation: Activation
    /// Of batch norm: PyTorch 1e-5, YOLOv5 1e-3.
    package var epsilon: Double
    /// Whether the convolutions before a batch norm have a bias of their own.
    package var convBias: Bool

    package init(
        name: String, cin: Int? = nil, cout: Int? = nil, mid: Int? = nil, compress: Form? = .unit, branches: [[Step]],
        residual: Form? = .unit, fuse: Form = .unit, activation: Activation = .silu, epsilon: Double = 1e-3,
        convBias: Bool = false
    ) {
        self.name = name
        self.cin = cin
        self.cout = cout
        self.mid = mid
        self.compress = compress
        self.branches = branches
        self.residual = residual
        self.fuse = fuse
        self.activation = activation
        self.epsilon = epsilon
        self.convBias = convBias
    }

    package init(_ variant: BlockVariant, activation: Activation = .silu, epsilon: Double = 1e-3) {
        let branches: [[Step]] =
            switch variant {
            case .listing: [2, 3, 4].map { [Step(kernel: 3, dilation: $0)] }
            case .literal: [5, 7, 9].map { [Step(kernel: $0, dilation: $0)] }
            case .rfb: [5, 7, 9].map { [Step(kernel: $0), Step(kernel: 3, dilation: $0)] }
            }
        let isListing = variant == .listing
        self.init(
            name: variant.rawValue, compress: isListing ? .unit : .separable, branches: branches, residual: .unit,
            fuse: isListing ? .plain : .separable, activation: activation, epsilon: epsilon, convBias: isListing)
    }
}

extension BlockDescription {
    /// More is a slip of the pen.
    static let mostBranches = 64
    static let mostSteps = 64
    static let largestSize = 1 << 24

    /// What holds whatever the widths are.
    func validate() throws(BlockError) {
        guard !branches.isEmpty else { throw .noBranches }
        guard branches.count <= Self.mostBranches else { throw .tooMany("branches", branches.count, Self.mostBranches) }
        guard epsilon >= 0, epsilon.isFinite else { throw .badEpsilon(epsilon) }
        for (key, value) in [("cin", cin), ("cout", cout), ("mid", mid)] {
            if let value { try Self.checkSize(key, value) }
        }
        for (b, steps) in branches.enumerated() {
            guard !steps.isEmpty else { throw .emptyBranch(b) }
            guard steps.count <= Self.mostSteps else {
                throw .tooMany("steps of branch \(b)", steps.count, Self.mostSteps)
            }
            for (s, step) in steps.enumerated() {
                let place = steps.count == 1 ? "branches[\(b)]" : "branches[\(b)][\(s)]"
                try Self.checkSize("\(place).k", step.kernel)
                try Self.checkSize("\(place).d", step.dilation)
                if let out = step.out { try Self.checkSize("\(place).out", out) }
                guard (step.kernel - 1) * step.dilation % 2 == 0 else {
                    throw .unevenPadding(place, kernel: step.kernel, dilation: step.dilation)
                }
            }
        }
    }

    static func checkSize(_ key: String, _ value: Int) throws(BlockError) {
        guard value >= 1 else { throw .notPositive(key, value) }
        guard value <= largestSize else { throw .tooLarge(key, value, limit: largestSize) }
    }
}
