import Foundation

/// Runs a program to its end, in this process's own group: what ends the one at the terminal, or a `timeout` around it, ends both.
/// (Foundation's `Process` gives each child a group of its own.)
enum Subprocess {
    /// As `posix_spawnp`. A program that was just written counts as busy until every process that was being started meanwhile has closed its
    /// copy of the writer's descriptor: tried again for up to a second.
    static func spawn(
        _ id: inout pid_t, _ program: String, _ actions: inout posix_spawn_file_actions_t,
        _ arguments: UnsafePointer<UnsafeMutablePointer<CChar>?>, _ environment: UnsafePointer<UnsafeMutablePointer<CChar>?>?
    ) -> Int32 {
        for _ in 0..<100 {
            let code = posix_spawnp(&id, program, &actions, nil, arguments, environment)
            guard code == ETXTBSY else { return code }
            usleep(10_000)
        }
        return ETXTBSY
    }

    /// stdout and stderr together, and the exit code. `keeping`: a descriptor that the program holds, too, so that a lock on it lasts
    /// as long as the program.
    static func run(_ words: [String], keeping descriptor: Int32? = nil) -> (code: Int32, output: String) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return (127, "\(words[0]) cannot be started (\(String(cString: strerror(errno))))") }
        defer { close(ends[0]) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
        // A descriptor that is put in its own place is left open.
        if let descriptor { posix_spawn_file_actions_adddup2(&actions, descriptor, descriptor) }
        var arguments = words.map { strdup($0) } + [nil]
        defer { for text in arguments { free(text) } }
        var id = pid_t()
        let code = spawn(&id, words[0], &actions, &arguments, environ)
        close(ends[1])
        guard code == 0 else { return (127, "\(words[0]) cannot be started (\(String(cString: strerror(code))))") }
        let output = FileHandle(fileDescriptor: ends[0]).readDataToEndOfFile()
        var status: Int32 = 0
        while waitpid(id, &status, 0) < 0, errno == EINTR {}
        // As shells count: a signal as 128 and its number.
        return (status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f, String(decoding: output, as: UTF8.self))
    }
}
