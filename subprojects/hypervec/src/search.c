#include "hypervec/search.h"

#include "kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Vectors whose dots are taken in one go: few enough to stay in the first cache. */
#define BATCH_VECTORS 256

static size_t plane_words(const HypervecSpace *space)
{
    return space->dimension / 64;
}

void hypervec_top_init(HypervecTop *top, HypervecHit *hits, size_t max, double least)
{
    *top = (HypervecTop){ .hits = hits, .max = max, .least = least };
}

static bool is_worse(const HypervecHit *a, const HypervecHit *b)
{
    return a->similarity != b->similarity ? a->similarity < b->similarity
                                          : a->index > b->index;
}

/* The worst hit is the first: a heap. */
static void sift_down(HypervecTop *top)
{
    HypervecHit moved = top->hits[0];
    size_t at = 0, child;

    while ((child = 2 * at + 1) < top->n) {
        if (child + 1 < top->n && is_worse(&top->hits[child + 1], &top->hits[child])) {
            child++;
        }
        if (!is_worse(&top->hits[child], &moved)) {
            break;
        }
        top->hits[at] = top->hits[child];
        at = child;
    }
    top->hits[at] = moved;
}

static void sift_up(HypervecTop *top)
{
    size_t at = top->n - 1;
    HypervecHit moved = top->hits[at];

    while (at > 0 && is_worse(&moved, &top->hits[(at - 1) / 2])) {
        top->hits[at] = top->hits[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    top->hits[at] = moved;
}

void hypervec_top_add(HypervecTop *top, double similarity, uint64_t index)
{
    HypervecHit hit = { similarity, index };

    if (!(similarity >= top->least)) {
        return;
    }
    if (top->n < top->max) {
        top->hits[top->n++] = hit;
        sift_up(top);
    } else if (is_worse(&top->hits[0], &hit)) {
        top->hits[0] = hit;
        sift_down(top);
    }
}

/* What a vector has to reach to be kept. */
static double bar(const HypervecTop *top)
{
    return top->n == top->max && top->hits[0].similarity > top->least
               ? top->hits[0].similarity
               : top->least;
}

/* Whether dot / sqrt(square) may reach the bar: a little is allowed for rounding.
 * Spares a root and a division for nearly every vector. */
static bool may_reach(double dot, double square, double bar)
{
    return bar <= 0 || (dot > 0 && dot * dot >= bar * bar * (1 - 1e-9) * square);
}

void hypervec_top_scan(const HypervecSpace *space, HypervecTop *top,
                       const uint64_t *query, const uint64_t *vectors, size_t n,
                       uint64_t first)
{
    uint64_t query_active = hypervec_active(space, query);
    int32_t dots[BATCH_VECTORS];
    uint32_t active[BATCH_VECTORS];

    while (n > 0) {
        size_t batch = n < BATCH_VECTORS ? n : BATCH_VECTORS;

        space->kernel->dots(dots, active, query, vectors, batch, plane_words(space));
        for (size_t i = 0; i < batch; i++) {
            double square = (double)(query_active * active[i]);

            if (may_reach(dots[i], square, bar(top))) {
                hypervec_top_add(top, square > 0 ? dots[i] / sqrt(square) : 0,
                                 first + i);
            }
        }
        vectors += batch * hypervec_words(space);
        first += batch;
        n -= batch;
    }
}

static int compare_hits(const void *a, const void *b)
{
    return is_worse(b, a) ? -1 : is_worse(a, b);
}

void hypervec_top_sort(HypervecTop *top)
{
    qsort(top->hits, top->n, sizeof(*top->hits), compare_hits);
}

void hypervec_weights(const HypervecSpace *space, double *weights,
                      const uint64_t *vectors, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t active = hypervec_active(space, vectors + i * hypervec_words(space));

        weights[i] = active ? 1 / sqrt((double)active) : 0;
    }
}

size_t hypervec_nearest(const HypervecSpace *space, const uint64_t *v,
                        const uint64_t *vectors, const double *weights, size_t n)
{
    int32_t dots[BATCH_VECTORS];
    double best = -INFINITY;
    size_t nearest = 0;

    for (size_t at = 0; at < n; at += BATCH_VECTORS) {
        size_t batch = n - at < BATCH_VECTORS ? n - at : BATCH_VECTORS;

        space->kernel->dots(dots, NULL, v, vectors + at * hypervec_words(space), batch,
                            plane_words(space));
        for (size_t i = 0; i < batch; i++) {
            double similarity = dots[i] * weights[at + i];

            if (similarity > best) {
                best = similarity;
                nearest = at + i;
            }
        }
    }
    return nearest;
}

void hypervec_clusters_update(const HypervecSpace *space, uint64_t *centroids,
                              size_t n_centroids, const uint64_t *samples,
                              const uint32_t *assigned, size_t n_samples,
                              int32_t *counts)
{
    size_t words = hypervec_words(space);

    for (size_t c = 0; c < n_centroids; c++) {
        bool any = false;

        for (size_t i = 0; i < n_samples; i++) {
            if (assigned[i] != c) {
                continue;
            }
            if (!any) {
                memset(counts, 0, space->dimension * sizeof(*counts));
                any = true;
            }
            hypervec_bundle(space, counts, samples + i * words, 1);
        }
        if (any) {
            hypervec_threshold(space, centroids + c * words, counts, space->dimension);
        }
    }
}
