#ifndef ATROUS_CTHREADPOOL_H
#define ATROUS_CTHREADPOOL_H

// A hint to the core that this thread is spinning: frees the sibling thread and saves power.
static inline void atrous_spin_hint(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// A Swift closure `(Int) -> Void` as its two words. It may be kept no longer than the function runs that was given the closure.
typedef struct {
    void *function;
    void *context;
} atrous_job;

// Calls a job that `atrous_keep_job` (in Swift's calling convention, declared where it is used) took apart.
void atrous_call_job(const atrous_job *job, long index);

// Starts a thread that runs `body(context)` and then ends by itself. Returns 0, or an errno value where the system refuses.
int atrous_start_thread(unsigned long stack_bytes, void (*body)(void *), void *context);

// Pin the calling thread to one CPU. Returns 0 on success, an errno value where the system refuses or cannot.
int atrous_pin_thread(int cpu);

// The system's number of the CPU that `atrous_pin_thread` pins to, or -1 where it does not tell.
int atrous_system_cpu(int cpu);

// Let the calling thread run on every CPU that the process had at its start.
int atrous_unpin_thread(void);

// How many CPUs the process may run on (its affinity mask at the first call, not the machine's total).
int atrous_usable_cpus(void);

// The system's number of the calling thread, as /proc/self/task lists it; 0 where there is no such list.
int atrous_thread_id(void);

// How often the calling thread was taken off its CPU against its will (the whole process, where the system cannot tell).
long atrous_forced_switches(void);

#endif
