/*
 * SinkContents: what is known of files whose units arrive one by one, in any order.
 */
#ifndef EMBR_ENGRAM_SINK_CONTENT_H
#define EMBR_ENGRAM_SINK_CONTENT_H

#include "engram/manifest-writer.h"
#include "engram/profile.h"
#include "engram/sink-unit.h"
#include "engram/vector.h"

/* What was found in a unit. */
typedef struct SinkFound {
    bool has_chunks;                        /* else it is all zeroes */
    uint8_t digest[ENGRAM_DIGEST_BYTES];    /* of its chunks */
    VectorCounts *counts; /* of a unit that is not its whole file; owned */
    uint8_t *packed;                        /* the vector of one that is; owned */
    size_t packed_bytes;
} SinkFound;

typedef struct SinkContents SinkContents;

/* spool_dir: for a temporary file that very many unfinished files need. */
SinkContents *sink_contents_new(ManifestWriter *manifest, const char *spool_dir);
void sink_contents_free(SinkContents *c);

/* A file of size bytes has one more unit, which is not all of it. */
void sink_contents_expect(SinkContents *c, uint32_t file, uint64_t size);
/* Units of the file are not to be taken for its content, which is found in another way
 * or not at all. */
void sink_contents_distrust(SinkContents *c, uint32_t file);
/* The vector of the file, of several units, is this one, whatever is found in them. */
void sink_contents_set_vector(SinkContents *c, uint32_t file, const uint8_t *packed,
                              size_t bytes);
/* Takes what found owns. */
bool sink_contents_add(SinkContents *c, const SinkUnit *unit, SinkFound *found,
                       GError **errp);
/* The digest of a file of size bytes; of its units that have chunks, digests has theirs
 * in order of address. */
void sink_content_digest(const GByteArray *digests, uint64_t size,
                         uint8_t digest[ENGRAM_DIGEST_BYTES]);

/* The profile for a file whose path tells nothing, by its first len bytes. */
unsigned sink_profile_by_magic(const ProfileSet *profiles, const void *head,
                               size_t len);

#endif
