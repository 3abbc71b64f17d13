#ifndef ATROUS_CVECTOR_H
#define ATROUS_CVECTOR_H

// Vector operations that the Swift standard library has no single instruction for.
//
// Every function is `static inline`, always inlined, and compiled with the flags of the module that imports it, so the
// same text becomes xmm, ymm or zmm code. Vector widths: 4, 8 and 16 floats.

#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ATROUS_INLINE static inline __attribute__((always_inline))

typedef float atrous_f4 __attribute__((ext_vector_type(4)));
typedef float atrous_f8 __attribute__((ext_vector_type(8)));
typedef float atrous_f16 __attribute__((ext_vector_type(16)));

// multiplyAdd(a, b, c) = a·b + c, in one instruction where the target has it. Without FMA it is a multiply and an add:
// a library call per lane (what a correctly rounded `fma` would become) is a hundred times slower.
#if defined(__FMA__) || defined(__AVX512F__) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__)
#define ATROUS_MULTIPLY_ADD(a, b, c) __builtin_elementwise_fma((a), (b), (c))
#else
#define ATROUS_MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

ATROUS_INLINE atrous_f4 atrous_multiply_add4(atrous_f4 a, atrous_f4 b, atrous_f4 c) { return ATROUS_MULTIPLY_ADD(a, b, c); }
ATROUS_INLINE atrous_f8 atrous_multiply_add8(atrous_f8 a, atrous_f8 b, atrous_f8 c) { return ATROUS_MULTIPLY_ADD(a, b, c); }
ATROUS_INLINE atrous_f16 atrous_multiply_add16(atrous_f16 a, atrous_f16 b, atrous_f16 c) { return ATROUS_MULTIPLY_ADD(a, b, c); }

ATROUS_INLINE atrous_f4 atrous_max4(atrous_f4 a, atrous_f4 b) { return __builtin_elementwise_max(a, b); }
ATROUS_INLINE atrous_f8 atrous_max8(atrous_f8 a, atrous_f8 b) { return __builtin_elementwise_max(a, b); }
ATROUS_INLINE atrous_f16 atrous_max16(atrous_f16 a, atrous_f16 b) { return __builtin_elementwise_max(a, b); }
ATROUS_INLINE atrous_f4 atrous_min4(atrous_f4 a, atrous_f4 b) { return __builtin_elementwise_min(a, b); }
ATROUS_INLINE atrous_f8 atrous_min8(atrous_f8 a, atrous_f8 b) { return __builtin_elementwise_min(a, b); }
ATROUS_INLINE atrous_f16 atrous_min16(atrous_f16 a, atrous_f16 b) { return __builtin_elementwise_min(a, b); }

