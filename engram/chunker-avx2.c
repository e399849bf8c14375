#include "engram/chunker-kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define LANES 8

/*
 * The sums of 8 lengths, n to n + 7, without the words that lie 8 and more bytes back:
 * (word(1) << 4) + word(0).  Reads data[n - 8 .. n + 7].
 */
__attribute__((target("avx2"))) static inline __m256i near_words(const uint8_t *data,
                                                                 size_t n)
{
    /* The low half of the register is lengths n to n + 3, the high half the rest. */
    const __m256i select0 =
        _mm256_setr_epi8(4, 5, 6, 7, 5, 6, 7, 8, 6, 7, 8, 9, 7, 8, 9, 10, 8, 9, 10, 11,
                         9, 10, 11, 12, 10, 11, 12, 13, 11, 12, 13, 14);
    const __m256i select1 =
        _mm256_setr_epi8(0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6, 4, 5, 6, 7, 5,
                         6, 7, 8, 6, 7, 8, 9, 7, 8, 9, 10);
    __m256i bytes = _mm256_broadcastsi128_si256(
        _mm_loadu_si128((const __m128i *)(data + n - 8)));
    __m256i word0 = _mm256_shuffle_epi8(bytes, select0);
    __m256i word1 = _mm256_shuffle_epi8(bytes, select1);

    return _mm256_add_epi32(word0, _mm256_slli_epi32(word1, 4));
}

__attribute__((target("avx2"))) static inline __m256i advance(__m256i sum,
                                                              const uint8_t *data,
                                                              size_t n)
{
    return _mm256_add_epi32(_mm256_slli_epi32(sum, 8), near_words(data, n));
}

__attribute__((target("avx2"))) static inline __m256i cuts(__m256i sum, __m256i limit)
{
    __m256i hash = _mm256_xor_si256(sum, _mm256_srli_epi32(sum, 15));

    hash = _mm256_mullo_epi32(hash, _mm256_set1_epi32((int)CHUNKER_MULTIPLIER));
    return _mm256_cmpgt_epi32(hash, limit);
}

__attribute__((target("avx2"))) static size_t
scan_avx2(const uint8_t *data, size_t from, size_t to, uint32_t limit)
{
    const __m256i limits = _mm256_set1_epi32((int)limit);
    __m256i sum = _mm256_setzero_si256();
    size_t n = from;

    if (from >= to || to - from < 4 * LANES + LANES) {
        return chunker_scan_portable(data, from, to, limit);
    }
    for (size_t back = 3 * LANES; back > 0; back -= LANES) {
        sum = advance(sum, data, from - back);
    }
    /* The last load of a round reads up to data[n + 4 * LANES - 1]. */
    for (; to - n > 4 * LANES; n += 4 * LANES) {
        __m256i sum0 = advance(sum, data, n);
        __m256i sum1 = advance(sum0, data, n + LANES);
        __m256i sum2 = advance(sum1, data, n + 2 * LANES);
        __m256i sum3 = advance(sum2, data, n + 3 * LANES);
        __m256i any = _mm256_or_si256(
            _mm256_or_si256(cuts(sum0, limits), cuts(sum1, limits)),
            _mm256_or_si256(cuts(sum2, limits), cuts(sum3, limits)));

        if (!_mm256_testz_si256(any, any)) {
            return chunker_scan_portable(data, n, n + 4 * LANES, limit);
        }
        sum = sum3;
    }
    return chunker_scan_portable(data, n, to, limit);
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}

const ChunkerKernel chunker_kernel_avx2 = {
    .name = "avx2",
    .supported = has_avx2,
    .scan = scan_avx2,
};

#endif
