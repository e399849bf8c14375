/* The best of many vectors, found by scanning and by clusters. */
#include "common.h"
#include "hypervec/search.h"
#include "kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    DIMENSION = 1024,
    WORDS = HYPERVEC_WORDS(DIMENSION),
    N = 1500,
    QUERIES = 40,
    CLUSTERS = 40,
    FAMILY = 30,                    /* vectors that are like each other */
};

static uint64_t *vectors;           /* N of them */

/* Half of the trits of a vector of its own, half of one that its family has. */
static void make_vectors(const HypervecSpace *space, Random *r)
{
    uint64_t family[WORDS];

    vectors = malloc((size_t)N * WORDS * sizeof(*vectors));
    for (size_t i = 0; i < N; i++) {
        uint64_t *v = vectors + i * WORDS;

        if (i % FAMILY == 0) {
            random_vector_exact(r, space, family, 160);
        }
        random_vector_exact(r, space, v, 160);
        for (uint32_t trit = 0; trit < DIMENSION; trit++) {
            int common = hypervec_get(space, family, trit);

            if (common && random_below(r, 2)) {
                hypervec_set(space, v, trit, common);
            }
        }
    }
    memset(vectors + 77 * WORDS, 0, WORDS * sizeof(*vectors));
    memcpy(vectors + 1234 * WORDS, vectors + 10 * WORDS, WORDS * sizeof(*vectors));
}

static bool is_better(const HypervecHit *a, const HypervecHit *b)
{
    return a->similarity > b->similarity ||
           (a->similarity == b->similarity && a->index < b->index);
}

/* The plain way: all similarities, and one after another the best that is left. */
static size_t best_of(const HypervecSpace *space, const uint64_t *query, size_t max,
                      double least, HypervecHit *hits)
{
    static double similarities[N];
    size_t n = 0;

    hypervec_similarities(space, similarities, query, vectors, N);
    for (; n < max; n++) {
        HypervecHit best = { -2, 0 };

        for (size_t i = 0; i < N; i++) {
            HypervecHit hit = { similarities[i], 1000 + i };

            if (hit.similarity >= least && is_better(&hit, &best) &&
                (n == 0 || is_better(&hits[n - 1], &hit))) {
                best = hit;
            }
        }
        if (best.similarity == -2) {
            break;
        }
        hits[n] = best;
    }
    return n;
}

static void assert_same_hits(const HypervecTop *top, const HypervecHit *expected,
                             size_t n)
{
    ck_assert_uint_eq(top->n, n);
    for (size_t i = 0; i < n; i++) {
        ck_assert(top->hits[i].similarity == expected[i].similarity);
        ck_assert_uint_eq(top->hits[i].index, expected[i].index);
    }
}

/* In one go, and in parts that come in any order and are put together. */
static void check_scan(const HypervecSpace *space, const uint64_t *query, size_t max,
                       double least)
{
    static HypervecHit expected[N], hits[N], part_hits[N];
    size_t n = best_of(space, query, max, least, expected);
    HypervecTop top, part;

    for (const HypervecKernel *const *k = hypervec_kernels(); *k; k++) {
        HypervecSpace this = *space;

        this.kernel = *k;
        hypervec_top_init(&top, hits, max, least);
        hypervec_top_scan(&this, &top, query, vectors, N, 1000);
        hypervec_top_sort(&top);
        assert_same_hits(&top, expected, n);

        hypervec_top_init(&top, hits, max, least);
        for (size_t end = N; end > 0;) {
            size_t start = end > 301 ? end - 301 : 0;

            hypervec_top_init(&part, part_hits, max, least);
            hypervec_top_scan(&this, &part, query, vectors + start * WORDS, end - start,
                              1000 + start);
            for (size_t i = 0; i < part.n; i++) {
                hypervec_top_add(&top, part.hits[i].similarity, part.hits[i].index);
            }
            end = start;
        }
        hypervec_top_sort(&top);
        assert_same_hits(&top, expected, n);
    }
}

START_TEST(the_best_are_found)
{
    static const size_t sizes[] = { 1, 2, 7, 100, N };
    static const double leasts[] = { -2, -0.03, 0, 1e-300, 0.2, 1, 2 };
    HypervecSpace space = make_space(DIMENSION);
    Random r = { 1 };

    make_vectors(&space, &r);
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        for (size_t l = 0; l < sizeof(leasts) / sizeof(*leasts); l++) {
            check_scan(&space, vectors + (s * 7 + l + 10) * WORDS, sizes[s], leasts[l]);
        }
    }
    check_scan(&space, vectors + 77 * WORDS, 5, 0);
    check_scan(&space, vectors + 77 * WORDS, 5, 1e-300);
    free(vectors);
}
END_TEST

START_TEST(not_a_number_is_no_hit)
{
    HypervecHit hits[2];
    HypervecTop top;

    hypervec_top_init(&top, hits, 2, 0);
    hypervec_top_add(&top, NAN, 1);
    ck_assert_uint_eq(top.n, 0);
}
END_TEST