// Stores past the caches: no line is read to be overwritten. p is aligned to the vector. Other threads see the stores after
// atrous_finish_stores().
ATROUS_INLINE void atrous_store_past4(float *p, atrous_f4 v) { __builtin_nontemporal_store(v, (atrous_f4 *)p); }
ATROUS_INLINE void atrous_store_past8(float *p, atrous_f8 v) { __builtin_nontemporal_store(v, (atrous_f8 *)p); }
ATROUS_INLINE void atrous_store_past16(float *p, atrous_f16 v) { __builtin_nontemporal_store(v, (atrous_f16 *)p); }
ATROUS_INLINE void atrous_finish_stores(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

typedef int32_t atrous_i4 __attribute__((ext_vector_type(4)));
typedef int32_t atrous_i8 __attribute__((ext_vector_type(8)));
typedef int32_t atrous_i16 __attribute__((ext_vector_type(16)));

// The larger or smaller of a and a limit; what is not a number stays so (unlike max and min above).
ATROUS_INLINE atrous_f4 atrous_at_least4(atrous_f4 a, atrous_f4 limit) { return a < limit ? limit : a; }
ATROUS_INLINE atrous_f8 atrous_at_least8(atrous_f8 a, atrous_f8 limit) { return a < limit ? limit : a; }
ATROUS_INLINE atrous_f4 atrous_at_most4(atrous_f4 a, atrous_f4 limit) { return a > limit ? limit : a; }
ATROUS_INLINE atrous_f8 atrous_at_most8(atrous_f8 a, atrous_f8 limit) { return a > limit ? limit : a; }

// a · 2ⁿ, where k holds 1.5·2²³ + n (the sum by which n was rounded to a whole number: n is its low bits). With AVX-512 right
// through to subnormal numbers and infinity; elsewhere the result must be a normal number.
ATROUS_INLINE atrous_f4 atrous_scale4(atrous_f4 a, atrous_f4 k) { return (atrous_f4)((atrous_i4)a + ((atrous_i4)k << 23)); }
ATROUS_INLINE atrous_f8 atrous_scale8(atrous_f8 a, atrous_f8 k) { return (atrous_f8)((atrous_i8)a + ((atrous_i8)k << 23)); }
ATROUS_INLINE atrous_f16 atrous_scale16(atrous_f16 a, atrous_f16 k) {
#if defined(__AVX512F__)
    return (atrous_f16)_mm512_scalef_ps((__m512)a, (__m512)(k - 0x1.8p23f));  // the caller has the difference already
#else
    return (atrous_f16)((atrous_i16)a + ((atrous_i16)k << 23));
#endif
}

// a, or where |a| exceeds the limit, the limit with a's sign: one instruction.
#if defined(__AVX512DQ__)
ATROUS_INLINE atrous_f16 atrous_limit16(atrous_f16 a, atrous_f16 limit) {
    return (atrous_f16)_mm512_range_ps((__m512)a, (__m512)limit, 2);  // the smaller magnitude, the sign of a
}
#endif

// Asks for the cache line at p, to be written. On x86 below AVX-512 the instruction for that may be missing: to be read there.
ATROUS_INLINE void atrous_prefetch_for_writing(const void *p) {
#if defined(__AVX512F__)
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#elif defined(__x86_64__)
    __builtin_prefetch(p, 0, 3);
#else
    __builtin_prefetch(p, 1, 3);
#endif
}
// Asks for the cache line at p, to be read.
ATROUS_INLINE void atrous_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }

// Lanes first ..< last of memory at p + lane, zero in the others. No byte outside those lanes is read, so a vector may
// reach over the end of an image row or of a buffer.
ATROUS_INLINE atrous_f4 atrous_load_lanes4(const float *p, int32_t first, int32_t last) {
    atrous_f4 r = 0;
    for (int32_t i = first; i < last; i++) r[i] = p[i];
    return r;
}
ATROUS_INLINE void atrous_store_lanes4(float *p, atrous_f4 v, int32_t first, int32_t last) {
    for (int32_t i = first; i < last; i++) p[i] = v[i];
}

ATROUS_INLINE atrous_f8 atrous_load_lanes8(const float *p, int32_t first, int32_t last) {
#if defined(__AVX2__)
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i mask = _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(first), lane),
                                             _mm256_cmpgt_epi32(_mm256_set1_epi32(last), lane));
    return (atrous_f8)_mm256_maskload_ps(p, mask);
#else
    atrous_f8 r = 0;
    for (int32_t i = first; i < last; i++) r[i] = p[i];
    return r;
#endif
}
ATROUS_INLINE void atrous_store_lanes8(float *p, atrous_f8 v, int32_t first, int32_t last) {
#if defined(__AVX2__)
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i mask = _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(first), lane),
                                             _mm256_cmpgt_epi32(_mm256_set1_epi32(last), lane));
    _mm256_maskstore_ps(p, mask, (__m256)v);
#else
    for (int32_t i = first; i < last; i++) p[i] = v[i];
#endif
}

ATROUS_INLINE atrous_f16 atrous_load_lanes16(const float *p, int32_t first, int32_t last) {
#if defined(__AVX512F__)
    const uint32_t mask = ((1u << last) - 1u) & ~((1u << first) - 1u);
    return (atrous_f16)_mm512_maskz_loadu_ps((__mmask16)mask, p);
#else
    atrous_f16 r = 0;
    for (int32_t i = first; i < last; i++) r[i] = p[i];
    return r;
#endif
}
ATROUS_INLINE void atrous_store_lanes16(float *p, atrous_f16 v, int32_t first, int32_t last) {
#if defined(__AVX512F__)
    const uint32_t mask = ((1u << last) - 1u) & ~((1u << first) - 1u);
    _mm512_mask_storeu_ps(p, (__mmask16)mask, (__m512)v);
#else
    for (int32_t i = first; i < last; i++) p[i] = v[i];
#endif
}

#endif
