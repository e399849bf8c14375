/*
 * Sequences, records and codebooks: what they promise, and how many parts they hold,
 * against what the theory says.
 *
 * The right one of D items wins against all others with a chance of
 *
 *     integral of exp(-h^2/2) / sqrt(2 pi) * Phi(h + s)^(D - 1) dh
 *
 * where s is how far the cosine with the right one is above those with the others, in
 * units of the deviation of these, which is 1 / sqrt(N) in N dimensions (E. P. Frady,
 * D. Kleyko, F. T. Sommer, "A Theory of Sequence Indexing and Working Memory in
 * Recurrent Neural Networks", Neural Computation 30, 2018).  The cosine of a sum of M
 * parts, of which the strongest share r of the counts is kept, with one of them is
 *
 *     2 phi(t) / sqrt(r M),    r = 2 (1 - Phi(t))
 *
 * as counts are nearly normal and a part moves each by 1 / sqrt(M) of their deviation: for
 * r = 1, the majority, that is sqrt(2 / (pi M)).
 */
#include "common.h"

#include "hypervec/structure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTS_MAX 200
#define DIMENSION_MAX 4096

static double normal_density(double x)
{
    return exp(-x * x / 2) / sqrt(2 * acos(-1));
}

static double normal_below(double x)
{
    return erfc(-x / sqrt(2)) / 2;
}

static double chance_of_right(double s, unsigned items)
{
    double sum = 0, step = 0.01;

    for (double h = -8; h <= 8; h += step) {
        sum += normal_density(h) * pow(normal_below(h + s), items - 1) * step;
    }
    return sum;
}

/* The t beyond which a share r of a normal distribution lies, on both sides. */
static double strength(double r)
{
    double low = 0, high = 8;

    while (high - low > 1e-9) {
        double middle = (low + high) / 2;

        *(2 * (1 - normal_below(middle)) > r ? &low : &high) = middle;
    }
    return low;
}

static double expected_cosine(unsigned parts, double r)
{
    return 2 * normal_density(strength(r)) / sqrt(r * parts);
}

static uint64_t *make_items(const HypervecSpace *space, unsigned n, uint32_t set)
{
    size_t words = hypervec_words(space);
    uint64_t *items = malloc(n * words * sizeof(*items));

    for (uint32_t i = 0; i < n; i++) {
        uint32_t name[2] = {set, i};

        hypervec_item(space, items + i * words, name, sizeof(name));
    }
    return items;
}

typedef enum Structure { SEQUENCE, RECORD } Structure;

/* What is measured: the mean cosine of what is taken out with what was put in, and the
 * share that is cleaned up rightly. */
typedef struct Result {
    double cosine, right;
} Result;

static Result measure(Structure structure, uint32_t dimension, unsigned items,
                      unsigned parts, double r, unsigned rounds)
{
    static uint64_t v[HYPERVEC_WORDS(DIMENSION_MAX)],
        out[HYPERVEC_WORDS(DIMENSION_MAX)];
    static int32_t counts[DIMENSION_MAX];
    HypervecSpace space = make_space(dimension);
    size_t words = hypervec_words(&space);
    uint64_t *codebook = make_items(&space, items, 1);
    uint64_t *roles = make_items(&space, parts, 2);
    Random random = {dimension + parts};
    Result result = {0, 0};

    for (unsigned round = 0; round < rounds; round++) {
        uint32_t put[PARTS_MAX];

        memset(counts, 0, sizeof(counts));
        for (unsigned i = 0; i < parts; i++) {
            put[i] = random_below(&random, items);
            if (structure == SEQUENCE) {
                hypervec_sequence_add(&space, counts, codebook + put[i] * words, i, 1);
            } else {
                hypervec_record_add(&space, counts, codebook + put[i] * words,
                                    roles + i * words, 1);
            }
        }
        hypervec_threshold(&space, v, counts, (uint32_t)(r * dimension));
        for (unsigned i = 0; i < parts; i++) {
            if (structure == SEQUENCE) {
                hypervec_sequence_get(&space, out, v, i);
            } else {
                hypervec_record_get(&space, out, v, roles + i * words);
            }
            result.right +=
                hypervec_clean_up(&space, out, codebook, items, NULL) == put[i];
            result.cosine +=
                hypervec_similarity(&space, out, codebook + put[i] * words);
        }
    }
    result.right /= (double)rounds * parts;
    result.cosine /= (double)rounds * parts;
    free(codebook);
    free(roles);
    return result;
}

