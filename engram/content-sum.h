/*
 * ContentSum: digest and hypervector of a file's content, as a manifest has them.
 *
 * What is read of a file in one piece after another is summed here, by the sink and by
 * queries alike.
 */
#ifndef EMBR_ENGRAM_CONTENT_SUM_H
#define EMBR_ENGRAM_CONTENT_SUM_H

#include "engram/chunker.h"
#include "engram/format.h"
#include "engram/vector.h"
#include "util/coroutine.h"

typedef struct ContentSum ContentSum;

/* chunker stays the caller's. */
ContentSum *content_sum_new(const Chunker *chunker);
void content_sum_free(ContentSum *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ContentSum, content_sum_free)

/* Adds a segment: SINK_SEGMENT_BYTES from a multiple of them on, or what is left at the
 * end.  They come in order of address; any that is all zero may be left out.  The work
 * is done in the CPU thread pool. */
void coroutine_fn content_sum_co_add(ContentSum *s, const uint8_t *data, uint32_t bytes,
                                     uint64_t address);

/* The digest of a content of size bytes, of which all was added. */
void content_sum_digest(const ContentSum *s, uint64_t size,
                        uint8_t digest[ENGRAM_DIGEST_BYTES]);
/* The same for its hypervector: the counts of what is inside, if it is a compressed stream
 * (engram/unwrap.h).  NULL: nothing but zero blocks was added.  Stays the sum's; the work
 * is done in the CPU thread pool. */
const VectorCounts *coroutine_fn content_sum_co_counts(ContentSum *s, uint64_t size);

#endif
