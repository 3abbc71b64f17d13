/// RFC 4180 fields and lines.
enum CSV {
    static func line(_ fields: [String]) -> String {
        fields.map { field in
            field.contains(where: { ",\"\r\n".contains($0) }) ? "\"" + field.replacing("\"", with: "\"\"") + "\"" : field
        }.joined(separator: ",")
    }

    /// The fields of one line, or nil where its quotes do not close.
    static func fields(_ line: some StringProtocol) -> [String]? {
        var fields: [String] = []
        var field = ""
        var quoted = false
        var rest = line.makeIterator()
        var next = rest.next()
        while let c = next {
            next = rest.next()
            if quoted {
                if c != "\"" {
                    field.append(c)
                } else if next == "\"" {
                    field.append("\"")
                    next = rest.next()
                } else {
                    quoted = false
                }
            } else if c == "\"", field.isEmpty {
                quoted = true
            } else if c == "," {
                fields.append(field)
                field = ""
            } else {
                field.append(c)
            }
        }
        return quoted ? nil : fields + [field]
    }
}
