#define _GNU_SOURCE
#include "CThreadPool.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#if !defined(RUSAGE_THREAD)
#define RUSAGE_THREAD RUSAGE_SELF
#endif

long atrous_forced_switches(void) {
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
}

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

int atrous_thread_id(void) { return (int)syscall(SYS_gettid); }

int atrous_usable_cpus(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return (int)sysconf(_SC_NPROCESSORS_ONLN);
    return CPU_COUNT(&set);
}

// `cpu` counts through the CPUs that the process may use, so pinning also works inside a container's subset.
int atrous_pin_thread(int cpu) {
    cpu_set_t allowed, one;
    if (sched_getaffinity(getpid(), sizeof allowed, &allowed) != 0) return errno;
    const int count = CPU_COUNT(&allowed);
    if (count == 0) return EINVAL;
    int wanted = cpu % count;
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &allowed) && wanted-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(i, &one);
            return pthread_setaffinity_np(pthread_self(), sizeof one, &one);
        }
    return EINVAL;
}
#else
int atrous_usable_cpus(void) { return (int)sysconf(_SC_NPROCESSORS_ONLN); }
int atrous_pin_thread(int cpu) { (void)cpu; return ENOTSUP; }
int atrous_thread_id(void) { return 0; }
#endif
