/* What the operations promise, and how near they come to it. */
#include "common.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DIMENSION 2048
#define WORDS HYPERVEC_WORDS(DIMENSION)

START_TEST(dimensions)
{
    static const uint32_t wrong[] = { 0,     1,          511,
                                      513,   1000,       2047,
                                      33280, UINT32_MAX, UINT32_C(1) << 31 };
    HypervecSpace s = { .dimension = 7 };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        ck_assert(!hypervec_space_init(&s, wrong[i]));
        ck_assert_uint_eq(s.dimension, 7);
    }
    for (uint32_t d = 512; d <= HYPERVEC_DIMENSION_MAX; d += 512) {
        ck_assert(hypervec_space_init(&s, d));
        ck_assert_uint_eq(hypervec_words(&s), HYPERVEC_WORDS(d));
        ck_assert_uint_gt(hypervec_active_default(&s), 0);
    }
}
END_TEST

START_TEST(trits)
{
    HypervecSpace space = make_space(DIMENSION);
    uint64_t v[WORDS] = { 0 };

    for (uint32_t i = 0; i < DIMENSION; i++) {
        hypervec_set(&space, v, i, (int)(i % 3) - 1);
    }
    for (uint32_t i = 0; i < DIMENSION; i++) {
        ck_assert_int_eq(hypervec_get(&space, v, i), (int)(i % 3) - 1);
    }
    ck_assert_uint_eq(hypervec_active(&space, v), DIMENSION - (DIMENSION + 1) / 3);
    for (uint32_t i = 0; i < DIMENSION; i++) {
        hypervec_set(&space, v, i, 0);
    }
    for (uint32_t w = 0; w < WORDS; w++) {
        ck_assert_uint_eq(v[w], 0);
    }
}
END_TEST

START_TEST(operations_trit_by_trit)
{
    HypervecSpace space = make_space(DIMENSION);
    uint64_t a[WORDS], b[WORDS], bound[WORDS], turned[WORDS];
    int32_t counts[DIMENSION] = { 0 };
    Random r = { 1 };
    int32_t dot = 0;

    random_vector(&r, &space, a, 1000);
    random_vector(&r, &space, b, 500);
    hypervec_bind(&space, bound, a, b);
    hypervec_permute(&space, turned, a, 777);
    hypervec_bundle(&space, counts, a, 3);
    hypervec_bundle(&space, counts, b, -2);
    for (uint32_t i = 0; i < DIMENSION; i++) {
        int ta = hypervec_get(&space, a, i), tb = hypervec_get(&space, b, i);

        ck_assert_int_eq(hypervec_get(&space, bound, i), ta * tb);
        ck_assert_int_eq(hypervec_get(&space, turned, (i + 777) % DIMENSION), ta);
        ck_assert_int_eq(counts[i], 3 * ta - 2 * tb);
        dot += ta * tb;
    }
    ck_assert_int_eq(hypervec_dot(&space, a, b), dot);
    ck_assert_double_eq(
        hypervec_similarity(&space, a, b),
        dot / sqrt((double)hypervec_active(&space, a) * hypervec_active(&space, b)));
    hypervec_bind(&space, a, a, b);
    ck_assert(same_vector(&space, a, bound));
}
END_TEST

START_TEST(unbinding)
{
    HypervecSpace space = make_space(DIMENSION);
    uint64_t v[WORDS], key[WORDS], holes[WORDS], bound[WORDS], back[WORDS];
    Random r = { 2 };

    random_vector(&r, &space, v, 256);
    hypervec_item(&space, key, "etc", 3);
    ck_assert_uint_eq(hypervec_active(&space, key), DIMENSION);
    hypervec_bind(&space, bound, v, key);
    ck_assert_double_lt(fabs(hypervec_similarity(&space, bound, v)), 0.2);
    hypervec_unbind(&space, back, bound, key);
    ck_assert(same_vector(&space, back, v));

    random_vector(&r, &space, holes, 1024);
    hypervec_bind(&space, bound, v, holes);
    hypervec_unbind(&space, back, bound, holes);
    for (uint32_t i = 0; i < DIMENSION; i++) {
        ck_assert_int_eq(hypervec_get(&space, back, i), hypervec_get(&space, holes, i)
                                                            ? hypervec_get(&space, v, i)
                                                            : 0);
    }
}
END_TEST

