#ifndef ATROUS_CVECTOR_H
#define ATROUS_CVECTOR_H

// Vector operations that the Swift standard library has no single instruction for.
//
// Every function is `static inline`, always inlined, and compiled with the flags of the module that imports it, so the
// same text becomes xmm, ymm or zmm code. Vector widths: 4, 8 and 16 floats.

#include <math.h>
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

// The same, and the sum takes the register of c: where it is two instructions, the product is the one register more. Left to itself the compiler
// has several products in flight, and spills beside a tile that fills the registers.
ATROUS_INLINE atrous_f4 atrous_multiply_add_in_place4(atrous_f4 a, atrous_f4 b, atrous_f4 c) {
#if defined(__x86_64__) && !defined(__FMA__)
    atrous_f4 product;
    __asm__("movaps %2, %0\n\tmulps %3, %0\n\taddps %0, %1" : "=&x"(product), "+&x"(c) : "x"(a), "x"(b));
    return c;
#else
    return ATROUS_MULTIPLY_ADD(a, b, c);
#endif
}

ATROUS_INLINE atrous_f4 atrous_min4(atrous_f4 a, atrous_f4 b) { return __builtin_elementwise_min(a, b); }
ATROUS_INLINE atrous_f8 atrous_min8(atrous_f8 a, atrous_f8 b) { return __builtin_elementwise_min(a, b); }
ATROUS_INLINE atrous_f16 atrous_min16(atrous_f16 a, atrous_f16 b) { return __builtin_elementwise_min(a, b); }

// The even lanes of a, then those of b.
ATROUS_INLINE atrous_f4 atrous_even_lanes4(atrous_f4 a, atrous_f4 b) { return __builtin_shufflevector(a, b, 0, 2, 4, 6); }
ATROUS_INLINE atrous_f8 atrous_even_lanes8(atrous_f8 a, atrous_f8 b) { return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14); }
ATROUS_INLINE atrous_f16 atrous_even_lanes16(atrous_f16 a, atrous_f16 b) {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}

// Stores past the caches: no line is read to be overwritten. p is aligned to the vector. Other threads see the stores after
// atrous_finish_stores().
ATROUS_INLINE void atrous_store_past4(float *p, atrous_f4 v) { __builtin_nontemporal_store(v, (atrous_f4 *)p); }
ATROUS_INLINE void atrous_store_past8(float *p, atrous_f8 v) { __builtin_nontemporal_store(v, (atrous_f8 *)p); }
ATROUS_INLINE void atrous_store_past16(float *p, atrous_f16 v) { __builtin_nontemporal_store(v, (atrous_f16 *)p); }
ATROUS_INLINE void atrous_finish_stores(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// Zeros for the largest register tile, 20 sums of 16 lanes.
static const float atrous_zero_tile[20 * 16] __attribute__((aligned(64), unused)) = {0};
ATROUS_INLINE const void *atrous_zeros(void) { return atrous_zero_tile; }

static const float atrous_no_least[16] __attribute__((aligned(64), unused)) = {
    -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY,
    -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY};
// The least that an output may be, for 16 lanes: zero, or where it is not rectified minus infinity.
ATROUS_INLINE const float *atrous_least(_Bool rectified) { return rectified ? atrous_zero_tile : atrous_no_least; }

typedef int32_t atrous_i4 __attribute__((ext_vector_type(4)));
typedef int32_t atrous_i8 __attribute__((ext_vector_type(8)));
typedef int32_t atrous_i16 __attribute__((ext_vector_type(16)));

// The larger or smaller of a and a limit; what is not a number stays so (unlike min above). One instruction on x86.
ATROUS_INLINE atrous_f4 atrous_at_least4(atrous_f4 a, atrous_f4 limit) { return a < limit ? limit : a; }
ATROUS_INLINE atrous_f8 atrous_at_least8(atrous_f8 a, atrous_f8 limit) { return a < limit ? limit : a; }
ATROUS_INLINE atrous_f16 atrous_at_least16(atrous_f16 a, atrous_f16 limit) { return a < limit ? limit : a; }
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
// p, of which the compiler no longer knows what was loaded from there: it loads again instead of spilling.
ATROUS_INLINE const float *atrous_loaded_anew(const float *p) {
    __asm__ volatile("" : "+r"(p));
    return p;
}
// v, which is computed before anything that is loaded anew later on.
#if defined(__x86_64__)
#define ATROUS_SETTLE(v) __asm__ volatile("" : "+x"(v))
#elif defined(__aarch64__)
#define ATROUS_SETTLE(v) __asm__ volatile("" : "+w"(v))
#else
#define ATROUS_SETTLE(v) (void)0
#endif
ATROUS_INLINE atrous_f4 atrous_settled4(atrous_f4 v) {
    ATROUS_SETTLE(v);
    return v;
}
#if defined(__AVX2__)
ATROUS_INLINE atrous_f8 atrous_settled8(atrous_f8 v) {
    ATROUS_SETTLE(v);
    return v;
}
#endif
#if defined(__AVX512F__)
ATROUS_INLINE atrous_f16 atrous_settled16(atrous_f16 v) {
    __asm__ volatile("" : "+v"(v));
    return v;
}
#endif
// Asks for the cache line at p, to be read later on: it comes into L2.
ATROUS_INLINE void atrous_prefetch_far(const void *p) { __builtin_prefetch(p, 0, 2); }
// Asks for the cache line at p, to be read.
ATROUS_INLINE void atrous_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }

