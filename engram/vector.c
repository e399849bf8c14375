/*
 * Hypervectors of one dimension.
 */
#include "engram/vector.h"

#include <pthread.h>
#include <string.h>

static HypervecSpace space, short_space;

static void init_spaces(void)
{
    hypervec_space_init(&space, VECTOR_DIMENSION);
    hypervec_space_init(&short_space, VECTOR_SHORT_DIMENSION);
}

/* POSIX, as ThreadSanitizer does not see what GLib orders. */
static void init_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, init_spaces);
}

const HypervecSpace *vector_space(void)
{
    init_once();
    return &space;
}

const HypervecSpace *vector_short_space(void)
{
    init_once();
    return &short_space;
}

void vector_shorten(const HypervecSpace *of, uint64_t *out, const uint64_t *v)
{
    size_t plane_words = hypervec_words(of) / 2;
    size_t short_words = VECTOR_SHORT_WORDS / 2;

    memcpy(out, v, short_words * sizeof(*v));
    memcpy(out + short_words, v + plane_words, short_words * sizeof(*v));
}

size_t vector_counts_pack(const VectorCounts *counts, uint8_t *out)
{
    uint64_t vector[HYPERVEC_WORDS(VECTOR_DIMENSION)];
    const HypervecSpace *hv = vector_space();

    hypervec_threshold(hv, vector, counts->trits, hypervec_active_default(hv));
    return hypervec_pack(hv, out, vector);
}
