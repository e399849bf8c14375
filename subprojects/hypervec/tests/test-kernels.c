/* Every kernel gives what the portable one gives. */
#include "common.h"
#include "kernels.h"

#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define SAMPLE_POSITIONS 4096
#define GUARD 64

static const HypervecKernel *const portable = &hypervec_kernel_portable;

static int32_t random_count(Random *r)
{
    switch (random_below(r, 4)) {
    case 0:
        return HYPERVEC_COUNT_MAX - (int32_t)random_below(r, 3);
    case 1:
        return -HYPERVEC_COUNT_MAX + (int32_t)random_below(r, 3);
    default:
        return (int32_t)random_below(r, 17) - 8;
    }
}

static void fill_counts(Random *r, int32_t *counts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        counts[i] = random_count(r);
    }
}

START_TEST(the_list_ends_with_portable)
{
    const HypervecKernel *const *k = hypervec_kernels();

    while (k[1]) {
        k++;
    }
    ck_assert_ptr_eq(*k, portable);
    ck_assert_str_eq(hypervec_kernel_name(*k), "portable");
}
END_TEST

static void check_listed(const char *name, bool expected)
{
    bool listed = false;

    for (const HypervecKernel *const *k = hypervec_kernels(); *k; k++) {
        listed |= strcmp(hypervec_kernel_name(*k), name) == 0;
    }
    ck_assert_msg(listed == expected, "%s: %d", name, listed);
}

#if defined(__x86_64__)
/* What the operating system keeps of the vector registers when it switches threads. */
static bool system_keeps(uint32_t state, uint32_t features)
{
    uint32_t low, high;

    if (!(features & bit_OSXSAVE)) {
        return false;
    }
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & state) == state;
}

START_TEST(vector_units_are_used_where_they_can_be)
{
    uint32_t eax, ebx = 0, ecx = 0, edx, features = 0;
    uint32_t avx512_bits =
        bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL | bit_BMI2;
    bool avx2, avx512;

    __get_cpuid(1, &eax, &ebx, &features, &edx);
    ebx = 0;
    __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx);
    avx2 = system_keeps(0x6, features) && features & bit_POPCNT && ebx & bit_AVX2 &&
           ebx & bit_BMI;
    avx512 = avx2 && system_keeps(0xE6, features) && (ebx & avx512_bits) == avx512_bits;
    check_listed("avx2", avx2);
#ifndef HYPERVEC_HAVE_AVX512
    avx512 = false;
#endif
    check_listed("avx512", avx512);
    check_listed("avx512-vpopcntdq",
                 avx512 && ecx & bit_AVX512VPOPCNTDQ && ecx & bit_AVX512VBMI2);
}
END_TEST
#else
START_TEST(vector_units_are_used_where_they_can_be)
{
#ifdef HYPERVEC_HAVE_NEON
    check_listed("neon", true);
#endif
    check_listed("avx2", false);
}
END_TEST
#endif

static void compare_sample(const HypervecKernel *kernel, const uint8_t *data,
                           uint32_t n, int32_t limit)
{
    uint16_t expected[SAMPLE_POSITIONS + SAMPLE_SLACK];
    uint16_t found[SAMPLE_POSITIONS + SAMPLE_SLACK];
    size_t taken = portable->sample(data, n, limit, expected);
    bool untouched = true;

    memset(found, 0xA5, sizeof(found));
    ck_assert_uint_eq(kernel->sample(data, n, limit, found), taken);
    ck_assert_int_eq(memcmp(found, expected, taken * sizeof(*found)), 0);
    for (uint32_t i = n + SAMPLE_SLACK; i < SAMPLE_POSITIONS + SAMPLE_SLACK; i++) {
        untouched &= found[i] == 0xA5A5;
    }
    ck_assert(untouched);
}

START_TEST(sample)
{
    static const int32_t limits[] = { INT32_MIN,      -1,       0, INT32_MAX / 2,
                                      INT32_MAX - 64, INT32_MAX };
    /* Data ends where the buffer does, so that memory checkers see reads past it. */
    uint8_t *data = malloc(SAMPLE_POSITIONS + HYPERVEC_NGRAM_BYTES - 1);
    Random r = { 1 };

    for (const HypervecKernel *const *k = hypervec_kernels(); *k; k++) {
        for (int round = 0; round < 300; round++) {
            /* Every rest of two of the longest steps, and whole blocks. */
            uint32_t n = round < 200   ? (uint32_t)round
                         : round < 210 ? SAMPLE_POSITIONS
                                       : random_below(&r, SAMPLE_POSITIONS + 1);
            uint32_t start = SAMPLE_POSITIONS - n;

            random_bytes(&r, data, SAMPLE_POSITIONS + HYPERVEC_NGRAM_BYTES - 1);
            for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
                compare_sample(*k, data + start, n, limits[i]);
            }
            memset(data, round, SAMPLE_POSITIONS + HYPERVEC_NGRAM_BYTES - 1);
            compare_sample(*k, data + start, n, INT32_MAX / 2);
        }
    }
    free(data);
}
END_TEST

