#include "CPUFeatures.h"

// The widest vectors that every CPU has; memory is slower than they are.
typedef float four __attribute__((vector_size(16)));

void atrous_fill_past_caches(float *target, unsigned long count, float value) {
    const four values = {value, value, value, value};
    for (unsigned long i = 0; i < count; i += 4) __builtin_nontemporal_store(values, (four *)(target + i));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void atrous_copy_past_caches(const float *source, float *target, unsigned long count) {
    for (unsigned long i = 0; i < count; i += 4) __builtin_nontemporal_store(*(const four *)(source + i), (four *)(target + i));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
