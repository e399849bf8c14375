/*
 * Hypervectors of one dimension.
 */
#include "engram/vector.h"

static HypervecSpace space;

static gpointer init_space(gpointer unused)
{
    hypervec_space_init(&space, VECTOR_DIMENSION);
    return &space;
}

const HypervecSpace *vector_space(void)
{
    static GOnce once = G_ONCE_INIT;

    return g_once(&once, init_space, NULL);
}

size_t vector_counts_pack(const VectorCounts *counts, uint8_t *out)
{
    uint64_t vector[HYPERVEC_WORDS(VECTOR_DIMENSION)];
    const HypervecSpace *hv = vector_space();

    hypervec_threshold(hv, vector, counts->trits, hypervec_active_default(hv));
    return hypervec_pack(hv, out, vector);
}
