#define _GNU_SOURCE
#include "CThreadPool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

// Swift hands a closure over in two registers: its code, and what that finds in the context register. Keeping the two words instead
// of an escaping copy spares a fork the heap.
__attribute__((swiftcall)) void atrous_keep_job(void *function, void *context, atrous_job *job) {
    job->function = function;
    job->context = context;
}

typedef __attribute__((swiftcall)) void (*swift_body)(long index, __attribute__((swift_context)) void *context);

void atrous_call_job(const atrous_job *job, long index) { ((swift_body)job->function)(index, job->context); }

typedef struct {
    void (*body)(void *);
    void *context;
} thread_start;

static void *enter(void *argument) {
    const thread_start start = *(thread_start *)argument;
    free(argument);
    start.body(start.context);
    return 0;
}

int atrous_start_thread(unsigned long stack_bytes, void (*body)(void *), void *context) {
    thread_start *start = malloc(sizeof *start);
    if (!start) return ENOMEM;
    *start = (thread_start){body, context};
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack_bytes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    const int failure = pthread_create(&thread, &attributes, enter, start);
    pthread_attr_destroy(&attributes);
    if (failure) free(start);
    return failure;
}

long atrous_forced_switches(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_nivcsw : 0;
}

#if defined(__linux__)
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
