#include "kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,bmi,popcnt")))

#define LANES 8
#define SAMPLE_STEP 32

/* sample_hash(p), (p + 4), ... (p + 28).  Reads p[0 .. 35]. */
AVX2 static inline __m256i hash_strided(const uint8_t *p)
{
    __m256i low = _mm256_loadu_si256((const __m256i *)p);
    __m256i high = _mm256_loadu_si256((const __m256i *)(p + 4));

    return _mm256_add_epi32(
        _mm256_mullo_epi32(low, _mm256_set1_epi32((int)SAMPLE_MULTIPLIER_LOW)),
        _mm256_mullo_epi32(high, _mm256_set1_epi32((int)SAMPLE_MULTIPLIER_HIGH)));
}

AVX2 static inline __m256i above(const uint8_t *p, __m256i limit)
{
    return _mm256_cmpgt_epi32(hash_strided(p), limit);
}

/* Bit i says whether sample_hash(p + i) is above the limit.  Reads p[0 .. 38]. */
AVX2 static inline uint32_t sampled(const uint8_t *p, __m256i limit)
{
    const __m256i odd_bytes = _mm256_set1_epi16((short)0xFF00);
    __m256i even = _mm256_blend_epi16(above(p, limit), above(p + 2, limit), 0xAA);
    __m256i odd = _mm256_blend_epi16(above(p + 1, limit), above(p + 3, limit), 0xAA);

    return (uint32_t)_mm256_movemask_epi8(_mm256_blendv_epi8(even, odd, odd_bytes));
}

AVX2 static size_t sample_avx2(const uint8_t *data, uint32_t n, int32_t limit,
                               uint16_t *positions)
{
    const __m256i limits = _mm256_set1_epi32(limit);
    size_t taken = 0;
    uint32_t p = 0;

    for (; p + SAMPLE_STEP <= n; p += SAMPLE_STEP) {
        uint32_t mask = sampled(data + p, limits);
        size_t end = taken + (size_t)_mm_popcnt_u32(mask);

        /* Mostly there are few: four are written, needed or not, without a branch. */
        for (int i = 0; i < SAMPLE_SLACK; i++) {
            positions[taken + i] = (uint16_t)(p + _tzcnt_u32(mask));
            mask = _blsr_u32(mask);
        }
        for (taken += SAMPLE_SLACK; mask; mask = _blsr_u32(mask)) {
            positions[taken++] = (uint16_t)(p + _tzcnt_u32(mask));
        }
        taken = end;
    }
    for (; p < n; p++) {
        positions[taken] = (uint16_t)p;
        taken += sample_hash(data + p) > limit;
    }
    return taken;
}

/* -1 in each lane whose bit is set. */
AVX2 static inline __m256i spread_bits(uint8_t bits)
{
    const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);

    return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(bits), lane), lane);
}

AVX2 static inline void add_clamped(int32_t *counts, __m256i more)
{
    const __m256i most = _mm256_set1_epi32(HYPERVEC_COUNT_MAX);
    const __m256i least = _mm256_set1_epi32(-HYPERVEC_COUNT_MAX);
    __m256i sum = _mm256_add_epi32(_mm256_loadu_si256((const __m256i *)counts), more);

    sum = _mm256_min_epi32(_mm256_max_epi32(sum, least), most);
    _mm256_storeu_si256((__m256i *)counts, sum);
}

AVX2 static void bundle_avx2(int32_t *counts, const uint64_t *nonzero,
                             const uint64_t *negative, size_t words, int32_t weight)
{
    const __m256i weights = _mm256_set1_epi32(weight);

    for (size_t w = 0; w < words; w++) {
        for (int shift = 0; shift < 64; shift += LANES) {
            __m256i minus = spread_bits((uint8_t)(negative[w] >> shift));
            __m256i more =
                _mm256_and_si256(spread_bits((uint8_t)(nonzero[w] >> shift)), weights);

            more = _mm256_sub_epi32(_mm256_xor_si256(more, minus), minus);
            add_clamped(counts + w * 64 + shift, more);
        }
    }
}

AVX2 static void counts_add_avx2(int32_t *counts, const int32_t *more, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        add_clamped(counts + i, _mm256_loadu_si256((const __m256i *)(more + i)));
    }
}

AVX2 static void clamp_avx2(int32_t *counts, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        add_clamped(counts + i, _mm256_setzero_si256());
    }
}

AVX2 static uint32_t strong_avx2(const int32_t *counts, size_t n, int32_t least)
{
    const __m256i below = _mm256_set1_epi32(least - 1);
    __m256i strong = _mm256_setzero_si256();
    uint32_t lanes[LANES], sum = 0;

    for (size_t i = 0; i < n; i += LANES) {
        __m256i c = _mm256_loadu_si256((const __m256i *)(counts + i));

        strong =
            _mm256_sub_epi32(strong, _mm256_cmpgt_epi32(_mm256_abs_epi32(c), below));
    }
    _mm256_storeu_si256((__m256i *)lanes, strong);
    for (int i = 0; i < LANES; i++) {
        sum += lanes[i];
    }
    return sum;
}

