#include "CPUFeatures.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <emmintrin.h>

static uint64_t xgetbv0(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((uint64_t)high << 32) | low;
}

static int has(uint32_t word, uint32_t bits) { return (word & bits) == bits; }

int atrous_x86_level(void) {
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 1;
    const uint32_t leaf1c = c;
    // SSE3, SSSE3, CX16, SSE4.1, SSE4.2, POPCNT
    if (!has(leaf1c, bit_SSE3 | bit_SSSE3 | bit_CMPXCHG16B | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT)) return 1;
    uint32_t xa = 0, xb = 0, xc = 0, xd = 0;
    if (!__get_cpuid(0x80000001, &xa, &xb, &xc, &xd) || !has(xc, bit_LAHF_LM)) return 1;
    // FMA, MOVBE, OSXSAVE, AVX, F16C; LZCNT in the extended leaf
    if (!has(leaf1c, bit_FMA | bit_MOVBE | bit_OSXSAVE | bit_AVX | bit_F16C) || !has(xc, bit_LZCNT)) return 2;
    uint32_t b7 = 0;
    if (!__get_cpuid_count(7, 0, &a, &b7, &c, &d) || !has(b7, bit_AVX2 | bit_BMI | bit_BMI2)) return 2;
    const uint64_t saved = xgetbv0();
    if ((saved & 0x06) != 0x06) return 2;  // xmm and ymm state
    if (!has(b7, bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL)) return 3;
    return (saved & 0xe6) == 0xe6 ? 4 : 3;  // opmask and both halves of the zmm state too
}

void atrous_cpu_name(char *buffer, int size) {
    uint32_t words[12];
    if (size <= 0) return;
    for (uint32_t i = 0; i < 3; i++)
        if (!__get_cpuid(0x80000002 + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3])) {
            strncpy(buffer, "unknown", (size_t)size - 1);
            buffer[size - 1] = 0;
            return;
        }
    char text[49];
    memcpy(text, words, 48);
    text[48] = 0;
    const char *start = text;
    while (*start == ' ') start++;
    strncpy(buffer, start, (size_t)size - 1);
    buffer[size - 1] = 0;
    for (size_t n = strlen(buffer); n > 0 && buffer[n - 1] == ' '; n--) buffer[n - 1] = 0;
}

void atrous_cpu_identity(char *buffer, int size) {
    uint32_t a, b, c, d, words[3];
    if (size <= 0) return;
    buffer[0] = 0;
    if (!__get_cpuid(0, &a, &words[0], &words[2], &words[1])) return;
    char vendor[13];
    memcpy(vendor, words, 12);
    vendor[12] = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return;
    // AMD and Intel manuals, leaf 1: the extended fields count for family 15 (and the model's for family 6, too).
    const uint32_t base = (a >> 8) & 15;
    const uint32_t family = base == 15 ? base + ((a >> 20) & 255) : base;
    const uint32_t model = ((a >> 4) & 15) | (base == 15 || base == 6 ? (a >> 12) & 240 : 0);
    snprintf(buffer, (size_t)size, "%s-%u-%u-%u", vendor, family, model, a & 15);
}

int atrous_flush_cache(const void *start, unsigned long bytes) {
    const char *line = (const char *)((uintptr_t)start & ~(uintptr_t)63);
    for (; line < (const char *)start + bytes; line += 64) _mm_clflush(line);
    _mm_mfence();
    return 1;
}

#else

int atrous_x86_level(void) { return 0; }

void atrous_cpu_name(char *buffer, int size) {
    if (size <= 0) return;
    strncpy(buffer, "unknown", (size_t)size - 1);
    buffer[size - 1] = 0;
}

void atrous_cpu_identity(char *buffer, int size) {
    if (size > 0) buffer[0] = 0;
}

int atrous_flush_cache(const void *start, unsigned long bytes) {
#if defined(__aarch64__)
    const char *line = (const char *)((uintptr_t)start & ~(uintptr_t)63);
    for (; line < (const char *)start + bytes; line += 64) __asm__ volatile("dc civac, %0" ::"r"(line) : "memory");
    __asm__ volatile("dsb ish" ::: "memory");
    return 1;
#else
    (void)start;
    (void)bytes;
    return 0;
#endif
}

#endif
