/*
 * Cutting: from content to chunks with identities, digest and hypervector.
 *
 * Depends on nothing but the content.  For any thread, one SinkCutter each.
 */
#ifndef EMBR_ENGRAM_SINK_CUT_H
#define EMBR_ENGRAM_SINK_CUT_H

#include <openssl/evp.h>

#include "engram/chunker.h"
#include "engram/format.h"
#include "engram/sketch.h"
#include "engram/vector.h"

typedef struct SinkChunk {
    const uint8_t *data;
    uint32_t length;
    uint8_t digest[ENGRAM_DIGEST_BYTES];
    Sketch sketch;              /* empty if none are made */
} SinkChunk;

/* A stretch of content: size bytes at data that belong at address. */
typedef struct SinkStretch {
    const uint8_t *data;
    uint32_t size;
    uint64_t address;
} SinkStretch;

/*
 * The next stretch without blocks of zeroes of size bytes at data that belong at address:
 * *end, 0 at first, is where the one before ended; [*start, *end) is the next one.  False:
 * there is none.
 */
bool sink_cut_next_stretch(const uint8_t *data, size_t size, uint64_t address,
                           size_t *start, size_t *end);

typedef struct SinkCutter SinkCutter;

/* chunker stays the caller's.  with_sketches: of each chunk, one is made. */
SinkCutter *sink_cutter_new(const Chunker *chunker, bool with_sketches);
void sink_cutter_free(SinkCutter *c);

/* Starts on a unit; counts (may be NULL) gets its n-grams. */
void sink_cutter_begin(SinkCutter *c, VectorCounts *counts);
/* Adds the chunks of a stretch to chunks, zero blocks left out. Stretches of a unit
 * come in order of address. */
void sink_cutter_add(SinkCutter *c, const SinkStretch *stretch, GArray *chunks);
/* False: the unit has no chunks. Else its digest: docs/interop/engram.md, section 8. */
bool sink_cutter_end(SinkCutter *c, uint8_t digest[ENGRAM_DIGEST_BYTES]);

#endif