/* Binding with one key keeps similarities; it distributes over bundling. */
START_TEST(binding_is_an_isometry)
{
    HypervecSpace space = make_space(DIMENSION);
    uint64_t a[WORDS], b[WORDS], key[WORDS], ka[WORDS], kb[WORDS];
    int32_t sum[DIMENSION] = { 0 }, bound_sum[DIMENSION] = { 0 };
    Random r = { 3 };

    random_vector(&r, &space, a, 300);
    random_vector(&r, &space, b, 1500);
    hypervec_item(&space, key, "name", 4);
    hypervec_bind(&space, ka, a, key);
    hypervec_bind(&space, kb, b, key);
    ck_assert_int_eq(hypervec_dot(&space, ka, kb), hypervec_dot(&space, a, b));
    hypervec_bundle(&space, sum, a, 2);
    hypervec_bundle(&space, sum, b, 1);
    hypervec_bundle(&space, bound_sum, ka, 2);
    hypervec_bundle(&space, bound_sum, kb, 1);
    hypervec_threshold(&space, a, sum, DIMENSION);
    hypervec_threshold(&space, b, bound_sum, DIMENSION);
    hypervec_bind(&space, ka, a, key);
    ck_assert(same_vector(&space, ka, b));
}
END_TEST

START_TEST(permuting)
{
    HypervecSpace space = make_space(DIMENSION);
    static const int64_t steps[] = { 0,    1,         63,        64,       65,  1000,
                                     2047, INT64_MAX, INT64_MIN, -1,       -64, -2047,
                                     2048, -2048,     4096,      123456789 };
    uint64_t v[WORDS], there[WORDS], back[WORDS], twice[WORDS];
    Random r = { 4 };

    random_vector(&r, &space, v, 700);
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        int64_t inverse = -(steps[i] % DIMENSION);

        hypervec_permute(&space, there, v, steps[i]);
        hypervec_permute(&space, back, there, inverse);
        ck_assert(same_vector(&space, back, v));
        hypervec_permute(&space, twice, there, 1);
        hypervec_permute(&space, back, v, steps[i] % DIMENSION + 1);
        ck_assert(same_vector(&space, twice, back));
        if (steps[i] % DIMENSION != 0) {
            ck_assert_double_lt(fabs(hypervec_similarity(&space, there, v)), 0.2);
        }
    }
}
END_TEST

/* Cosines of unrelated vectors have mean 0 and deviation 1 / sqrt(dimension). */
START_TEST(unrelated_items_are_nearly_orthogonal)
{
    HypervecSpace space = make_space(DIMENSION);
    static uint64_t items[200][WORDS];
    double similarities[200], sum = 0, squares = 0;
    int n = 0;

    for (int i = 0; i < 200; i++) {
        char name[16];

        snprintf(name, sizeof(name), "name%d", i);
        hypervec_item(&space, items[i], name, strlen(name));
    }
    for (int i = 0; i < 200; i++) {
        hypervec_similarities(&space, similarities, items[i], items[0], i);
        for (int j = 0; j < i; j++, n++) {
            sum += similarities[j];
            squares += similarities[j] * similarities[j];
        }
    }
    ck_assert_double_lt(fabs(sum / n), 0.001);
    ck_assert_double_gt(sqrt(squares / n * DIMENSION), 0.97);
    ck_assert_double_lt(sqrt(squares / n * DIMENSION), 1.03);
    hypervec_item(&space, items[1], "", 0);
    ck_assert_double_lt(fabs(hypervec_similarity(&space, items[0], items[1])), 0.2);
}
END_TEST

/*
 * The majority of n (odd) items agrees with each of them in a share of trits of
 * 1/2 + C(n - 1, (n - 1) / 2) / 2^n, that is with a cosine of twice what is over 1/2.
 */
START_TEST(bundles_are_like_their_parts)
{
    HypervecSpace space = make_space(DIMENSION);
    for (int n = 3; n <= 51; n += 12) {
        uint64_t items[51][WORDS], bundle[WORDS];
        int32_t counts[DIMENSION] = { 0 };
        double expected = 1, mean = 0;

        for (int i = 1; i <= (n - 1) / 2; i++) {
            expected *= (2.0 * i - 1) / (2.0 * i);
        }
        for (int i = 0; i < n; i++) {
            uint8_t name[2] = { (uint8_t)n, (uint8_t)i };

            hypervec_item(&space, items[i], name, sizeof(name));
            hypervec_bundle(&space, counts, items[i], 1);
        }
        hypervec_threshold(&space, bundle, counts, DIMENSION);
        ck_assert_uint_eq(hypervec_active(&space, bundle), DIMENSION);
        for (int i = 0; i < n; i++) {
            mean += hypervec_similarity(&space, bundle, items[i]) / n;
        }
        ck_assert_double_lt(fabs(mean - expected), 0.01);
    }
}
END_TEST

