#include "kernels.h"

#include <math.h>
#include <string.h>

/* Vectors whose dots are taken in one go on the way to similarities. */
#define BATCH_VECTORS 256
#define PLANE_WORDS_MAX (HYPERVEC_DIMENSION_MAX / 64)

bool hypervec_space_init(HypervecSpace *space, uint32_t dimension)
{
    if (dimension == 0 || dimension % HYPERVEC_DIMENSION_STEP != 0 ||
        dimension > HYPERVEC_DIMENSION_MAX) {
        return false;
    }
    *space = (HypervecSpace){
        .dimension = dimension,
        .kernel = hypervec_kernels()[0],
    };
    return true;
}

/* Words of one plane. */
static size_t plane_words(const HypervecSpace *space)
{
    return space->dimension / 64;
}

size_t hypervec_words(const HypervecSpace *space)
{
    return 2 * plane_words(space);
}

uint32_t hypervec_active_default(const HypervecSpace *space)
{
    return space->dimension / 32 * 5;
}

int hypervec_get(const HypervecSpace *space, const uint64_t *v, uint32_t i)
{
    const uint64_t *negative = v + plane_words(space);
    int nonzero = v[i / 64] >> (i % 64) & 1;

    return negative[i / 64] >> (i % 64) & 1 ? -nonzero : nonzero;
}

void hypervec_set(const HypervecSpace *space, uint64_t *v, uint32_t i, int trit)
{
    uint64_t *negative = v + plane_words(space);
    uint64_t bit = UINT64_C(1) << (i % 64);

    v[i / 64] = trit ? v[i / 64] | bit : v[i / 64] & ~bit;
    negative[i / 64] = trit < 0 ? negative[i / 64] | bit : negative[i / 64] & ~bit;
}

uint32_t hypervec_active(const HypervecSpace *space, const uint64_t *v)
{
    int32_t dot;
    uint32_t active;

    space->kernel->dots(&dot, &active, v, v, 1, plane_words(space));
    return active;
}

void hypervec_bundle(const HypervecSpace *space, int32_t *counts, const uint64_t *v,
                     int32_t weight)
{
    size_t words = plane_words(space);

    space->kernel->bundle(counts, v, v + words, words, weight);
}

void hypervec_counts_add(const HypervecSpace *space, int32_t *counts,
                         const int32_t *more)
{
    space->kernel->counts_add(counts, more, space->dimension);
}

/* The smallest magnitude above 0 that no more than active counts reach. */
static int32_t find_threshold(const HypervecSpace *space, const int32_t *counts,
                              uint32_t active)
{
    int32_t low = 0, high = 1;

    while (space->kernel->strong(counts, space->dimension, high) > active) {
        low = high;
        high *= 2;
    }
    /* Too many reach low (or it is 0), few enough reach high. */
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;

        if (space->kernel->strong(counts, space->dimension, middle) > active) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return high;
}

void hypervec_threshold(const HypervecSpace *space, uint64_t *out,
                        const int32_t *counts, uint32_t active)
{
    const HypervecKernel *kernel = space->kernel;
    uint32_t dimension = space->dimension;
    uint64_t *negative = out + plane_words(space);
    uint64_t strong[PLANE_WORDS_MAX];
    int32_t threshold = find_threshold(space, counts, active);
    uint32_t equals =
        threshold == 1 ? 0 : active - kernel->strong(counts, dimension, threshold);

    kernel->split(out, negative, counts, dimension, threshold);
    if (equals == 0) {
        return;
    }
    memcpy(strong, out, plane_words(space) * sizeof(*out));
    kernel->split(out, negative, counts, dimension, threshold - 1);
    for (size_t w = 0; w < plane_words(space); w++) {
        uint64_t tied = out[w] & ~strong[w];

        for (out[w] = strong[w]; tied && equals > 0; tied &= tied - 1) {
            out[w] |= tied & -tied;
            equals--;
        }
        negative[w] &= out[w];
    }
}

/* FNV-1a, 64 bits. */
static uint64_t hash_bytes(const uint8_t *bytes, size_t len)
{
    uint64_t hash = 0xCBF29CE484222325;

    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ bytes[i]) * 0x100000001B3;
    }
    return hash;
}

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

void hypervec_item(const HypervecSpace *space, uint64_t *out, const void *bytes,
                   size_t len)
{
    size_t words = plane_words(space);
    uint64_t state = hash_bytes(bytes, len);

    for (size_t w = 0; w < words; w++) {
        out[w] = UINT64_MAX;
        out[words + w] = splitmix64(&state);
    }
}

void hypervec_bind(const HypervecSpace *space, uint64_t *out, const uint64_t *a,
                   const uint64_t *b)
{
    space->kernel->bind(out, a, b, plane_words(space));
}

void hypervec_unbind(const HypervecSpace *space, uint64_t *out, const uint64_t *bound,
                     const uint64_t *key)
{
    /* Every trit but 0 is its own inverse. */
    hypervec_bind(space, out, bound, key);
}

static void rotate_plane(uint64_t *out, const uint64_t *plane, size_t words,
                         uint32_t steps)
{
    size_t far = steps / 64;
    uint32_t near = steps % 64;

    for (size_t w = 0; w < words; w++) {
        uint64_t word = plane[(w + words - far) % words];
        uint64_t before = plane[(w + 2 * words - far - 1) % words];

        out[w] = near ? word << near | before >> (64 - near) : word;
    }
}

void hypervec_permute(const HypervecSpace *space, uint64_t *out, const uint64_t *v,
                      int64_t steps)
{
    size_t words = plane_words(space);
    int64_t rest = steps % (int64_t)space->dimension;
    uint32_t forward = (uint32_t)(rest < 0 ? rest + space->dimension : rest);

    rotate_plane(out, v, words, forward);
    rotate_plane(out + words, v + words, words, forward);
}

int32_t hypervec_dot(const HypervecSpace *space, const uint64_t *a, const uint64_t *b)
{
    int32_t dot;

    hypervec_dots(space, &dot, a, b, 1);
    return dot;
}

void hypervec_dots(const HypervecSpace *space, int32_t *out, const uint64_t *query,
                   const uint64_t *vectors, size_t n)
{
    space->kernel->dots(out, NULL, query, vectors, n, plane_words(space));
}

double hypervec_similarity(const HypervecSpace *space, const uint64_t *a,
                           const uint64_t *b)
{
    double similarity;

    hypervec_similarities(space, &similarity, a, b, 1);
    return similarity;
}

void hypervec_similarities(const HypervecSpace *space, double *out,
                           const uint64_t *query, const uint64_t *vectors, size_t n)
{
    uint64_t query_active = hypervec_active(space, query);
    int32_t dots[BATCH_VECTORS];
    uint32_t active[BATCH_VECTORS];

    while (n > 0) {
        size_t batch = n < BATCH_VECTORS ? n : BATCH_VECTORS;

        space->kernel->dots(dots, active, query, vectors, batch, plane_words(space));
        for (size_t i = 0; i < batch; i++) {
            /* Below 2^30, so exact, and the quotient is at most 1. */
            uint64_t square = query_active * active[i];

            out[i] = square ? dots[i] / sqrt((double)square) : 0;
        }
        out += batch;
        vectors += batch * hypervec_words(space);
        n -= batch;
    }
}
