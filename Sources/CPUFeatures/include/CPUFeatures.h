#ifndef ATROUS_CPU_FEATURES_H
#define ATROUS_CPU_FEATURES_H

// What the processor that runs this can execute. Built without any instruction-set flag, so that it may be called on
// every x86-64 and arm64 CPU before anything else is touched.

// The highest x86-64 micro-architecture level (psABI) whose instructions the CPU has *and* whose registers the operating
// system saves: 1 (baseline), 2, 3 (AVX2, FMA, F16C, BMI) or 4 (AVX-512 F, BW, CD, DQ, VL). 0 on other architectures.
int atrous_x86_level(void);

// The CPU's own name, cut to `size`, always terminated. "unknown" where the CPU does not tell.
void atrous_cpu_name(char *buffer, int size);

// Vendor, family, model and stepping: "AuthenticAMD-25-17-1". Empty where the CPU does not tell. Virtual machines often hide the
// name ("AMD EPYC"), not these.
void atrous_cpu_identity(char *buffer, int size);

// Flush the cache lines of [start, start + bytes) to memory and wait for it. Returns 0 where the CPU has no
// instruction for it that a user program may run.
int atrous_flush_cache(const void *start, unsigned long bytes);

// A chain of dependent multiplications and additions, four cycles a step: its time is the clock's and nothing else's.
unsigned long atrous_chain_loop(unsigned long steps);

// Eight independent additions a step, as many as the core can begin: a stranger on the core's other hardware thread takes
// half of its places, and this loop is the first to show it (60 % longer where a loop of multiply-adds takes 8 %).
unsigned long atrous_wide_loop(unsigned long steps);

// Write and copy with stores that pass the caches: no line is read that is only overwritten, which saves a third of a copy's traffic
// with memory and half of a write's. `count` is a multiple of 4, the pointers are aligned to 16 bytes.
void atrous_fill_past_caches(float *target, unsigned long count, float value);
void atrous_copy_past_caches(const float *source, float *target, unsigned long count);

#endif