static void assign(const HypervecSpace *space, const uint64_t *centroids,
                   uint32_t *assigned)
{
    double weights[CLUSTERS];

    hypervec_weights(space, weights, centroids, CLUSTERS);
    for (size_t i = 0; i < N; i++) {
        assigned[i] = (uint32_t)hypervec_nearest(space, vectors + i * WORDS, centroids,
                                                 weights, CLUSTERS);
    }
}

START_TEST(nearest_is_the_most_similar)
{
    HypervecSpace space = make_space(DIMENSION);
    Random r = { 2 };
    double *weights = malloc(N * sizeof(*weights));
    double *similarities = malloc(N * sizeof(*similarities));

    make_vectors(&space, &r);
    hypervec_weights(&space, weights, vectors, N);
    for (size_t q = 0; q < N; q += 37) {
        const uint64_t *v = vectors + q * WORDS;

        hypervec_similarities(&space, similarities, v, vectors, N);
        for (size_t n = 1; n <= N; n = n * 3 + 1) {
            size_t best = hypervec_nearest(&space, v, vectors, weights, n);

            ck_assert_uint_lt(best, n);
            for (size_t i = 0; i < n; i++) {
                ck_assert(similarities[i] <= similarities[best] + 1e-12);
            }
        }
    }
    ck_assert_uint_eq(hypervec_nearest(&space, vectors + 1234 * WORDS, vectors, weights,
                                       N), 10);
    free(similarities);
    free(weights);
    free(vectors);
}
END_TEST

/* Whoever computes them, clusters are the same; members are nearer to their centroid
 * than to others, and an empty cluster keeps its own. */
START_TEST(clusters_are_the_same_with_all_kernels)
{
    static uint64_t first[CLUSTERS * WORDS], centroids[CLUSTERS * WORDS];
    static uint32_t assigned[N];
    static int32_t counts[DIMENSION];
    HypervecSpace space = make_space(DIMENSION);
    Random r = { 3 };

    make_vectors(&space, &r);
    for (const HypervecKernel *const *k = hypervec_kernels(); *k; k++) {
        space.kernel = *k;
        for (size_t c = 0; c < CLUSTERS; c++) {
            memcpy(centroids + c * WORDS, vectors + c * (N / CLUSTERS) * WORDS,
                   WORDS * sizeof(*centroids));
        }
        /* A copy of the first one: nothing is nearest to it. */
        memcpy(centroids + 5 * WORDS, centroids, WORDS * sizeof(*centroids));
        for (int round = 0; round < 3; round++) {
            assign(&space, centroids, assigned);
            hypervec_clusters_update(&space, centroids, CLUSTERS, vectors, assigned, N,
                                     counts);
            if (round == 0) {
                ck_assert(same_vector(&space, centroids + 5 * WORDS, vectors));
            }
        }
        if (k == hypervec_kernels()) {
            memcpy(first, centroids, sizeof(first));
        }
        ck_assert_int_eq(memcmp(first, centroids, sizeof(first)), 0);
    }
    free(vectors);
}
END_TEST

/* Of families of like vectors, looking into the nearest clusters finds the best. */
START_TEST(clusters_lead_to_the_best)
{
    static uint64_t centroids[CLUSTERS * WORDS];
    static uint32_t assigned[N];
    static int32_t counts[DIMENSION];
    HypervecSpace space = make_space(DIMENSION);
    HypervecHit order[CLUSTERS], best[2];
    Random r = { 4 };
    size_t found = 0, looked_at = 0;

    make_vectors(&space, &r);
    for (size_t c = 0; c < CLUSTERS; c++) {
        memcpy(centroids + c * WORDS, vectors + c * (N / CLUSTERS) * WORDS,
               WORDS * sizeof(*centroids));
    }
    for (int round = 0; round < 3; round++) {
        assign(&space, centroids, assigned);
        hypervec_clusters_update(&space, centroids, CLUSTERS, vectors, assigned, N,
                                 counts);
    }
    assign(&space, centroids, assigned);
    for (size_t q = 0; q < QUERIES; q++) {
        const uint64_t *query = vectors + (q * 31 + 1) * WORDS;
        HypervecTop top;

        /* Itself and the next best. */
        ck_assert_uint_eq(best_of(&space, query, 2, -1, best), 2);
        hypervec_top_init(&top, order, CLUSTERS, -1);
        hypervec_top_scan(&space, &top, query, centroids, CLUSTERS, 0);
        hypervec_top_sort(&top);
        for (size_t c = 0; c < CLUSTERS / 8; c++) {
            for (size_t i = 0; i < N; i++) {
                looked_at += assigned[i] == top.hits[c].index;
            }
            found += assigned[best[1].index - 1000] == top.hits[c].index;
        }
    }
    ck_assert_uint_ge(found, QUERIES * 95 / 100);
    ck_assert_uint_le(looked_at, QUERIES * N / 5);
    free(vectors);
}
END_TEST

RUN_TESTS("search", the_best_are_found, not_a_number_is_no_hit,
          nearest_is_the_most_similar, clusters_are_the_same_with_all_kernels,
          clusters_lead_to_the_best)
