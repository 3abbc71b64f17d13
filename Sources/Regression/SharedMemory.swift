import Foundation

/// Pages that the driver and both workers map, at one address.
///
/// Which pages a buffer gets decides its cache conflicts, and the address decides a few more: two builds that are compared
/// must have neither to themselves.
public final class SharedMemory {
    public let bytes: Int
    public let start: UnsafeMutableRawPointer
    /// At the start of the pages: the stack that bursts run on. Behind it lies the arena.
    static let stackBytes = 1 << 20
    /// The driver's descriptor; the workers open it through /proc.
    private let file: Int32

    /// Where the place with that number lies: far from what programs and libraries use, and where valgrind lets a program map.
    static func address(place: Int) -> UInt { 0x0400_0000_0000 + UInt(place) << 36 }

    /// Where pages are taken from: memory, or else a disk's page cache.
    static let folders = memoryFolders + [NSTemporaryDirectory()]
    static let memoryFolders = ["/dev/shm"]

    /// New pages, all touched, from the first folder that has them. Throws ``WorkerError/noMemory(_:)``.
    public convenience init(bytes: Int) throws { try self.init(bytes: bytes, in: Self.folders) }

    public init(bytes: Int, in folders: [String]) throws(WorkerError) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        self.bytes = (max(bytes, 1) + page - 1) / page * page
        var reasons: [String] = []
        var taken: Int32 = -1
        for folder in folders where taken < 0 {
            let path = "\(folder)/atrous-\(getpid())-\(UInt64.random(in: 0 ... .max))"
            let opened = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            guard opened >= 0 else {
                reasons.append("\(path): \(String(cString: strerror(errno)))")
                continue
            }
            // Its name is only for the moment; /proc/PID/fd leads to it as long as somebody holds it.
            unlink(path)
            if posix_fallocate(opened, 0, off_t(self.bytes)) == 0 {
                taken = opened
            } else {
                close(opened)
                reasons.append("\(folder) has no \(max(1, self.bytes >> 20)) MiB left")
            }
        }
        guard taken >= 0 else {
            throw .noMemory("\(reasons.joined(separator: ", ")); make room there (a container's /dev/shm is as large as --shm-size says)")
        }
        file = taken
        guard let memory = Self.map(taken, self.bytes, at: nil) else {
            close(taken)
            throw .noMemory("\(self.bytes >> 20) MiB cannot be mapped")
        }
        start = memory
        memset(start, 0, self.bytes)
    }

    /// The pages behind a path, at a given address.
    init(opening path: String, bytes: Int, at address: UInt) throws {
        self.bytes = bytes
        file = open(path, O_RDWR | O_CLOEXEC)
        guard file >= 0 else { throw WorkerError.noMemory("\(path): \(String(cString: strerror(errno)))") }
        guard let memory = Self.map(file, bytes, at: UnsafeMutableRawPointer(bitPattern: address)) else {
            close(file)
            throw WorkerError.noMemory("\(bytes >> 20) MiB at \(String(address, radix: 16)) cannot be mapped")
        }
        start = memory
    }

    deinit {
        munmap(start, bytes)
        close(file)
    }

    public var path: String { "/proc/\(getpid())/fd/\(file)" }

    /// The pages are entered into the table here and not in a timed run.
    private static func map(_ file: Int32, _ bytes: Int, at address: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        let fixed: Int32 = address == nil ? 0 : Int32(MAP_FIXED_NOREPLACE)
        let memory = mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | Int32(MAP_POPULATE) | fixed, file, 0)
        guard let memory, memory != MAP_FAILED else { return nil }
        if let address, memory != address {
            munmap(memory, bytes)
            return nil
        }
        return memory
    }
}
