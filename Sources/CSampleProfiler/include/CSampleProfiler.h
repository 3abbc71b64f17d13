#ifndef ATROUS_CSAMPLEPROFILER_H
#define ATROUS_CSAMPLEPROFILER_H

#include <stddef.h>
#include <stdint.h>

// Samples where this process spends its CPU time: a profiling timer's signal notes the program counter that it interrupts.

/// Starts sampling into `addresses`, at most `capacity` of them; whatever was sampled before is forgotten. Returns 0, or an
/// errno. The buffer must live until atrous_sampling_stop. One sampling at a time in a process.
int atrous_sampling_start(uintptr_t *addresses, size_t capacity);
/// Stops, and returns how many addresses were noted.
size_t atrous_sampling_stop(void);
/// The file that the code at an address was loaded from, and where in it; 0 where there is none. `path` takes a string that
/// stays valid.
int atrous_code_origin(uintptr_t address, const char **path, uintptr_t *offset);

#endif