// Lanes first ..< last of memory at p + lane, zero in the others. No byte outside those lanes is read, so a vector may
// reach over the end of an image row or of a buffer.
// Four lanes are written out: a loop would build the vector in memory, where each load waits for the narrower store before it.
ATROUS_INLINE atrous_f4 atrous_load_lanes4(const float *p, int32_t first, int32_t last) {
    atrous_f4 r = 0;
    if (first <= 0 && 0 < last) r[0] = p[0];
    if (first <= 1 && 1 < last) r[1] = p[1];
    if (first <= 2 && 2 < last) r[2] = p[2];
    if (first <= 3 && 3 < last) r[3] = p[3];
    return r;
}
ATROUS_INLINE void atrous_store_lanes4(float *p, atrous_f4 v, int32_t first, int32_t last) {
    if (first <= 0 && 0 < last) p[0] = v[0];
    if (first <= 1 && 1 < last) p[1] = v[1];
    if (first <= 2 && 2 < last) p[2] = v[2];
    if (first <= 3 && 3 < last) p[3] = v[3];
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

// A square of floats turned over: target[c][r] = source[r][c], rows `step` and `targetStep` floats apart, as many of each as a
// vector has lanes: four rows at a time within 128 bits, then the 128 bits among the rows.
// `past`: past the caches, as atrous_store_past16; target and its rows are aligned.
#if defined(__AVX512F__)
ATROUS_INLINE void atrous_store_line(float *p, __m512 v, _Bool past) {
    if (past) _mm512_stream_ps(p, v); else _mm512_storeu_ps(p, v);
}
ATROUS_INLINE void atrous_transpose16(const float *source, intptr_t step, float *target, intptr_t targetStep, _Bool past) {
    __m512 quad[4][4];  // [rows 4g … 4g + 3][j]: in its 128 bits of number l, column 4l + j of the four rows
#pragma clang loop unroll(full)
    for (int g = 0; g < 4; g++) {
        const float *row = source + 4 * g * step;
        const __m512 a = _mm512_loadu_ps(row), b = _mm512_loadu_ps(row + step);
        const __m512 c = _mm512_loadu_ps(row + 2 * step), d = _mm512_loadu_ps(row + 3 * step);
        const __m512d ab = (__m512d)_mm512_unpacklo_ps(a, b), cd = (__m512d)_mm512_unpacklo_ps(c, d);
        const __m512d abHigh = (__m512d)_mm512_unpackhi_ps(a, b), cdHigh = (__m512d)_mm512_unpackhi_ps(c, d);
        quad[g][0] = (__m512)_mm512_unpacklo_pd(ab, cd);
        quad[g][1] = (__m512)_mm512_unpackhi_pd(ab, cd);
        quad[g][2] = (__m512)_mm512_unpacklo_pd(abHigh, cdHigh);
        quad[g][3] = (__m512)_mm512_unpackhi_pd(abHigh, cdHigh);
    }
#pragma clang loop unroll(full)
    for (int j = 0; j < 4; j++) {
        const __m512 even01 = _mm512_shuffle_f32x4(quad[0][j], quad[1][j], 0x88);
        const __m512 odd01 = _mm512_shuffle_f32x4(quad[0][j], quad[1][j], 0xdd);
        const __m512 even23 = _mm512_shuffle_f32x4(quad[2][j], quad[3][j], 0x88);
        const __m512 odd23 = _mm512_shuffle_f32x4(quad[2][j], quad[3][j], 0xdd);
        atrous_store_line(target + j * targetStep, _mm512_shuffle_f32x4(even01, even23, 0x88), past);
        atrous_store_line(target + (j + 4) * targetStep, _mm512_shuffle_f32x4(odd01, odd23, 0x88), past);
        atrous_store_line(target + (j + 8) * targetStep, _mm512_shuffle_f32x4(even01, even23, 0xdd), past);
        atrous_store_line(target + (j + 12) * targetStep, _mm512_shuffle_f32x4(odd01, odd23, 0xdd), past);
    }
}
#endif
#if defined(__AVX2__)
ATROUS_INLINE void atrous_transpose8(const float *source, intptr_t step, float *target, intptr_t targetStep) {
    __m256 quad[2][4];
#pragma clang loop unroll(full)
    for (int g = 0; g < 2; g++) {
        const float *row = source + 4 * g * step;
        const __m256 a = _mm256_loadu_ps(row), b = _mm256_loadu_ps(row + step);
        const __m256 c = _mm256_loadu_ps(row + 2 * step), d = _mm256_loadu_ps(row + 3 * step);
        const __m256d ab = (__m256d)_mm256_unpacklo_ps(a, b), cd = (__m256d)_mm256_unpacklo_ps(c, d);
        const __m256d abHigh = (__m256d)_mm256_unpackhi_ps(a, b), cdHigh = (__m256d)_mm256_unpackhi_ps(c, d);
        quad[g][0] = (__m256)_mm256_unpacklo_pd(ab, cd);
        quad[g][1] = (__m256)_mm256_unpackhi_pd(ab, cd);
        quad[g][2] = (__m256)_mm256_unpacklo_pd(abHigh, cdHigh);
        quad[g][3] = (__m256)_mm256_unpackhi_pd(abHigh, cdHigh);
    }
#pragma clang loop unroll(full)
    for (int j = 0; j < 4; j++) {
        _mm256_storeu_ps(target + j * targetStep, _mm256_permute2f128_ps(quad[0][j], quad[1][j], 0x20));
        _mm256_storeu_ps(target + (j + 4) * targetStep, _mm256_permute2f128_ps(quad[0][j], quad[1][j], 0x31));
    }
}
#endif
typedef atrous_f4 __attribute__((aligned(4))) atrous_f4_unaligned;
ATROUS_INLINE void atrous_transpose4(const float *source, intptr_t step, float *target, intptr_t targetStep) {
    const atrous_f4 a = *(const atrous_f4_unaligned *)source, b = *(const atrous_f4_unaligned *)(source + step);
    const atrous_f4 c = *(const atrous_f4_unaligned *)(source + 2 * step), d = *(const atrous_f4_unaligned *)(source + 3 * step);
    const atrous_f4 ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    const atrous_f4 abHigh = __builtin_shufflevector(a, b, 2, 6, 3, 7), cdHigh = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(atrous_f4_unaligned *)target = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(atrous_f4_unaligned *)(target + targetStep) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    *(atrous_f4_unaligned *)(target + 2 * targetStep) = __builtin_shufflevector(abHigh, cdHigh, 0, 1, 4, 5);
    *(atrous_f4_unaligned *)(target + 3 * targetStep) = __builtin_shufflevector(abHigh, cdHigh, 2, 3, 6, 7);
}

#endif