/* Numbers of parts with which nearly all, most, and few are found again. */
static void check_capacity(Structure structure, uint32_t dimension, unsigned items,
                           double r)
{
    static const unsigned parts[] = {7, 15, 31, 63, 101, 151};

    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        Result found =
            measure(structure, dimension, items, parts[i], r, 2000 / parts[i] + 1);
        double cosine = expected_cosine(parts[i], r);
        double right = chance_of_right(cosine * sqrt(dimension), items);

        printf("%s N=%u D=%u r=%.3f M=%3u: cosine %.4f, in theory %.4f; right %.4f, "
               "in theory %.4f\n",
               structure == SEQUENCE ? "sequence" : "record  ", dimension, items, r,
               parts[i], found.cosine, cosine, found.right, right);
        ck_assert_double_lt(fabs(found.cosine / cosine - 1), 0.05);
        ck_assert_double_lt(fabs(found.right - right), 0.03);
    }
}

START_TEST(sequences_hold_what_theory_says)
{
    check_capacity(SEQUENCE, 512, 27, 1);
    check_capacity(SEQUENCE, 1024, 200, 1);
}
END_TEST

START_TEST(records_hold_what_theory_says)
{
    check_capacity(RECORD, 512, 27, 1);
    check_capacity(RECORD, 1024, 200, 1);
}
END_TEST

/* As many trits as an engram keeps, and about as many as keep most of what there is. */
START_TEST(sparse_bundles_hold_what_theory_says)
{
    check_capacity(RECORD, 1024, 100, 5.0 / 32);
    check_capacity(RECORD, 1024, 100, 0.5);
}
END_TEST

/* An item of which a share p of the trits was turned has a cosine of 1 - 2p with it. */
START_TEST(clean_up_bears_noise)
{
    static const double shares[] = {0.3, 0.4, 0.41, 0.42, 0.43, 0.44};
    enum { ITEMS = 1000, ROUNDS = 2000 };
    HypervecSpace space = make_space(512);
    uint64_t *codebook = make_items(&space, ITEMS, 3), v[HYPERVEC_WORDS(512)];
    size_t words = hypervec_words(&space);
    Random r = {9};

    for (size_t i = 0; i < sizeof(shares) / sizeof(*shares); i++) {
        uint32_t turned = (uint32_t)(shares[i] * 512);
        double cosine = 1 - 2.0 * turned / 512, right = 0, similarity;
        /* The cosine with the right one is exact: only the others vary. */
        double expected = pow(normal_below(cosine * sqrt(512)), ITEMS - 1);

        for (uint32_t round = 0; round < ROUNDS; round++) {
            uint32_t item = random_below(&r, ITEMS);

            memcpy(v, codebook + item * words, sizeof(v));
            for (uint32_t n = 0; n < turned;) {
                uint32_t trit = random_below(&r, 512);
                int old = hypervec_get(&space, codebook + item * words, trit);

                if (hypervec_get(&space, v, trit) == old) {
                    hypervec_set(&space, v, trit, -old);
                    n++;
                }
            }
            if (hypervec_clean_up(&space, v, codebook, ITEMS, &similarity) == item) {
                right++;
                ck_assert_double_lt(fabs(similarity - cosine), 1e-9);
            }
        }
        printf("clean-up, %.2f turned: right %.4f, in theory %.4f\n", shares[i],
               right / ROUNDS, expected);
        ck_assert_double_lt(fabs(right / ROUNDS - expected), 0.03);
    }
    free(codebook);
}
END_TEST

/* Unbinding gives back exactly what was bound, however often. */
START_TEST(binding_loses_nothing)
{
    HypervecSpace space = make_space(1024);
    uint64_t *roles = make_items(&space, 100, 4), v[HYPERVEC_WORDS(1024)];
    size_t words = hypervec_words(&space);
    uint64_t original[HYPERVEC_WORDS(1024)];
    Random r = {10};

    random_vector_exact(&r, &space, v, 160);
    memcpy(original, v, sizeof(v));
    for (int i = 0; i < 100; i++) {
        hypervec_bind(&space, v, v, roles + (size_t)i * words);
        ck_assert_double_lt(fabs(hypervec_similarity(&space, v, original)), 0.4);
    }
    for (int i = 0; i < 100; i++) {
        hypervec_record_get(&space, v, v, roles + (size_t)i * words);
    }
    ck_assert(same_vector(&space, v, original));
    free(roles);
}
END_TEST

