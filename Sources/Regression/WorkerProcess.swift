import CWorker
import ConvCore
import Foundation
import ThreadPool

/// A build's worker, as the driver holds it: started, asked, killed. The two ends of one socket are its input and output.
public final class WorkerProcess {
    public let path: String
    /// The instruction-set level that it runs.
    public private(set) var level = ""
    /// Of the protocol that it speaks.
    private(set) var version = 0
    /// `harnessVersion` of the build: how it lays the buffers out in the pages, and what it does before a burst. nil where it does not say.
    public private(set) var harness: Int?
    private let process: pid_t
    private let socket: Int32
    private let errors: String
    private var pending: [UInt8] = []
    /// What stands for a command before there was one.
    static let starting = "start"
    private var lastCommand = starting
    private var reaped = false

    /// Seconds that a worker may take for a command before it counts as hung.
    public static let patience = 30.0

    /// Starts `program worker` and waits for its greeting. `name`: what errors call it. `wrapper`: a program and its arguments that run it (valgrind).
    public init(
        _ program: String, named name: String? = nil, wrapper: [String] = [], environment: [String: String] = [:], patience: Double = patience
    ) throws(WorkerError) {
        let path = name ?? program
        self.path = path
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else {
            throw .cannotStart(path, reason: String(cString: strerror(errno)))
        }
        // The driver's end must not reach a child: a dead worker's end would stay open there.
        _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
        _ = fcntl(ends[1], F_SETFD, FD_CLOEXEC)
        errors = "\(NSTemporaryDirectory())/atrous-worker-\(getpid())-\(ends[0]).log"
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        let words = wrapper + [program, "worker"]
        var arguments = words.map { strdup($0) } + [nil]
        var variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
            .map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in arguments + variables { free(text) } }
        var id = pid_t()
        // A process inherits what its parent's thread is bound to, and would take that for all the CPUs there are.
        ThreadPool.unpinCaller()
        // Where a system allows it, stack and heap lie alike in both workers: their distance to the shared buffers, modulo a
        // page, was worth up to 20 % to the depthwise kernels, for as long as the worker lived.
        let fixed = wrapper.isEmpty && atrous_fixed_addresses(1) == 0
        let code = Subprocess.spawn(&id, words[0], &actions, &arguments, &variables)
        if fixed { _ = atrous_fixed_addresses(0) }
        close(ends[1])
        socket = ends[0]
        process = id
        guard code == 0 else {
            reaped = true
            close(socket)
            throw .cannotStart(path, reason: String(cString: strerror(code)))
        }
        let greeting: [String]
        do {
            greeting = try WorkerProtocol.fields(receive(within: patience))
        } catch .died(_, let command, let last) {
            // A build whose worker crashes has one; a program that says no and ends may be another.
            if let signal = endedBySignal() { throw .died(path, command: command, last: last.isEmpty ? "signal \(signal)" : last) }
            throw .noWorker(path, last: last)
        }
        guard greeting.count >= 3, greeting[0] == WorkerProtocol.greeting else { throw .noWorker(path, last: greeting.joined(separator: " ")) }
        guard let version = Int(greeting[1]), version >= WorkerProtocol.least else {
            throw .otherVersion(path, found: greeting[1])
        }
        self.version = version
        level = greeting[2]
        harness = greeting.count > 3 ? Int(greeting[3]) : nil
    }

    deinit { stop() }

    /// How the worker of a build ends before it has begun; nil where it starts, or where the build has none.
    public static func crash(of build: String) -> WorkerError? {
        do {
            let worker = try WorkerProcess(build)
            worker.stop()
            return nil
        } catch {
            return error.endsWorker ? error : nil
        }
    }

    /// The signal that ended the process, which has closed its output; nil where it ended by itself, or goes on.
    private func endedBySignal() -> Int32? {
        var status: Int32 = 0
        for _ in 0..<1000 {
            let found = waitpid(process, &status, WNOHANG)
            if found == process {
                reaped = true
                close(socket)
                return status & 0x7f == 0 ? nil : status & 0x7f
            }
            guard found == 0 || errno == EINTR else { return nil }
            usleep(1000)
        }
        return nil
    }

    /// Binds its first thread, which waits for commands and starts a thread for each burst, to where the caller is: on a CPU that
    /// is busy otherwise it would wait for its turn twice a burst.
    func bindAsCaller() { _ = atrous_bind_as_caller(process) }

    /// Ends the process, whatever it does.
    public func stop() {
        if !reaped {
            kill(process, SIGKILL)
            var status: Int32 = 0
            while waitpid(process, &status, 0) < 0, errno == EINTR {}
            reaped = true
            close(socket)
        }
        unlink(errors)
    }

    /// Sends one line and reads the answer, which must begin with `word`; gives the fields behind it.
    @discardableResult
    public func ask(_ fields: [String], expecting word: String, within patience: Double = patience) throws(WorkerError) -> [String] {
        try send(fields)
        return try answer(word, within: patience)
    }

    /// Maps shared pages there.
    func map(_ memory: SharedMemory, place: Int, within patience: Double = patience) throws(WorkerError) {
        do {
            try ask(
                ["place", "\(place)", String(SharedMemory.address(place: place), radix: 16), "\(memory.bytes)", memory.path], expecting: "placed",
                within: patience)
        } catch {
            throw error.ofMapping
        }
    }

    func send(_ fields: [String]) throws(WorkerError) {
        lastCommand = fields.joined(separator: " ")
        let bytes = Array((WorkerProtocol.line(fields) + "\n").utf8)
        var done = 0
        while done < bytes.count {
            // Without a signal, should the worker be gone.
            let count = bytes.withUnsafeBytes { Glibc.send(socket, $0.baseAddress! + done, bytes.count - done, Int32(MSG_NOSIGNAL)) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .died(path, command: lastCommand, last: lastWords()) }
            done += count
        }
    }

    /// All fields of the answer, whatever its first word is.
    func anyAnswer(within patience: Double) throws(WorkerError) -> [String] {
        let fields = WorkerProtocol.fields(try receive(within: patience))
        if fields[0] == "error" { throw .refused(path, reason: fields.dropFirst().joined(separator: " ")) }
        return fields
    }

    func answer(_ word: String, within patience: Double = patience) throws(WorkerError) -> [String] {
        let line = try receive(within: patience)
        let fields = WorkerProtocol.fields(line)
        if fields[0] == word { return Array(fields.dropFirst()) }
        if fields[0] == "error" { throw .refused(path, reason: fields.dropFirst().joined(separator: " ")) }
        throw .lied(path, command: lastCommand, answer: String(line.prefix(80)))
    }

    /// One burst of the case that is entered there.
    func burst(runs: Int, place: Int, cpu: Int, shift: Int, within patience: Double) throws(WorkerError) -> Burst {
        try send(["burst", "\(runs)", "\(place)", "\(cpu)", "\(shift)"])
        return try burstAnswer(within: patience)
    }

    func burstAnswer(within patience: Double) throws(WorkerError) -> Burst {
        let fields = try answer("burst", within: patience)
        guard let burst = Burst(["burst"] + fields) else {
            throw .lied(path, command: lastCommand, answer: fields.joined(separator: " "))
        }
        return burst
    }

    private func receive(within patience: Double) throws(WorkerError) -> String {
        let deadline = Date().addingTimeInterval(patience)
        while true {
            if let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: pending[..<end], as: UTF8.self)
                pending.removeFirst(end + 1)
                return line
            }
            let left = deadline.timeIntervalSinceNow
            guard left > 0 else { throw .hung(path, command: lastCommand, seconds: patience) }
            var watched = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
            let ready = poll(&watched, 1, Int32(left * 1000) + 1)
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else { throw .hung(path, command: lastCommand, seconds: patience) }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = recv(socket, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count > 0, pending.count < 1 << 20 else { throw .died(path, command: lastCommand, last: lastWords()) }
            pending += buffer[0..<count]
        }
    }

    /// The last line that the worker left on stderr.
    private func lastWords() -> String {
        let text = FileManager.default.contents(atPath: errors).map { String(decoding: $0, as: UTF8.self) } ?? ""
        return text.split(whereSeparator: \.isNewline).last.map { String($0.prefix(200)).onOneLine } ?? ""
    }
}