/* A record of 15 roles: what was bound to a role is found again among 1000 items. */
START_TEST(records_are_cleaned_up)
{
    HypervecSpace space = make_space(DIMENSION);
    static uint64_t memory[1000][WORDS];
    int32_t counts[DIMENSION] = { 0 }, dots[1000];
    uint64_t role[WORDS], record[WORDS], found[WORDS];

    for (uint16_t i = 0; i < 1000; i++) {
        hypervec_item(&space, memory[i], &i, sizeof(i));
    }
    for (uint8_t i = 0; i < 15; i++) {
        hypervec_item(&space, role, &i, 1);
        hypervec_bind(&space, found, memory[60 * i + 7], role);
        hypervec_bundle(&space, counts, found, 1);
    }
    hypervec_threshold(&space, record, counts, DIMENSION);
    for (uint8_t i = 0; i < 15; i++) {
        int best = 0;

        hypervec_item(&space, role, &i, 1);
        hypervec_unbind(&space, found, record, role);
        hypervec_dots(&space, dots, found, memory[0], 1000);
        for (int j = 1; j < 1000; j++) {
            best = dots[j] > dots[best] ? j : best;
        }
        ck_assert_int_eq(best, 60 * i + 7);
    }
}
END_TEST

START_TEST(counts_saturate)
{
    HypervecSpace space = make_space(DIMENSION);
    int32_t counts[DIMENSION] = { 0 }, more[DIMENSION] = { 0 };
    uint64_t v[WORDS] = { 0 };

    hypervec_set(&space, v, 3, 1);
    hypervec_set(&space, v, 4, -1);
    for (int i = 0; i < 3; i++) {
        hypervec_bundle(&space, counts, v, HYPERVEC_COUNT_MAX);
        ck_assert_int_eq(counts[3], HYPERVEC_COUNT_MAX);
        ck_assert_int_eq(counts[4], -HYPERVEC_COUNT_MAX);
    }
    memcpy(more, counts, sizeof(counts));
    hypervec_counts_add(&space, counts, more);
    ck_assert_int_eq(counts[3], HYPERVEC_COUNT_MAX);
    ck_assert_int_eq(counts[4], -HYPERVEC_COUNT_MAX);
    hypervec_threshold(&space, v, counts, 1);
    ck_assert_int_eq(hypervec_get(&space, v, 3), 1);
    ck_assert_uint_eq(hypervec_active(&space, v), 1);
}
END_TEST

/* The strongest are taken, of equals those that come first. */
START_TEST(threshold)
{
    HypervecSpace space = make_space(DIMENSION);
    int32_t counts[DIMENSION] = { 0 };
    uint64_t v[WORDS];

    hypervec_threshold(&space, v, counts, 10);
    ck_assert_uint_eq(hypervec_active(&space, v), 0);
    for (uint32_t i = 0; i < DIMENSION; i++) {
        counts[i] = i % 5 == 0   ? (i % 2 ? 5 : -5)
                    : i % 5 == 1 ? 4
                    : i % 5 == 2 ? -1
                                 : 0;
    }
    for (uint32_t active = 0; active <= DIMENSION; active += 37) {
        static const int32_t order[] = { 5, 4, 1 };
        int32_t size = 0;
        uint32_t left = active;
        uint64_t expected[WORDS] = { 0 };

        for (size_t o = 0; o < 3; o++) {
            size = order[o];
            for (uint32_t i = 0; i < DIMENSION && left > 0; i++) {
                if (counts[i] == size || counts[i] == -size) {
                    hypervec_set(&space, expected, i, counts[i] > 0 ? 1 : -1);
                    left--;
                }
            }
        }
        hypervec_threshold(&space, v, counts, active);
        ck_assert(same_vector(&space, v, expected));
    }
}
END_TEST

START_TEST(similarities)
{
    HypervecSpace space = make_space(DIMENSION);
    static uint64_t vectors[700][WORDS];
    double all[700];
    uint64_t zero[WORDS] = { 0 };
    Random r = { 5 };

    for (int i = 0; i < 700; i++) {
        random_vector(&r, &space, vectors[i], 3 * (uint32_t)i);
    }
    hypervec_similarities(&space, all, vectors[300], vectors[0], 700);
    for (int i = 0; i < 700; i++) {
        ck_assert_double_eq(all[i],
                            hypervec_similarity(&space, vectors[i], vectors[300]));
    }
    ck_assert_double_eq(all[0], 0);
    ck_assert_double_eq(all[300], 1);
    ck_assert_double_eq(hypervec_similarity(&space, zero, zero), 0);
    hypervec_similarities(&space, all, vectors[300], vectors[0], 0);
}
END_TEST

RUN_TESTS("algebra", dimensions, trits, operations_trit_by_trit, unbinding,
          binding_is_an_isometry, permuting, unrelated_items_are_nearly_orthogonal,
          bundles_are_like_their_parts, records_are_cleaned_up, counts_saturate,
          threshold, similarities)
