import Foundation

/// A Swift symbol as its source has it, through the runtime's own demangler; the symbol itself where it is no Swift one.
public func demangled(_ symbol: String) -> String {
    typealias Demangle = @convention(c) (
        UnsafePointer<CChar>, Int, UnsafeMutablePointer<CChar>?, UnsafeMutablePointer<Int>?, UInt32
    ) -> UnsafeMutablePointer<CChar>?
    guard let pointer = dlsym(dlopen(nil, RTLD_NOW), "swift_demangle"),
        let text = unsafeBitCast(pointer, to: Demangle.self)(symbol, symbol.utf8.count, nil, nil, 0)
    else { return symbol }
    defer { free(text) }
    return String(cString: text)
}
