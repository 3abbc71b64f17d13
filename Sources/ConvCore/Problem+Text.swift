extension Problem: CustomStringConvertible {
    /// Reads one problem: the short form where there is a colon before any quote, benchdnn's text otherwise.
    public init(parsing text: String) throws {
        let trimmed = text.trimmed
        guard !trimmed.isEmpty else { throw ProblemError.empty }
        let head = trimmed.prefix { $0 != "\"" && $0 != "n" }
        if head.contains(":") || trimmed.hasPrefix("conv:") {
            try self.init(shortForm: trimmed)
        } else {
            try self.init(benchdnn: trimmed)
        }
    }

    /// benchdnn's convolution text, `gXmbXicXihXiwXocXohXowXkhXkwXshXswXdhXdwXphXpwXn"name"`: entries in any order, `_`
    /// between them ignored, a missing width copies the height, a missing oh or ph is deduced. Defaults: g1, mb2, s1, d0.
    /// Of our own are the entries `bias0` and the activation's bare name (`_silu`), absent where bias is added and no
    /// activation follows; behind a depthwise convolution also `+oc128_silu`, the pointwise unit that makes it a separable.
    /// Source of the grammar: oneDNN, tests/benchdnn/doc/driver_conv.md.
    public init(benchdnn text: String) throws {
        let known = "g mb ic ih iw oc oh ow kh kw sh sw dh dw ph pw bias relu silu hardswish n"
        let depth: Set<String> = ["id", "od", "kd", "sd", "dd", "pd"]
        var values: [String: Int] = [:]
        var activation = Activation.none
        var tail: (oc: Int, activation: Activation)?
        var name: String?
        var rest = Substring(text)
        while let c = rest.first {
            if c == "_" || c == " " {
                rest.removeFirst()
                continue
            }
            if c == "n" {
                let label = rest.dropFirst().filter { $0 != "\"" }
                name = label.isEmpty ? nil : String(label)
                break
            }
            let key = String(rest.prefix { $0.isLetter })
            rest = rest.dropFirst(key.count)
            if let function = Activation(rawValue: key) {
                if tail == nil { activation = function } else { tail!.activation = function }
                continue
            }
            if key.isEmpty, rest.hasPrefix("+oc") {
                let digits = rest.dropFirst(3).prefix { $0.isNumber || $0 == "-" }
                guard tail == nil else { throw ProblemError.repeatedEntry("+oc", text: text) }
                guard let oc = Int(digits) else { throw ProblemError.badNumber("+oc\(digits)", text: text) }
                tail = (oc, .none)
                rest = rest.dropFirst(3 + digits.count)
                continue
            }
            guard tail == nil || key.isEmpty else { throw ProblemError.unknownEntry(key, text: text, known: "relu silu hardswish n") }
            let sign = rest.prefix { $0 == "-" || $0 == "+" }.prefix(1)
            var digits = sign + String(rest.dropFirst(sign.count).prefix { $0.isNumber })
            rest = rest.dropFirst(digits.count)
            if digits.hasPrefix("+") { digits.removeFirst() }
            guard known.split(separator: " ").contains(Substring(key)) || depth.contains(key) else {
                let entry = key.isEmpty ? String(text.suffix(rest.count + digits.count).prefix(8)) : key
                throw ProblemError.unknownEntry(entry, text: text, known: known)
            }
            guard let value = Int(digits) else { throw ProblemError.badNumber(key + digits, text: text) }
            guard values.updateValue(value, forKey: key) == nil else {
                throw ProblemError.repeatedEntry(key, text: text)
            }
        }
        if depth.contains(where: { key in values[key].map { $0 != (key == "dd" || key == "pd" ? 0 : 1) } ?? false }) {
            throw ProblemError.threeDimensional(text)
        }
        func need(_ key: String) throws -> Int {
            guard let value = values[key] else { throw ProblemError.missing(key, text: text) }
            return value
        }
        let ih = try values["ih"] ?? need("iw")
        let kh = try values["kh"] ?? need("kw")
        let strideH = values["sh"] ?? values["sw"] ?? 1
        let dilationH = values["dh"] ?? values["dw"] ?? 0
        let square = values["iw"] == nil && values["ow"] == nil
        try self.init(
            batch: values["mb"] ?? 2, groups: values["g"] ?? 1, ic: need("ic"), oc: need("oc"), ih: ih,
            iw: values["iw"] ?? ih, oh: values["oh"] ?? (values["ih"] == nil ? values["ow"] : nil),
            ow: values["ow"] ?? (square ? values["oh"] : nil), kh: kh, kw: values["kw"] ?? kh, strideH: strideH,
            strideW: values["sw"] ?? strideH, dilationH: dilationH + 1, dilationW: (values["dw"] ?? dilationH) + 1,
            padTop: values["ph"] ?? values["pw"], padLeft: values["pw"] ?? values["ph"],
            bias: values["bias"] != 0, activation: activation, name: name)
        if let tail { self = try followed(by: PointwiseTail(oc: tail.oc, activation: tail.activation)) }
    }

    /// `dw:c64h80k5d5`, `pw:c64o128h80`, `conv:c64o128h80k3d2` or `sep:c64o128h80k5d5`: c channels in, o out, h × w map, k kernel, d true
    /// dilation (1 = dense), s stride, p padding (default d·(k−1)/2), g groups, mb batch (default 1), and an activation
    /// behind an underscore (`_silu`), which both units of a separable get.
    public init(shortForm text: String) throws {
        let parts = text.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, let layer = Layer(rawValue: String(parts[0])) else {
            throw ProblemError.badShortForm(text)
        }
        let known = "mb g c o h w k d s p relu silu hardswish"
        var values: [String: Int] = [:]
        var activation = Activation.none
        var rest = parts[1]
        while let c = rest.first {
            if c == "_" {
                rest.removeFirst()
                continue
            }
            let key = String(rest.prefix { $0.isLetter })
            rest = rest.dropFirst(key.count)
            if let function = Activation(rawValue: key) {
                activation = function
                continue
            }
            guard known.split(separator: " ").contains(Substring(key)) else {
                throw ProblemError.unknownEntry(key.isEmpty ? String(c) : key, text: text, known: known)
            }
            let digits = rest.prefix { $0.isNumber || $0 == "-" }
            rest = rest.dropFirst(digits.count)
            guard let value = Int(digits) else { throw ProblemError.badNumber(key + digits, text: text) }
            guard values.updateValue(value, forKey: key) == nil else {
                throw ProblemError.repeatedEntry(key, text: text)
            }
        }
        guard let channels = values["c"] else { throw ProblemError.missing("c", text: text) }
        guard let height = values["h"] else { throw ProblemError.missing("h", text: text) }
        let kernel = values["k"] ?? (layer == .pw ? 1 : 3)
        guard layer != .pw || kernel == 1 else { throw ProblemError.badShortForm(text) }
        let dilation = values["d"] ?? 1
        for (key, value) in [("k", kernel), ("d", dilation)] where value < 1 { throw ProblemError.notPositive(key, value) }
        for (key, value) in [("k", kernel), ("d", dilation)] where value > Problem.largestSize {
            throw ProblemError.tooLarge(key, value)
        }
        let isDepthwise = layer == .dw || layer == .sep
        let pad = values["p"] ?? dilation * (kernel - 1) / 2
        try self.init(
            batch: values["mb"] ?? 1, groups: isDepthwise ? channels : values["g"] ?? 1, ic: channels,
            oc: layer == .sep ? channels : values["o"] ?? channels, ih: height, iw: values["w"] ?? height, kh: kernel, kw: kernel,
            strideH: values["s"] ?? 1, strideW: values["s"] ?? 1, dilationH: dilation, dilationW: dilation,
            padTop: pad, padLeft: pad, activation: activation)
        if layer == .sep { self = try followed(by: PointwiseTail(oc: values["o"] ?? channels, activation: activation)) }
    }

    /// The problem in benchdnn's text, without its name: the key under which results are stored. Reading it gives an
    /// equal problem back.
    public var text: String {
        var s = groups == 1 ? "" : "g\(groups)"
        s += "mb\(batch)ic\(ic)ih\(ih)"
        let square = iw == ih && ow == oh && kw == kh && strideW == strideH && dilationW == dilationH && padLeft == padTop
        if !square { s += "iw\(iw)" }
        s += "oc\(oc)oh\(oh)"
        if !square { s += "ow\(ow)" }
        s += "kh\(kh)"
        if !square { s += "kw\(kw)" }
        if strideH != 1 || strideW != 1 { s += "sh\(strideH)" + (square ? "" : "sw\(strideW)") }
        if dilationH != 1 || dilationW != 1 { s += "dh\(dilationH - 1)" + (square ? "" : "dw\(dilationW - 1)") }
        s += "ph\(padTop)"
        if !square { s += "pw\(padLeft)" }
        if !bias { s += "_bias0" }
        if activation != .none { s += "_\(activation.rawValue)" }
        if let tail {
            s += "+oc\(tail.oc)"
            if tail.activation != .none { s += "_\(tail.activation.rawValue)" }
        }
        return s
    }

    /// The name where it has one: for tables and messages.
    public var label: String { name ?? text }

    /// ``text`` and the name.
    public var description: String {
        guard let name else { return text }
        return text + (text.last!.isLetter ? "_" : "") + "n\"\(name)\""
    }
}

extension StringProtocol {
    /// Without white space at either end.
    package var trimmed: String {
        var s = self[...]
        while let c = s.first, c.isWhitespace { s.removeFirst() }
        while let c = s.last, c.isWhitespace { s.removeLast() }
        return String(s)
    }
}
