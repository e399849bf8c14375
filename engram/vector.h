/*
 * The hypervectors of an engram: dimension, and sums of them.
 */
#ifndef EMBR_ENGRAM_VECTOR_H
#define EMBR_ENGRAM_VECTOR_H

#include <glib.h>
#include <hypervec/hypervec.h>

#include "engram/format.h"

enum {
    VECTOR_DIMENSION = HYPERVEC_DIMENSION_DEFAULT,
    VECTOR_PACKED_BYTES_MAX = HYPERVEC_PACKED_BYTES_MAX(VECTOR_DIMENSION),
};

/* What indexes compare first: the first trits of each vector. */
enum {
    VECTOR_SHORT_DIMENSION = ENGRAM_SHORT_DIMENSION,
    VECTOR_SHORT_WORDS = HYPERVEC_WORDS(VECTOR_SHORT_DIMENSION),
    VECTOR_SHORT_PACKED_BYTES_MAX = HYPERVEC_PACKED_BYTES_MAX(VECTOR_SHORT_DIMENSION),
};
G_STATIC_ASSERT(VECTOR_SHORT_PACKED_BYTES_MAX <= G_MAXUINT8);

/* A sum of vectors; all zero is the empty one. */
typedef struct VectorCounts {
    int32_t trits[VECTOR_DIMENSION];
} VectorCounts;

/* From any thread. */
const HypervecSpace *vector_space(void);
const HypervecSpace *vector_short_space(void);

/* out: VECTOR_SHORT_WORDS for the first trits of v, a vector of space. */
void vector_shorten(const HypervecSpace *space, uint64_t *out, const uint64_t *v);

/* Cuts counts back to a vector and packs it into out, VECTOR_PACKED_BYTES_MAX bytes at
 * most.  Returns the number of bytes. */
size_t vector_counts_pack(const VectorCounts *counts, uint8_t *out);

#endif
