#include "kernels.h"

#ifdef HYPERVEC_HAVE_AVX512

#include <immintrin.h>

#define AVX512_FEATURES "avx512f,avx512bw,avx512dq,avx512vl,bmi,bmi2,popcnt"
#define AVX512 __attribute__((target(AVX512_FEATURES)))
#define VPOPCNTDQ __attribute__((target(AVX512_FEATURES ",avx512vpopcntdq")))
#define VBMI2 __attribute__((target(AVX512_FEATURES ",avx512vbmi2")))

#define LANES 16
#define SAMPLE_STEP 64

/* Bit i says whether sample_hash(p + 4 * i) is above the limit.  Reads p[0 .. 67]. */
AVX512 static inline uint64_t above(const uint8_t *p, __m512i limit)
{
    __m512i low = _mm512_loadu_si512(p);
    __m512i high = _mm512_loadu_si512(p + 4);
    __m512i hash = _mm512_add_epi32(
        _mm512_mullo_epi32(low, _mm512_set1_epi32((int)SAMPLE_MULTIPLIER_LOW)),
        _mm512_mullo_epi32(high, _mm512_set1_epi32((int)SAMPLE_MULTIPLIER_HIGH)));

    return _mm512_cmpgt_epi32_mask(hash, limit);
}

/* Bit i says whether sample_hash(p + i) is above the limit.  Reads p[0 .. 70]. */
AVX512 static inline uint64_t sampled(const uint8_t *p, __m512i limit)
{
    const uint64_t fourth = 0x1111111111111111;

    return _pdep_u64(above(p, limit), fourth) |
           _pdep_u64(above(p + 1, limit), fourth << 1) |
           _pdep_u64(above(p + 2, limit), fourth << 2) |
           _pdep_u64(above(p + 3, limit), fourth << 3);
}

/*
 * Writes the positions p + i of the bits i of mask, and returns how many they are.  May
 * write others after them, within SAMPLE_STEP.
 */
AVX512 static inline size_t write_many(uint16_t *positions, uint32_t p, uint64_t mask)
{
    const __m512i first =
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    size_t n = 0;

    for (uint32_t i = 0; i < SAMPLE_STEP; i += LANES) {
        __mmask16 lanes = (__mmask16)(mask >> i);
        __m512i all = _mm512_add_epi32(first, _mm512_set1_epi32((int)(p + i)));
        __m256i some = _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(lanes, all));

        _mm256_storeu_si256((__m256i *)(positions + n), some);
        n += (size_t)_mm_popcnt_u32(lanes);
    }
    return n;
}

/* The same by instructions that came together with VPOPCNTDQ. */
VBMI2 static inline size_t write_all(uint16_t *positions, uint32_t p, uint64_t mask)
{
    const __m512i first = _mm512_set_epi8(
        63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44,
        43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24,
        23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2,
        1, 0);
    const __m512i start = _mm512_set1_epi16((short)p);
    __m512i some = _mm512_maskz_compress_epi8(mask, first);
    __m512i low = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(some));
    size_t n = (size_t)_mm_popcnt_u64(mask);

    _mm512_storeu_si512(positions, _mm512_add_epi16(start, low));
    if (n > SAMPLE_STEP / 2) {
        __m512i high = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(some, 1));

        _mm512_storeu_si512(positions + SAMPLE_STEP / 2, _mm512_add_epi16(start, high));
    }
    return n;
}

/* The positions from p on, one by one. */
static size_t sample_rest(const uint8_t *data, uint32_t p, uint32_t n, int32_t limit,
                          uint16_t *positions)
{
    size_t taken = 0;

    for (; p < n; p++) {
        positions[taken] = (uint16_t)p;
        taken += sample_hash(data + p) > limit;
    }
    return taken;
}

AVX512 static size_t sample_avx512(const uint8_t *data, uint32_t n, int32_t limit,
                                   uint16_t *positions)
{
    const __m512i limits = _mm512_set1_epi32(limit);
    size_t taken = 0;
    uint32_t p = 0;

    for (; p + SAMPLE_STEP <= n; p += SAMPLE_STEP) {
        uint64_t mask = sampled(data + p, limits);
        size_t few = (size_t)_mm_popcnt_u64(mask);

        if (few > SAMPLE_SLACK) {
            taken += write_many(positions + taken, p, mask);
            continue;
        }
        /* Of a long content mostly: four are written, needed or not. */
        for (int i = 0; i < SAMPLE_SLACK; i++) {
            positions[taken + i] = (uint16_t)(p + _tzcnt_u64(mask));
            mask = _blsr_u64(mask);
        }
        taken += few;
    }
    return taken + sample_rest(data, p, n, limit, positions + taken);
}

VBMI2 static size_t sample_vbmi2(const uint8_t *data, uint32_t n, int32_t limit,
                                 uint16_t *positions)
{
    const __m512i limits = _mm512_set1_epi32(limit);
    size_t taken = 0;
    uint32_t p = 0;

    for (; p + SAMPLE_STEP <= n; p += SAMPLE_STEP) {
        taken += write_all(positions + taken, p, sampled(data + p, limits));
    }
    return taken + sample_rest(data, p, n, limit, positions + taken);
}

