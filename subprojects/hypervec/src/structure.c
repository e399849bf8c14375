/* Sequences, records, codebooks, lists of places: made of what hypervec.c does. */
#include "hypervec/structure.h"

#include <string.h>

/* Vectors that are compared in one go. */
#define BATCH_VECTORS 64

void hypervec_sequence_add(const HypervecSpace *space, int32_t *counts,
                           const uint64_t *v, int64_t position, int32_t weight)
{
    uint64_t rotated[HYPERVEC_WORDS(HYPERVEC_DIMENSION_MAX)];

    hypervec_permute(space, rotated, v, position);
    hypervec_bundle(space, counts, rotated, weight);
}

void hypervec_sequence_get(const HypervecSpace *space, uint64_t *out,
                           const uint64_t *sequence, int64_t position)
{
    hypervec_permute(space, out, sequence, -(position % (int64_t)space->dimension));
}

void hypervec_record_add(const HypervecSpace *space, int32_t *counts, const uint64_t *v,
                         const uint64_t *role, int32_t weight)
{
    uint64_t bound[HYPERVEC_WORDS(HYPERVEC_DIMENSION_MAX)];

    hypervec_bind(space, bound, v, role);
    hypervec_bundle(space, counts, bound, weight);
}

void hypervec_record_get(const HypervecSpace *space, uint64_t *out,
                         const uint64_t *record, const uint64_t *role)
{
    hypervec_unbind(space, out, record, role);
}

void hypervec_bind_sequence(const HypervecSpace *space, uint64_t *out,
                            const uint64_t *vectors, size_t n)
{
    uint64_t rotated[HYPERVEC_WORDS(HYPERVEC_DIMENSION_MAX)];
    size_t words = hypervec_words(space);

    memcpy(out, vectors, words * sizeof(*out));
    for (size_t i = 1; i < n; i++) {
        hypervec_permute(space, rotated, vectors + i * words,
                         (int64_t)(i % space->dimension));
        hypervec_bind(space, out, out, rotated);
    }
}

size_t hypervec_clean_up(const HypervecSpace *space, const uint64_t *v,
                         const uint64_t *codebook, size_t n, double *similarity)
{
    double similarities[BATCH_VECTORS], most = -2;
    size_t words = hypervec_words(space), best = 0;

    for (size_t at = 0; at < n; at += BATCH_VECTORS) {
        size_t batch = n - at < BATCH_VECTORS ? n - at : BATCH_VECTORS;

        hypervec_similarities(space, similarities, v, codebook + at * words, batch);
        for (size_t i = 0; i < batch; i++) {
            if (similarities[i] > most) {
                most = similarities[i];
                best = at + i;
            }
        }
    }
    if (similarity) {
        *similarity = most;
    }
    return best;
}

uint32_t hypervec_to_places(const HypervecSpace *space, int32_t *places,
                            const uint64_t *v)
{
    size_t words = space->dimension / 64;
    uint32_t n = 0;

    for (size_t w = 0; w < words; w++) {
        for (uint64_t left = v[w]; left; left &= left - 1) {
            int bit = __builtin_ctzll(left);
            int32_t place = (int32_t)(w * 64) + bit + 1;

            places[n++] = v[words + w] >> bit & 1 ? -place : place;
        }
    }
    return n;
}

bool hypervec_from_places(const HypervecSpace *space, uint64_t *v,
                          const int32_t *places, size_t n)
{
    int64_t last = 0;

    memset(v, 0, hypervec_words(space) * sizeof(*v));
    for (size_t i = 0; i < n; i++) {
        int64_t place = places[i] < 0 ? -(int64_t)places[i] : places[i];

        if (place <= last || place > space->dimension) {
            return false;
        }
        hypervec_set(space, v, (uint32_t)(place - 1), places[i] < 0 ? -1 : 1);
        last = place;
    }
    return true;
}