/* N-grams that come again at once, later, and never. */
START_TEST(add)
{
    static const uint64_t places[] = { 1024, 4096, 2 * HYPERVEC_DIMENSION_MAX };
    static int32_t expected[HYPERVEC_DIMENSION_MAX], found[HYPERVEC_DIMENSION_MAX];
    static uint32_t recent[2][1 << RECENT_BITS];
    uint16_t positions[SAMPLE_POSITIONS];
    uint8_t *data = malloc(SAMPLE_POSITIONS + HYPERVEC_NGRAM_BYTES - 1);
    Random r = { 12 };

    for (size_t n = 0; n < SAMPLE_POSITIONS; n = n < 40 ? n + 1 : n * 2) {
        size_t period = 1 + random_below(&r, n % 2 ? 20 : SAMPLE_POSITIONS);

        random_bytes(&r, data, SAMPLE_POSITIONS + HYPERVEC_NGRAM_BYTES - 1);
        for (size_t i = period; i < SAMPLE_POSITIONS + HYPERVEC_NGRAM_BYTES - 1; i++) {
            data[i] = data[i - period];
        }
        for (size_t i = 0; i < n; i++) {
            positions[i] = (uint16_t)random_below(&r, SAMPLE_POSITIONS);
        }
        for (const HypervecKernel *const *k = hypervec_kernels(); *k; k++) {
            for (size_t d = 0; d < sizeof(places) / sizeof(*places); d++) {
                memset(recent, (int)(n % 3), sizeof(recent));
                memset(expected, 0, sizeof(expected));
                memset(found, 0, sizeof(found));
                ck_assert_uint_eq(
                    (*k)->add(found, recent[0], data, positions, n, places[d]),
                    portable->add(expected, recent[1], data, positions, n, places[d]));
                ck_assert_mem_eq(found, expected, sizeof(found));
                ck_assert_mem_eq(recent[0], recent[1], sizeof(recent[0]));
            }
        }
    }
    free(data);
}
END_TEST

START_TEST(bundle)
{
    static const int32_t weights[] = {
        0, 1, -1, HYPERVEC_COUNT_MAX, -7, 100, -HYPERVEC_COUNT_MAX
    };
    HypervecSpace space = make_space(1024);
    uint64_t v[HYPERVEC_WORDS(1024) + 1];
    int32_t expected[1024 + 1], found[1024 + 1];
    Random r = { 2 };

    for (const HypervecKernel *const *k = hypervec_kernels(); *k; k++) {
        for (uint32_t round = 0; round < 60; round++) {
            uint64_t *at = v + round % 2;
            int32_t weight = weights[round % 7];

            random_vector(&r, &space, at, round * 20);
            fill_counts(&r, expected, 1025);
            memcpy(found, expected, sizeof(found));
            portable->bundle(expected + 1, at, at + 16, 16, weight);
            (*k)->bundle(found + 1, at, at + 16, 16, weight);
            ck_assert_int_eq(memcmp(found, expected, sizeof(found)), 0);
        }
    }
}
END_TEST

START_TEST(counts_add_clamp_and_strong)
{
    static const int32_t leasts[] = {
        1, 2, 7, 8, HYPERVEC_COUNT_MAX - 1, HYPERVEC_COUNT_MAX, HYPERVEC_COUNT_MAX + 1
    };
    int32_t expected[1537], found[1537], more[1537], beyond[1537];
    Random r = { 3 };

    for (const HypervecKernel *const *k = hypervec_kernels(); *k; k++) {
        for (int round = 0; round < 50; round++) {
            fill_counts(&r, expected, 1537);
            fill_counts(&r, more, 1537);
            memcpy(found, expected, sizeof(found));
            portable->counts_add(expected + 1, more + round % 2, 1536);
            (*k)->counts_add(found + 1, more + round % 2, 1536);
            ck_assert_int_eq(memcmp(found, expected, sizeof(found)), 0);
            random_bytes(&r, more, sizeof(more));
            memcpy(beyond, more, sizeof(more));
            portable->clamp(more + 1, 1536);
            (*k)->clamp(beyond + 1, 1536);
            ck_assert_int_eq(memcmp(more, beyond, sizeof(more)), 0);
            for (size_t i = 0; i < sizeof(leasts) / sizeof(*leasts); i++) {
                ck_assert_uint_eq((*k)->strong(found + 1, 1536, leasts[i]),
                                  portable->strong(found + 1, 1536, leasts[i]));
            }
        }
    }
}
END_TEST

