/*
 * Sketch: a few features of a chunk, such that chunks which have much in common are likely
 * to have one in common.
 *
 * Places are sampled by the hash of the CHUNKER_WINDOW_BYTES before them, the one that
 * chunks are cut by, in the same kernels; a place's feature is a hash of these bytes, and the
 * sketch the lowest of them.  docs/interop/engram.md, section 12.1, says it exactly.
 */
#ifndef EMBR_ENGRAM_SKETCH_H
#define EMBR_ENGRAM_SKETCH_H

#include "engram/chunker.h"
#include "engram/format.h"

typedef struct Sketch {
    unsigned n;
    uint32_t features[ENGRAM_FEATURES_PER_CHUNK];   /* ascending, each once, none 0 */
} Sketch;

/* kernel: one of chunker_kernels(); all give the same. */
void sketch_chunk(const ChunkerKernel *kernel, const uint8_t *data, size_t len,
                  Sketch *sketch);

#endif