#define NGRAMS 8

/* What add_item() and is_new() have to know of some n-grams. */
typedef struct NgramItems {
    uint32_t slots[NGRAMS], marks[NGRAMS];
    uint32_t trits[2][NGRAMS];
    int32_t signs[2][NGRAMS];
} NgramItems;

AVX512 static inline void narrow(void *out, __m512i lanes)
{
    _mm256_storeu_si256((__m256i *)out, _mm512_cvtepi64_epi32(lanes));
}

/* The trit and the sign that the low half of each hash tells. */
AVX512 static inline void make_trits(uint32_t *trits, int32_t *signs, __m512i hashes,
                                     __m512i places)
{
    __m512i place = _mm512_srli_epi64(_mm512_mul_epu32(hashes, places), 32);
    __m512i odd = _mm512_and_si512(place, _mm512_set1_epi64(1));

    narrow(trits, _mm512_srli_epi64(place, 1));
    narrow(signs, _mm512_sub_epi64(_mm512_set1_epi64(1), _mm512_slli_epi64(odd, 1)));
}

/* The n-grams at two positions. */
AVX512 static inline __m128i load_two(const uint8_t *data, const uint16_t *positions)
{
    __m128i first = _mm_loadl_epi64((const __m128i *)(data + positions[0]));
    __m128i second = _mm_loadl_epi64((const __m128i *)(data + positions[1]));

    return _mm_unpacklo_epi64(first, second);
}

/* Instructions that gather take longer than loads. */
AVX512 static inline __m512i load_eight(const uint8_t *data, const uint16_t *positions)
{
    __m256i low =
        _mm256_setr_m128i(load_two(data, positions), load_two(data, positions + 2));
    __m256i high =
        _mm256_setr_m128i(load_two(data, positions + 4), load_two(data, positions + 6));

    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

AVX512 static inline void make_items(NgramItems *items, const uint8_t *data,
                                     const uint16_t *positions, __m512i places)
{
    const __m512i multiplier = _mm512_set1_epi64((int64_t)NGRAM_MULTIPLIER);
    __m512i hash = load_eight(data, positions);

    hash = _mm512_xor_si512(hash, _mm512_set1_epi64((int64_t)NGRAM_KEY));
    hash = _mm512_mullo_epi64(hash, multiplier);
    hash = _mm512_xor_si512(hash, _mm512_srli_epi64(hash, 32));
    hash = _mm512_mullo_epi64(hash, multiplier);
    hash = _mm512_xor_si512(hash, _mm512_srli_epi64(hash, 32));
    narrow(items->slots, _mm512_srli_epi64(hash, 64 - RECENT_BITS));
    narrow(items->marks, _mm512_or_si512(hash, _mm512_set1_epi64(1)));
    make_trits(items->trits[0], items->signs[0], hash, places);
    make_trits(items->trits[1], items->signs[1], _mm512_srli_epi64(hash, 32), places);
}

AVX512 static uint64_t add_avx512(int32_t *counts, uint32_t *recent,
                                  const uint8_t *data, const uint16_t *positions,
                                  size_t n, uint64_t places)
{
    const __m512i all_places = _mm512_set1_epi64((int64_t)places);
    uint64_t added = 0;
    size_t i = 0;

    for (; i + NGRAMS <= n; i += NGRAMS) {
        NgramItems items;

        make_items(&items, data, positions + i, all_places);
        for (int j = 0; j < NGRAMS; j++) {
            uint32_t *slot = &recent[items.slots[j]];
            bool other = *slot != items.marks[j];
            int32_t mask = -(int32_t)other;

            *slot = items.marks[j];
            added += other;
            counts[items.trits[0][j]] += items.signs[0][j] & mask;
            counts[items.trits[1][j]] += items.signs[1][j] & mask;
        }
    }
    return added +
           hypervec_add_portable(counts, recent, data, positions + i, n - i, places);
}

AVX512 static inline void add_clamped(int32_t *counts, __m512i more)
{
    const __m512i most = _mm512_set1_epi32(HYPERVEC_COUNT_MAX);
    const __m512i least = _mm512_set1_epi32(-HYPERVEC_COUNT_MAX);
    __m512i sum = _mm512_add_epi32(_mm512_loadu_si512(counts), more);

    sum = _mm512_min_epi32(_mm512_max_epi32(sum, least), most);
    _mm512_storeu_si512(counts, sum);
}

AVX512 static void bundle_avx512(int32_t *counts, const uint64_t *nonzero,
                                 const uint64_t *negative, size_t words, int32_t weight)
{
    const __m512i plus = _mm512_set1_epi32(weight);
    const __m512i minus = _mm512_set1_epi32(-weight);

    for (size_t w = 0; w < words; w++) {
        for (int shift = 0; shift < 64; shift += LANES) {
            __mmask16 some = (__mmask16)(nonzero[w] >> shift);
            __mmask16 less = (__mmask16)(negative[w] >> shift);
            __m512i more = _mm512_maskz_mov_epi32(some, plus);

            more = _mm512_mask_mov_epi32(more, less, minus);
            add_clamped(counts + w * 64 + shift, more);
        }
    }
}

AVX512 static void counts_add_avx512(int32_t *counts, const int32_t *more, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        add_clamped(counts + i, _mm512_loadu_si512(more + i));
    }
}