START_TEST(split)
{
    int32_t counts[1537];
    uint64_t expected[2][24 + 1], found[2][24 + 1];
    Random r = { 6 };

    for (const HypervecKernel *const *k = hypervec_kernels(); *k; k++) {
        for (size_t n = 512; n <= 1536; n += 512) {
            for (int32_t least = 1; least <= 10; least++) {
                int32_t this = least < 10 ? least : HYPERVEC_COUNT_MAX - 1;

                fill_counts(&r, counts, 1537);
                memset(expected, 0xA5, sizeof(expected));
                memset(found, 0xA5, sizeof(found));
                portable->split(expected[0], expected[1], counts + 1, n, this);
                (*k)->split(found[0], found[1], counts + 1, n, this);
                ck_assert_int_eq(memcmp(found, expected, sizeof(found)), 0);
            }
        }
    }
}
END_TEST

START_TEST(bind_and_dots)
{
    static uint64_t a[WORDS_MAX + 1], b[4 * WORDS_MAX + 1];
    static uint64_t expected[WORDS_MAX], found[WORDS_MAX];
    Random r = { 4 };

    for (uint32_t dimension = 512; dimension <= HYPERVEC_DIMENSION_MAX;
         dimension += dimension < 4096 ? 512 : 7168) {
        HypervecSpace space = make_space(dimension);
        size_t words = hypervec_words(&space) / 2;

        for (uint32_t density = 0; density <= 4; density++) {
            random_vector(&r, &space, a + 1, dimension / 4 * density);
            for (uint32_t i = 0; i < 4; i++) {
                random_vector(&r, &space, b + 1 + i * 2 * words,
                              dimension / 3 * ((density + i) % 4));
            }
            for (const HypervecKernel *const *k = hypervec_kernels(); *k; k++) {
                int32_t dots[2][4];
                uint32_t active[2][4];

                portable->bind(expected, a + 1, b + 1, words);
                (*k)->bind(found, a + 1, b + 1, words);
                ck_assert(same_vector(&space, found, expected));
                portable->dots(dots[0], active[0], a + 1, b + 1, 4, words);
                (*k)->dots(dots[1], active[1], a + 1, b + 1, 4, words);
                ck_assert_int_eq(memcmp(dots[0], dots[1], sizeof(dots[0])), 0);
                ck_assert_int_eq(memcmp(active[0], active[1], sizeof(active[0])), 0);
                (*k)->dots(dots[1], NULL, a + 1, b + 1, 4, words);
                ck_assert_int_eq(memcmp(dots[0], dots[1], sizeof(dots[0])), 0);
            }
        }
    }
}
END_TEST

/* The sums of a dense vector are those that come nearest to overflowing a byte. */
START_TEST(dots_of_dense_vectors)
{
    static uint64_t a[WORDS_MAX], b[WORDS_MAX];
    HypervecSpace space = make_space(HYPERVEC_DIMENSION_MAX);

    memset(a, 0xFF, sizeof(a));
    memset(b, 0xFF, sizeof(b) / 2);
    for (const HypervecKernel *const *k = hypervec_kernels(); *k; k++) {
        space.kernel = *k;
        ck_assert_int_eq(hypervec_dot(&space, a, a), HYPERVEC_DIMENSION_MAX);
        ck_assert_int_eq(hypervec_dot(&space, a, b), -HYPERVEC_DIMENSION_MAX);
        ck_assert_uint_eq(hypervec_active(&space, b), HYPERVEC_DIMENSION_MAX);
    }
}
END_TEST

START_TEST(encode_and_threshold)
{
    uint8_t *data = malloc(100000 + GUARD);
    Random r = { 5 };

    random_bytes(&r, data, 100000 + GUARD);
    memset(data + 20000, 'x', 3000);
    memcpy(data + 50000, data, 20000);
    for (uint32_t dimension = 512; dimension <= 4096; dimension += 512) {
        HypervecSpace space = make_space(dimension);

        for (int round = 0; round < 40; round++) {
            size_t len = round < 20 ? (size_t)round : random_below(&r, 100000);
            const uint8_t *start = data + random_below(&r, GUARD);
            static int32_t counts[2][4096];
            static uint64_t v[2][HYPERVEC_WORDS(4096)];

            memset(counts[0], 0, sizeof(counts[0]));
            space.kernel = portable;
            hypervec_encode(&space, counts[0], start, len);
            hypervec_threshold(&space, v[0], counts[0], dimension / 10);
            for (const HypervecKernel *const *k = hypervec_kernels(); *k; k++) {
                memset(counts[1], 0, sizeof(counts[1]));
                space.kernel = *k;
                hypervec_encode(&space, counts[1], start, len);
                hypervec_threshold(&space, v[1], counts[1], dimension / 10);
                ck_assert_int_eq(memcmp(counts[0], counts[1], dimension * 4), 0);
                ck_assert(same_vector(&space, v[0], v[1]));
            }
        }
    }
    free(data);
}
END_TEST

RUN_TESTS("kernels", the_list_ends_with_portable,
          vector_units_are_used_where_they_can_be, sample, add, bundle,
          counts_add_clamp_and_strong, split, bind_and_dots, dots_of_dense_vectors,
          encode_and_threshold)
