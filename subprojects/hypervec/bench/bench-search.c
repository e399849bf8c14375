/*
 * Searching for the ten most similar of many vectors: how fast, and by clusters how
 * surely.
 *
 *     bench-search [VECTORS]
 *
 * One million by default, each of random trits, so that there is nothing in them that
 * clusters could follow: real contents are easier.  A query is one of them with a part
 * of its trits replaced.  The rate of scanning all stands beside that at which one core
 * adds up the same memory.
 */
#include "hypervec/search.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DIMENSION HYPERVEC_DIMENSION_DEFAULT
#define WORDS HYPERVEC_WORDS(DIMENSION)
#define ROUNDS 3
#define QUERIES 200
#define BEST 10
#define CLUSTERS_MAX 2048

typedef struct Index {
    size_t n_clusters;
    uint64_t *centroids;
    double *weights;
    size_t *starts;                 /* n_clusters + 1: of the clusters in vectors */
    uint64_t *vectors;              /* in order of clusters */
    size_t *numbers;                /* what each was called before */
} Index;

static HypervecSpace space;
static uint64_t *vectors;
static size_t n_vectors = 1000000;
static volatile uint64_t sink;

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void *must_allocate(size_t n, size_t bytes)
{
    void *memory = calloc(n, bytes);

    if (!memory) {
        perror("bench-search");
        exit(1);
    }
    return memory;
}

static void put_random(uint64_t *v, uint32_t n, uint64_t *state)
{
    while (n-- > 0) {
        uint64_t x = splitmix64(state);

        hypervec_set(&space, v, (x >> 1) % DIMENSION, x & 1 ? 1 : -1);
    }
}

static void make_vectors(void)
{
    uint64_t state = 1;

    vectors = must_allocate(n_vectors * WORDS, sizeof(*vectors));
    for (size_t i = 0; i < n_vectors; i++) {
        put_random(vectors + i * WORDS, hypervec_active_default(&space), &state);
    }
}

static void read_memory(void)
{
    uint64_t sums[8] = { 0 };

    for (size_t w = 0; w < n_vectors * WORDS; w += 8) {
        for (int i = 0; i < 8; i++) {
            sums[i] += vectors[w + i];
        }
    }
    for (int i = 0; i < 8; i++) {
        sink += sums[i];
    }
}

static void scan_all(void)
{
    HypervecHit hits[BEST];
    HypervecTop top;

    hypervec_top_init(&top, hits, BEST, -1);
    hypervec_top_scan(&space, &top, vectors + WORDS, vectors, n_vectors, 0);
    hypervec_top_sort(&top);
    sink += hits[0].index;
}

static double best_time(void (*run)(void))
{
    double best = 1e9;

    for (int round = 0; round < ROUNDS; round++) {
        double start = seconds(), took;

        run();
        took = seconds() - start;
        best = took < best ? took : best;
    }
    return best;
}

static void bench_scans(void)
{
    double bytes = (double)n_vectors * WORDS * 8;
    double plain = best_time(read_memory);

    printf("%-32s %7.2f ms  %6.2f GB/s\n", "sum of that memory", plain * 1e3,
           bytes / plain / 1e9);
    for (const HypervecKernel *const *k = hypervec_kernels(); *k; k++) {
        double took;

        space.kernel = *k;
        took = best_time(scan_all);
        printf("scan, %-26s %7.2f ms  %6.2f GB/s  %3.0f %% of the sum\n",
               hypervec_kernel_name(*k), took * 1e3, bytes / took / 1e9,
               plain / took * 100);
    }
    space.kernel = hypervec_kernels()[0];
}

static void assign(const Index *index, size_t step, uint32_t *assigned, size_t n)
{
    hypervec_weights(&space, index->weights, index->centroids, index->n_clusters);
    for (size_t i = 0; i < n; i++) {
        assigned[i] =
            (uint32_t)hypervec_nearest(&space, vectors + i * step * WORDS,
                                       index->centroids, index->weights,
                                       index->n_clusters);
    }
}

static void find_centroids(Index *index)
{
    size_t n = 8 * index->n_clusters, step = n_vectors / n;
    uint32_t *assigned = must_allocate(n, sizeof(*assigned));
    uint64_t *samples = must_allocate(n * WORDS, sizeof(*samples));
    int32_t *counts = must_allocate(DIMENSION, sizeof(*counts));

    for (size_t i = 0; i < n; i++) {
        memcpy(samples + i * WORDS, vectors + i * step * WORDS, WORDS * 8);
    }
    for (size_t c = 0; c < index->n_clusters; c++) {
        memcpy(index->centroids + c * WORDS, samples + (8 * c + 4) * WORDS, WORDS * 8);
    }
    for (int round = 0; round < 3; round++) {
        assign(index, step, assigned, n);
        hypervec_clusters_update(&space, index->centroids, index->n_clusters, samples,
                                 assigned, n, counts);
    }
    free(counts);
    free(samples);
    free(assigned);
}