AVX2 static inline uint64_t lane_bits(__m256i lanes)
{
    return (uint64_t)(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(lanes));
}

AVX2 static void split_avx2(uint64_t *nonzero, uint64_t *negative,
                            const int32_t *counts, size_t n, int32_t least)
{
    const __m256i below = _mm256_set1_epi32(least - 1);

    for (size_t w = 0; w < n / 64; w++) {
        uint64_t strong = 0, minus = 0;

        for (int shift = 0; shift < 64; shift += LANES) {
            __m256i c = _mm256_loadu_si256((const __m256i *)(counts + w * 64 + shift));
            __m256i size = _mm256_abs_epi32(c);

            strong |= lane_bits(_mm256_cmpgt_epi32(size, below)) << shift;
            minus |= lane_bits(c) << shift;
        }
        nonzero[w] = strong;
        negative[w] = minus & strong;
    }
}

AVX2 void hypervec_bind_avx2(uint64_t *out, const uint64_t *a, const uint64_t *b,
                             size_t words)
{
    for (size_t w = 0; w < words; w += 4) {
        __m256i nonzero =
            _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(a + w)),
                             _mm256_loadu_si256((const __m256i *)(b + w)));
        __m256i negative =
            _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(a + words + w)),
                             _mm256_loadu_si256((const __m256i *)(b + words + w)));

        _mm256_storeu_si256((__m256i *)(out + w), nonzero);
        _mm256_storeu_si256((__m256i *)(out + words + w),
                            _mm256_and_si256(negative, nonzero));
    }
}

/* How many bits of each byte are set. */
AVX2 static inline __m256i popcount_bytes(__m256i x)
{
    const __m256i counts =
        _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1,
                         2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble);

    return _mm256_add_epi8(_mm256_shuffle_epi8(counts, _mm256_and_si256(x, nibble)),
                           _mm256_shuffle_epi8(counts, high));
}

AVX2 static inline uint32_t add_up(__m256i bytes_sad)
{
    __m128i sum = _mm_add_epi64(_mm256_castsi256_si128(bytes_sad),
                                _mm256_extracti128_si256(bytes_sad, 1));

    return (uint32_t)(_mm_cvtsi128_si64(sum) + _mm_extract_epi64(sum, 1));
}

AVX2 static inline int32_t dot_one(const uint64_t *a, const uint64_t *b, size_t words,
                                   uint32_t *active)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i both = zero, differ = zero, nonzero = zero;

    /* Bytes hold the sums of up to 31 popcounts; 512 trits are two. */
    for (size_t w = 0; w < words;) {
        size_t end = w + 64 < words ? w + 64 : words;
        __m256i both_bytes = zero, differ_bytes = zero, nonzero_bytes = zero;

        for (; w < end; w += 4) {
            __m256i trits = _mm256_loadu_si256((const __m256i *)(b + w));
            __m256i shared =
                _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(a + w)), trits);
            __m256i signs =
                _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(a + words + w)),
                                 _mm256_loadu_si256((const __m256i *)(b + words + w)));

            both_bytes = _mm256_add_epi8(both_bytes, popcount_bytes(shared));
            differ_bytes = _mm256_add_epi8(
                differ_bytes, popcount_bytes(_mm256_and_si256(signs, shared)));
            if (active) {
                nonzero_bytes = _mm256_add_epi8(nonzero_bytes, popcount_bytes(trits));
            }
        }
        both = _mm256_add_epi64(both, _mm256_sad_epu8(both_bytes, zero));
        differ = _mm256_add_epi64(differ, _mm256_sad_epu8(differ_bytes, zero));
        nonzero = _mm256_add_epi64(nonzero, _mm256_sad_epu8(nonzero_bytes, zero));
    }
    if (active) {
        *active = add_up(nonzero);
    }
    return (int32_t)add_up(both) - 2 * (int32_t)add_up(differ);
}

AVX2 void hypervec_dots_avx2(int32_t *out, uint32_t *active, const uint64_t *query,
                             const uint64_t *vectors, size_t n, size_t words)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t *v = vectors + i * 2 * words;

        if (i + PREFETCH_VECTORS < n) {
            prefetch_vector(v + PREFETCH_VECTORS * 2 * words, words);
        }
        out[i] = active ? dot_one(query, v, words, &active[i])
                        : dot_one(query, v, words, NULL);
    }
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("popcnt");
}

const HypervecKernel hypervec_kernel_avx2 = {
    .name = "avx2",
    .supported = has_avx2,
    .sample = sample_avx2,
    .add = hypervec_add_portable,
    .bundle = bundle_avx2,
    .counts_add = counts_add_avx2,
    .clamp = clamp_avx2,
    .strong = strong_avx2,
    .split = split_avx2,
    .bind = hypervec_bind_avx2,
    .dots = hypervec_dots_avx2,
};

#endif
