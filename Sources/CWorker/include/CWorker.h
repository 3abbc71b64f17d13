#ifndef ATROUS_CWORKER_H
#define ATROUS_CWORKER_H

// Whether programs that the calling thread starts from now on lie at the same addresses every time (no randomised stack,
// heap and libraries). Returns 0 where the system does that, -1 where it refuses or cannot.
int atrous_fixed_addresses(int fixed);

// Bind the first thread of another process to the CPUs that the calling thread is bound to. Returns 0 where the system does.
int atrous_bind_as_caller(int process);

// End this process when the one that started it ends. Returns 0 where the system can.
int atrous_die_with_parent(void);

// Runs `body(context)` on a thread of its own whose stack is [stack, stack + bytes), and waits for its end. The memory needs no
// content and holds none that matters afterwards. Returns 0, or an errno value.
int atrous_run_on_stack(void *stack, unsigned long bytes, void (*body)(void *), void *context);

#endif
