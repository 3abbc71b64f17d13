#define _GNU_SOURCE
#include "CWorker.h"

#include <pthread.h>

struct job {
    void (*body)(void *);
    void *context;
};

static void *start(void *argument) {
    const struct job *job = argument;
    job->body(job->context);
    return 0;
}

int atrous_run_on_stack(void *stack, unsigned long bytes, void (*body)(void *), void *context) {
    struct job job = {body, context};
    pthread_attr_t attributes;
    pthread_t thread;
    int error = pthread_attr_init(&attributes);
    if (error) return error;
    error = pthread_attr_setstack(&attributes, stack, bytes);
    if (!error) error = pthread_create(&thread, &attributes, start, &job);
    pthread_attr_destroy(&attributes);
    return error ? error : pthread_join(thread, 0);
}

#if defined(__linux__)
#include <sched.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>

int atrous_fixed_addresses(int fixed) {
    const int now = personality(0xffffffff);
    if (now < 0) return -1;
    const int wanted = fixed ? now | ADDR_NO_RANDOMIZE : now & ~ADDR_NO_RANDOMIZE;
    return personality((unsigned long)wanted) < 0 ? -1 : 0;
}

int atrous_bind_as_caller(int process) {
    cpu_set_t own;
    return sched_getaffinity(0, sizeof own, &own) || sched_setaffinity(process, sizeof own, &own) ? -1 : 0;
}

int atrous_die_with_parent(void) { return prctl(PR_SET_PDEATHSIG, SIGKILL); }
#else
int atrous_fixed_addresses(int fixed) { (void)fixed; return -1; }
int atrous_bind_as_caller(int process) { (void)process; return -1; }
int atrous_die_with_parent(void) { return -1; }
#endif
