#define _GNU_SOURCE
#include "CThreadPool.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

long atrous_forced_switches(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_nivcsw : 0;
}

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

int atrous_thread_id(void) { return (int)syscall(SYS_gettid); }

// The CPUs that the process may use, as they were before anything was pinned.
static cpu_set_t allowed;
static pthread_once_t allowed_once = PTHREAD_ONCE_INIT;
static void read_allowed(void) {
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) CPU_ZERO(&allowed);
}

int atrous_usable_cpus(void) {
    pthread_once(&allowed_once, read_allowed);
    const int count = CPU_COUNT(&allowed);
    return count > 0 ? count : (int)sysconf(_SC_NPROCESSORS_ONLN);
}

// `cpu` counts through the CPUs that the process may use, so pinning also works inside a container's subset.
int atrous_system_cpu(int cpu) {
    const int count = atrous_usable_cpus();
    if (CPU_COUNT(&allowed) == 0) return -1;
    int wanted = cpu % count;
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &allowed) && wanted-- == 0) return i;
    return -1;
}

int atrous_pin_thread(int cpu) {
    const int number = atrous_system_cpu(cpu);
    if (number < 0) return ENOTSUP;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(number, &one);
    return pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}

int atrous_unpin_thread(void) {
    if (atrous_usable_cpus() == 0 || CPU_COUNT(&allowed) == 0) return ENOTSUP;
    return pthread_setaffinity_np(pthread_self(), sizeof allowed, &allowed);
}
#else
int atrous_usable_cpus(void) { return (int)sysconf(_SC_NPROCESSORS_ONLN); }
int atrous_system_cpu(int cpu) { (void)cpu; return -1; }
int atrous_pin_thread(int cpu) { (void)cpu; return ENOTSUP; }
int atrous_unpin_thread(void) { return ENOTSUP; }
int atrous_thread_id(void) { return 0; }
#endif
