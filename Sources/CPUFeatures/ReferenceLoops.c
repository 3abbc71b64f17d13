#include "CPUFeatures.h"

unsigned long atrous_chain_loop(unsigned long steps) {
    unsigned long x = steps | 1;
    for (unsigned long i = 0; i < steps; i++) {
        x = x * x + 0x9E3779B9u;
        __asm__ volatile("" : "+r"(x));
    }
    return x;
}

unsigned long atrous_wide_loop(unsigned long steps) {
    unsigned long a = 1, b = 2, c = 3, d = 4;
    for (unsigned long i = 0; i < steps; i++) {
        // Kept apart by the barriers, so that no build folds or vectorises them.
        a += 1, b += 1, c += 1, d += 1;
        __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
        a ^= 1, b ^= 1, c ^= 1, d ^= 1;
        __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
    }
    return a + b + c + d;
}
