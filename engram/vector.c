/*
 * Hypervectors of one dimension.
 */
#include "engram/vector.h"

#include <pthread.h>

static HypervecSpace space;

static void init_space(void)
{
    hypervec_space_init(&space, VECTOR_DIMENSION);
}

/* POSIX, as ThreadSanitizer does not see what GLib orders. */
const HypervecSpace *vector_space(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, init_space);
    return &space;
}

size_t vector_counts_pack(const VectorCounts *counts, uint8_t *out)
{
    uint64_t vector[HYPERVEC_WORDS(VECTOR_DIMENSION)];
    const HypervecSpace *hv = vector_space();

    hypervec_threshold(hv, vector, counts->trits, hypervec_active_default(hv));
    return hypervec_pack(hv, out, vector);
}
