/*
 * The hypervectors of an engram: dimension, and sums of them.
 */
#ifndef EMBR_ENGRAM_VECTOR_H
#define EMBR_ENGRAM_VECTOR_H

#include <glib.h>
#include <hypervec/hypervec.h>

enum {
    VECTOR_DIMENSION = HYPERVEC_DIMENSION_DEFAULT,
    VECTOR_PACKED_BYTES_MAX = HYPERVEC_PACKED_BYTES_MAX(VECTOR_DIMENSION),
};

/* A sum of vectors; all zero is the empty one. */
typedef struct VectorCounts {
    int32_t trits[VECTOR_DIMENSION];
} VectorCounts;

/* From any thread. */
const HypervecSpace *vector_space(void);

/* Cuts counts back to a vector and packs it into out, VECTOR_PACKED_BYTES_MAX bytes at
 * most.  Returns the number of bytes. */
size_t vector_counts_pack(const VectorCounts *counts, uint8_t *out);

#endif