START_TEST(weights_decide)
{
    HypervecSpace space = make_space(1024);
    uint64_t *items = make_items(&space, 3, 5), v[HYPERVEC_WORDS(1024)];
    size_t words = hypervec_words(&space);
    int32_t counts[1024] = {0};

    hypervec_record_add(&space, counts, items, items + 2 * words, 5);
    hypervec_record_add(&space, counts, items + words, items + 2 * words, 2);
    hypervec_threshold(&space, v, counts, 1024);
    hypervec_record_get(&space, v, v, items + 2 * words);
    ck_assert(same_vector(&space, v, items));
    hypervec_record_add(&space, counts, items, items + 2 * words, -5);
    hypervec_threshold(&space, v, counts, 1024);
    hypervec_record_get(&space, v, v, items + 2 * words);
    ck_assert(same_vector(&space, v, items + words));
    free(items);
}
END_TEST

START_TEST(positions_are_told_apart)
{
    HypervecSpace space = make_space(2048);
    uint64_t *items = make_items(&space, 3, 6);
    size_t words = hypervec_words(&space);
    uint64_t abc[HYPERVEC_WORDS(2048)], bac[HYPERVEC_WORDS(2048)], *swapped;
    uint64_t out[HYPERVEC_WORDS(2048)];
    int32_t counts[2048] = {0};

    hypervec_bind_sequence(&space, abc, items, 1);
    ck_assert(same_vector(&space, abc, items));
    hypervec_bind_sequence(&space, abc, items, 3);
    swapped = malloc(3 * words * sizeof(*swapped));
    memcpy(swapped, items + words, words * sizeof(*swapped));
    memcpy(swapped + words, items, words * sizeof(*swapped));
    memcpy(swapped + 2 * words, items + 2 * words, words * sizeof(*swapped));
    hypervec_bind_sequence(&space, bac, swapped, 3);
    ck_assert_double_lt(fabs(hypervec_similarity(&space, abc, bac)), 0.1);
    for (uint32_t i = 0; i < 2048; i++) {
        ck_assert_int_eq(
            hypervec_get(&space, abc, i),
            hypervec_get(&space, items, i) *
                hypervec_get(&space, items + words, (i + 2047) % 2048) *
                hypervec_get(&space, items + 2 * words, (i + 2046) % 2048));
    }
    hypervec_sequence_add(&space, counts, items, -3, 1);
    hypervec_threshold(&space, abc, counts, 2048);
    hypervec_sequence_get(&space, out, abc, -3);
    ck_assert(same_vector(&space, out, items));
    hypervec_sequence_get(&space, out, abc, INT64_MIN + 2045);
    ck_assert(same_vector(&space, out, items));
    free(items);
    free(swapped);
}
END_TEST

/* Of equally similar ones the first; with nothing, nothing. */
START_TEST(clean_up_of_ties)
{
    HypervecSpace space = make_space(512);
    uint64_t *items = make_items(&space, 200, 7), zero[HYPERVEC_WORDS(512)] = {0};
    size_t words = hypervec_words(&space);
    double similarity;

    memcpy(items + 70 * words, items + 150 * words, words * sizeof(*items));
    ck_assert_uint_eq(
        hypervec_clean_up(&space, items + 150 * words, items, 200, &similarity), 70);
    ck_assert_double_eq(similarity, 1);
    ck_assert_uint_eq(hypervec_clean_up(&space, zero, items, 200, &similarity), 0);
    ck_assert_double_eq(similarity, 0);
    free(items);
}
END_TEST

START_TEST(places)
{
    static uint64_t v[WORDS_MAX], back[WORDS_MAX];
    static int32_t list[HYPERVEC_DIMENSION_MAX];
    static const int32_t wrong[][2] = {{0, 1},   {1, 1},    {2, -2},  {3, 2},
                                       {1, 513}, {1, -513}, {-7, -6}, {1, INT32_MIN}};
    Random r = {11};

    for (uint32_t dimension = 512; dimension <= HYPERVEC_DIMENSION_MAX;
         dimension *= 2) {
        HypervecSpace space = make_space(dimension);

        for (uint32_t active = 0; active <= dimension; active += dimension / 4) {
            uint32_t n;

            random_vector_exact(&r, &space, v, active);
            n = hypervec_to_places(&space, list, v);
            ck_assert_uint_eq(n, active);
            ck_assert(hypervec_from_places(&space, back, list, n));
            ck_assert(same_vector(&space, back, v));
        }
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        HypervecSpace space = make_space(512);

        ck_assert(!hypervec_from_places(&space, v, wrong[i], 2));
    }
}
END_TEST

RUN_TESTS("structure", sequences_hold_what_theory_says, records_hold_what_theory_says,
          sparse_bundles_hold_what_theory_says, clean_up_bears_noise,
          binding_loses_nothing, weights_decide, positions_are_told_apart,
          clean_up_of_ties, places)
