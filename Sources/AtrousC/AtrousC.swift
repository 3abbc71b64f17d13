import BlockRuntime
import CAtrous
import ConvCore

// The functions of atrous.h; what they mean stands there.

/// What an `atrous_block *` points to.
private final class Handle {
    let parameters: BlockParameters
    var planned: PlannedBlock?

    init(_ path: String, _ settings: BlockSettings) throws { parameters = try BlockParameters(path, settings: settings) }

    /// nil, and a message that names `function`, where there is none.
    static func at(_ pointer: OpaquePointer?, for function: String) -> Handle? {
        guard let pointer else {
            atrous_set_last_error("\(function): block is NULL; give what atrous_load gave")
            return nil
        }
        return Unmanaged<Handle>.fromOpaque(UnsafeRawPointer(pointer)).takeUnretainedValue()
    }
}

/// nil, and the error as the message, where `body` throws.
private func reporting<T>(_ body: () throws -> T) -> T? {
    do {
        return try body()
    } catch {
        atrous_set_last_error("\(error)")
        return nil
    }
}

/// What an argument may not be.
private struct Refusal: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

@_cdecl("atrous_load")
public func load(_ path: UnsafePointer<CChar>?) -> OpaquePointer? { load(path, for: "atrous_load") { BlockSettings() } }

@_cdecl("atrous_load_as")
public func load(
    _ path: UnsafePointer<CChar>?, _ variant: UnsafePointer<CChar>?, _ activation: UnsafePointer<CChar>?, _ epsilon: Double
) -> OpaquePointer? {
    load(path, for: "atrous_load_as") {
        var settings = BlockSettings()
        do {
            settings.variant = try variant.map { try BlockVariant(named: String(cString: $0)) }
        } catch {
            throw Refusal("atrous_load_as: \(error)")
        }
        settings.activation = try activation.map(String.init(cString:)).map { name in
            if let known = Activation(rawValue: name) { return known }
            let names = Activation.allCases.map(\.rawValue).joined(separator: ", ")
            throw Refusal("atrous_load_as: activation is '\(name)'; it may be \(names), or NULL")
        }
        guard epsilon >= 0, epsilon.isFinite else {
            throw Refusal("atrous_load_as: epsilon is \(epsilon); it may be a positive number such as 1e-3, or 0")
        }
        if epsilon > 0 { settings.epsilon = epsilon }
        return settings
    }
}

private func load(
    _ path: UnsafePointer<CChar>?, for function: String, as settings: () throws -> BlockSettings
) -> OpaquePointer? {
    reporting {
        let settings = try settings()
        guard let path else { throw Refusal("\(function): path is NULL; give the name of a safetensors file") }
        return OpaquePointer(Unmanaged.passRetained(try Handle(String(cString: path), settings)).toOpaque())
    }
}

@_cdecl("atrous_input_channels")
public func inputChannels(_ block: OpaquePointer?) -> CInt {
    Handle.at(block, for: "atrous_input_channels").map { CInt($0.parameters.cin) } ?? -1
}

@_cdecl("atrous_output_channels")
public func outputChannels(_ block: OpaquePointer?) -> CInt {
    Handle.at(block, for: "atrous_output_channels").map { CInt($0.parameters.cout) } ?? -1
}

@_cdecl("atrous_plan")
public func plan(
    _ block: OpaquePointer?, _ batch: CInt, _ height: CInt, _ width: CInt, _ threads: CInt, _ plan: UnsafePointer<CChar>?
) -> CInt {
    guard let handle = Handle.at(block, for: "atrous_plan") else { return -1 }
    let planned = reporting {
        try handle.parameters.planned(
            batch: Int(batch), height: Int(height), width: Int(width), threads: Int(threads),
            plan: try plan.map { try BlockPlan(file: String(cString: $0)) })
    }
    guard let planned else { return -1 }
    handle.planned = planned
    return 0
}

@_cdecl("atrous_memory_bytes")
public func memoryBytes(_ block: OpaquePointer?) -> Int { Handle.at(block, for: "atrous_memory_bytes")?.planned?.memory.total ?? 0 }

@_cdecl("atrous_run")
public func run(_ block: OpaquePointer?, _ input: UnsafePointer<Float>?, _ output: UnsafeMutablePointer<Float>?) -> CInt {
    guard let handle = Handle.at(block, for: "atrous_run") else { return -1 }
    guard let planned = handle.planned else {
        atrous_set_last_error("atrous_run: the block is not planned; call atrous_plan with the input's size first")
        return -1
    }
    guard let input, let output else {
        atrous_set_last_error("atrous_run: input or output is NULL; give both")
        return -1
    }
    planned.run(input, output)
    return 0
}

@_cdecl("atrous_free")
public func free(_ block: OpaquePointer?) {
    if let block { Unmanaged<Handle>.fromOpaque(UnsafeRawPointer(block)).release() }
}