AVX512 static void clamp_avx512(int32_t *counts, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        add_clamped(counts + i, _mm512_setzero_si512());
    }
}

AVX512 static uint32_t strong_avx512(const int32_t *counts, size_t n, int32_t least)
{
    const __m512i below = _mm512_set1_epi32(least - 1);
    uint32_t strong = 0;

    for (size_t i = 0; i < n; i += LANES) {
        __m512i size = _mm512_abs_epi32(_mm512_loadu_si512(counts + i));

        strong += (uint32_t)_mm_popcnt_u32(_mm512_cmpgt_epi32_mask(size, below));
    }
    return strong;
}

AVX512 static void split_avx512(uint64_t *nonzero, uint64_t *negative,
                                const int32_t *counts, size_t n, int32_t least)
{
    const __m512i below = _mm512_set1_epi32(least - 1);

    for (size_t w = 0; w < n / 64; w++) {
        uint64_t strong = 0, minus = 0;

        for (int shift = 0; shift < 64; shift += LANES) {
            __m512i c = _mm512_loadu_si512(counts + w * 64 + shift);
            __mmask16 some = _mm512_cmpgt_epi32_mask(_mm512_abs_epi32(c), below);
            __mmask16 less =
                _mm512_mask_cmplt_epi32_mask(some, c, _mm512_setzero_si512());

            strong |= (uint64_t)some << shift;
            minus |= (uint64_t)less << shift;
        }
        nonzero[w] = strong;
        negative[w] = minus;
    }
}

VPOPCNTDQ static inline uint64_t add_up(__m256i sum)
{
    __m128i half =
        _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));

    return (uint64_t)(_mm_cvtsi128_si64(half) + _mm_extract_epi64(half, 1));
}

/*
 * In registers of 256 bits: of vectors that come from memory that is twice as fast.
 */
VPOPCNTDQ static inline int32_t dot_one(const uint64_t *a, const uint64_t *b,
                                        size_t words, uint32_t *active)
{
    __m256i sum = _mm256_setzero_si256();
    __m256i differ = _mm256_setzero_si256();
    __m256i nonzero = _mm256_setzero_si256();

    for (size_t w = 0; w < words; w += 4) {
        __m256i trits = _mm256_loadu_si256((const __m256i *)(b + w));
        __m256i shared =
            _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(a + w)), trits);
        __m256i signs =
            _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(a + words + w)),
                             _mm256_loadu_si256((const __m256i *)(b + words + w)));

        sum = _mm256_add_epi64(sum, _mm256_popcnt_epi64(shared));
        differ = _mm256_add_epi64(differ,
                                  _mm256_popcnt_epi64(_mm256_and_si256(signs, shared)));
        if (active) {
            nonzero = _mm256_add_epi64(nonzero, _mm256_popcnt_epi64(trits));
        }
    }
    if (active) {
        *active = (uint32_t)add_up(nonzero);
    }
    return (int32_t)add_up(_mm256_sub_epi64(sum, _mm256_add_epi64(differ, differ)));
}

VPOPCNTDQ static void dots_vpopcntdq(int32_t *out, uint32_t *active,
                                     const uint64_t *query, const uint64_t *vectors,
                                     size_t n, size_t words)
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

/* These ask whether the operating system keeps the registers, too. */
static bool has_avx512(void)
{
    return hypervec_kernel_avx2.supported() && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static bool has_vpopcntdq(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512vpopcntdq") &&
           __builtin_cpu_supports("avx512vbmi2");
}

const HypervecKernel hypervec_kernel_avx512 = {
    .name = "avx512",
    .supported = has_avx512,
    .sample = sample_avx512,
    .add = add_avx512,
    .bundle = bundle_avx512,
    .counts_add = counts_add_avx512,
    .clamp = clamp_avx512,
    .strong = strong_avx512,
    .split = split_avx512,
    .bind = hypervec_bind_avx2,
    .dots = hypervec_dots_avx2,
};

const HypervecKernel hypervec_kernel_avx512_vpopcntdq = {
    .name = "avx512-vpopcntdq",
    .supported = has_vpopcntdq,
    .sample = sample_vbmi2,
    .add = add_avx512,
    .bundle = bundle_avx512,
    .counts_add = counts_add_avx512,
    .clamp = clamp_avx512,
    .strong = strong_avx512,
    .split = split_avx512,
    .bind = hypervec_bind_avx2,
    .dots = dots_vpopcntdq,
};

#endif
