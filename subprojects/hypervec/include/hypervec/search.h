/*
 * Searching among many hypervectors: the most similar ones, and clusters of like ones
 * that save looking at all of them.
 *
 * As in hypervec.h: same arguments, same bits, with any kernel; nothing allocates or
 * blocks; memory is the caller's; any number of threads as long as no two write the
 * same memory.  To search with several, give each a HypervecTop and a part of the
 * vectors, and add the hits of all to one.
 *
 * An index in memory, of n vectors of which any may be asked for:
 *
 *     choose c vectors as centroids, about 4 * sqrt(n) of them; then, two or three
 *     times: hypervec_nearest() for each of a sample of some 8 * c vectors, and
 *     hypervec_clusters_update() with what that gave; at last hypervec_nearest() for
 *     all n, and lay the vectors of one cluster side by side.
 *
 * A query ranks the centroids with hypervec_top_scan() and scans the vectors of the
 * best clusters, as many as it has time for.  docs/hypervec.md has what is found so,
 * measured.
 */
#ifndef HYPERVEC_SEARCH_H
#define HYPERVEC_SEARCH_H

#include "hypervec/hypervec.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct HypervecHit {
    double similarity;              /* the cosine */
    uint64_t index;                 /* what the caller calls the vector */
} HypervecHit;

/*
 * The best hits so far: those of higher similarity, of equal ones those of lower index.
 * Which are kept does not depend on the order in which they come.
 */
typedef struct HypervecTop {
    HypervecHit *hits;              /* n of them, in no order until hypervec_top_sort() */
    size_t n, max;
    double least;
} HypervecTop;

/* hits: room for max, at least 1.  What is less similar than least is never kept. */
void hypervec_top_init(HypervecTop *top, HypervecHit *hits, size_t max, double least);

void hypervec_top_add(HypervecTop *top, double similarity, uint64_t index);

/* Adds n vectors that lie one after another, as for hypervec_dots(); the first one is
 * called first, those after it by the numbers that follow. */
void hypervec_top_scan(const HypervecSpace *space, HypervecTop *top,
                       const uint64_t *query, const uint64_t *vectors, size_t n,
                       uint64_t first);

/* Puts the hits in order, best first.  Nothing can be added any more. */
void hypervec_top_sort(HypervecTop *top);

/* What hypervec_nearest() has to know of each of n vectors. */
void hypervec_weights(const HypervecSpace *space, double *weights,
                      const uint64_t *vectors, size_t n);

/* Which of n vectors, at least 1, v is most similar to; the first of equal ones. */
size_t hypervec_nearest(const HypervecSpace *space, const uint64_t *v,
                        const uint64_t *vectors, const double *weights, size_t n);

/*
 * Makes each of n_centroids vectors the bundle, without cutting it back, of the samples
 * that are assigned to it: sample i to the one of number assigned[i].  One that none is
 * assigned to stays.  counts: room for one set.  At most HYPERVEC_COUNT_MAX samples.
 */
void hypervec_clusters_update(const HypervecSpace *space, uint64_t *centroids,
                              size_t n_centroids, const uint64_t *samples,
                              const uint32_t *assigned, size_t n_samples,
                              int32_t *counts);

#ifdef __cplusplus
}
#endif

#endif