static void build(Index *index)
{
    uint32_t *assigned = must_allocate(n_vectors, sizeof(*assigned));
    size_t clusters = (size_t)(4 * sqrt((double)n_vectors));
    size_t *next;

    index->n_clusters = clusters < CLUSTERS_MAX ? clusters : CLUSTERS_MAX;
    index->centroids = must_allocate(index->n_clusters * WORDS, 8);
    index->weights = must_allocate(index->n_clusters, sizeof(double));
    index->starts = must_allocate(index->n_clusters + 1, sizeof(size_t));
    index->vectors = must_allocate(n_vectors * WORDS, 8);
    index->numbers = must_allocate(n_vectors, sizeof(size_t));
    find_centroids(index);
    assign(index, 1, assigned, n_vectors);
    for (size_t i = 0; i < n_vectors; i++) {
        index->starts[assigned[i] + 1]++;
    }
    for (size_t c = 0; c < index->n_clusters; c++) {
        index->starts[c + 1] += index->starts[c];
    }
    next = must_allocate(index->n_clusters, sizeof(*next));
    memcpy(next, index->starts, index->n_clusters * sizeof(*next));
    for (size_t i = 0; i < n_vectors; i++) {
        size_t place = next[assigned[i]]++;

        index->numbers[place] = i;
        memcpy(index->vectors + place * WORDS, vectors + i * WORDS, WORDS * 8);
    }
    free(next);
    free(assigned);
}

/* The number of the best among at least candidates vectors of the nearest clusters. */
static size_t search(const Index *index, const uint64_t *query, size_t candidates)
{
    static HypervecHit clusters[CLUSTERS_MAX];
    HypervecHit hits[BEST];
    HypervecTop order, top;
    size_t looked_at = 0;

    hypervec_top_init(&order, clusters, index->n_clusters, -1);
    hypervec_top_scan(&space, &order, query, index->centroids, index->n_clusters, 0);
    hypervec_top_sort(&order);
    hypervec_top_init(&top, hits, BEST, -1);
    for (size_t c = 0; c < index->n_clusters && looked_at < candidates; c++) {
        size_t start = index->starts[clusters[c].index];
        size_t n = index->starts[clusters[c].index + 1] - start;

        hypervec_top_scan(&space, &top, query, index->vectors + start * WORDS, n,
                          start);
        looked_at += n;
    }
    hypervec_top_sort(&top);
    return top.n ? index->numbers[hits[0].index] : SIZE_MAX;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Each query is more like its origin than like anything else, so that is what a scan
 * of all would find. */
static void bench_queries(const Index *index, uint32_t replaced, size_t candidates)
{
    double times[QUERIES], similarity = 0;
    uint64_t state = 3, query[WORDS];
    int found = 0;

    for (int q = 0; q < QUERIES; q++) {
        size_t origin = splitmix64(&state) % n_vectors;
        double start;

        memcpy(query, vectors + origin * WORDS, sizeof(query));
        for (uint32_t trit = 0; trit < DIMENSION; trit++) {
            if (hypervec_get(&space, query, trit) &&
                splitmix64(&state) % 1000 < replaced) {
                hypervec_set(&space, query, trit, 0);
                put_random(query, 1, &state);
            }
        }
        similarity += hypervec_similarity(&space, query, vectors + origin * WORDS);
        start = seconds();
        found += search(index, query, candidates) == origin;
        times[q] = seconds() - start;
    }
    qsort(times, QUERIES, sizeof(*times), compare_doubles);
    printf("similarity %.2f, %7zu looked at   %7.2f ms  (longest %.2f)  found %5.1f %%\n",
           similarity / QUERIES, candidates, times[QUERIES / 2] * 1e3,
           times[QUERIES - 1] * 1e3, 100.0 * found / QUERIES);
}

int main(int argc, char **argv)
{
    static const uint32_t replaced[] = { 50, 100, 200, 300, 400 };
    Index index;
    double start;

    if (argc > 1) {
        n_vectors = strtoull(argv[1], NULL, 10);
    }
    if (n_vectors < 10000 || n_vectors > 100000000) {
        fprintf(stderr, "usage: bench-search [VECTORS], 10000 to 100000000\n");
        return 1;
    }
    hypervec_space_init(&space, DIMENSION);
    make_vectors();
    printf("%zu vectors of %d trits, %zu MB\n", n_vectors, DIMENSION,
           n_vectors * WORDS * 8 / 1000000);
    bench_scans();
    start = seconds();
    build(&index);
    printf("%zu clusters made in %.1f s\n", index.n_clusters, seconds() - start);
    for (size_t factor = 32; factor <= 128; factor *= 2) {
        for (size_t i = 0; i < sizeof(replaced) / sizeof(*replaced); i++) {
            bench_queries(&index, replaced[i],
                          (size_t)((double)factor * sqrt((double)n_vectors)));
        }
    }
    return 0;
}
