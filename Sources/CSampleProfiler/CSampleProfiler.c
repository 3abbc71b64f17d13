#define _GNU_SOURCE
#include "CSampleProfiler.h"

#include <errno.h>

#if defined(__linux__) && defined(__x86_64__)
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <ucontext.h>

static uintptr_t *buffer;
static size_t limit;
static atomic_size_t noted;

static void note(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)info;
    const size_t at = atomic_fetch_add(&noted, 1);
    if (at < limit) buffer[at] = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
}

int atrous_sampling_start(uintptr_t *addresses, size_t capacity) {
    buffer = addresses;
    limit = capacity;
    atomic_store(&noted, 0);
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART};
    if (sigaction(SIGPROF, &action, NULL) != 0) return errno;
    const struct itimerval every = {.it_interval = {0, 1000}, .it_value = {0, 1000}};
    return setitimer(ITIMER_PROF, &every, NULL) == 0 ? 0 : errno;
}

size_t atrous_sampling_stop(void) {
    const struct itimerval never = {0};
    setitimer(ITIMER_PROF, &never, NULL);
    signal(SIGPROF, SIG_IGN);
    const size_t count = atomic_load(&noted);
    return count < limit ? count : limit;
}

int atrous_code_origin(uintptr_t address, const char **path, uintptr_t *offset) {
    Dl_info info;
    if (dladdr((void *)address, &info) == 0 || info.dli_fname == NULL) return 0;
    *path = info.dli_fname;
    *offset = address - (uintptr_t)info.dli_fbase;
    return 1;
}
#else
int atrous_sampling_start(uintptr_t *addresses, size_t capacity) { (void)addresses; (void)capacity; return ENOTSUP; }
size_t atrous_sampling_stop(void) { return 0; }
int atrous_code_origin(uintptr_t address, const char **path, uintptr_t *offset) {
    (void)address; (void)path; (void)offset;
    return 0;
}
#endif
