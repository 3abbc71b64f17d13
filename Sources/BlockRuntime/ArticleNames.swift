/// The names that the article's own module gives its tensors, as a table to the names used here.
enum ArticleNames {
    /// Prefixes, the article's first. `conv2_5`, `conv2_7` and `conv2_9` are `Sequential(dw, bn, act, pw, bn, act)`.
    static let renaming: [(article: String, ours: String)] =
        [("conv1.0", "compress.conv"), ("conv1.1", "compress.bn")]
        + ["conv2_5", "conv2_7", "conv2_9"].enumerated().flatMap { branch, article in
            [
                ("\(article).0", "branches.\(branch).dw.conv"), ("\(article).1", "branches.\(branch).dw.bn"),
                ("\(article).3", "branches.\(branch).pw.conv"), ("\(article).4", "branches.\(branch).pw.bn"),
            ]
        }
        + [("residual.0", "residual.conv"), ("residual.1", "residual.bn")]

    /// The article's modules behind which a unit's activation is found, as a hook names them.
    static let activations: [(article: String, ours: String)] =
        [("conv1", "compress"), ("conv1.2", "compress"), ("residual.2", "residual")]
        + ["conv2_5", "conv2_7", "conv2_9"].enumerated().flatMap { branch, article in
            [
                ("\(article).2", "branches.\(branch).dw"), ("\(article).5", "branches.\(branch).pw"),
                (article, "branches.\(branch).pw"),
            ]
        }

    /// Whether these are the article's names.
    static func areUsed(in names: [String]) -> Bool { names.contains("conv1.0.weight") }

    /// The name used here; one that the table does not hold stays.
    static func ours(_ name: String) -> String {
        for (article, ours) in renaming where name.hasPrefix(article + ".") {
            return ours + name.dropFirst(article.count)
        }
        return name
    }
}
