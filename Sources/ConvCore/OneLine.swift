extension String {
    /// Control characters, which a file's name or a tensor's may hold, as `\u{a}`: a message stays one line and moves no cursor.
    public var onOneLine: String {
        guard unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else { return self }
        return unicodeScalars.map { $0.properties.generalCategory == .control ? "\\u{\(String($0.value, radix: 16))}" : String($0) }
            .joined()
    }
}
