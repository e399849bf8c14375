/*
 * Makes small engrams in memory from the specification alone, without the writer:
 * for tests of the reading side, and for fuzzers.
 */
#ifndef EMBR_TESTS_ENGRAM_BUILDER_H
#define EMBR_TESTS_ENGRAM_BUILDER_H

#include "engram/object.h"

typedef struct EngramBuilder {
    GByteArray *out;
    int level;                  /* of zstd; ENGRAM_LEVEL_STORE */
    uint32_t chunk_bytes;       /* of every chunk that is not cut by a segment's end */
    uint32_t frame_bytes;
    unsigned segment_bits;
    /* Manifests have vectors, an index of them, too: what two files of the three have
     * is that of their path, as a content; the third has that of the first.  False. */
    bool with_index;
    /* State. */
    uint64_t sequence;
    GHashTable *chunks;         /* digest -> BuiltChunk */
    GPtrArray *frames;          /* of BuiltFrame */
    GArray *images;             /* of EngramCommitImage */
    EngramRef previous;
} EngramBuilder;

EngramBuilder *engram_builder_new(int level, uint32_t chunk_bytes, uint32_t frame_bytes,
                                  unsigned segment_bits);
void engram_builder_free(EngramBuilder *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EngramBuilder, engram_builder_free)

/* Adds an image of these bytes. Blocks of zeroes of chunk_bytes are not stored; a
 * block of all 0xdd is recorded as dropped, and reads as zeroes. */
void engram_builder_add_image(EngramBuilder *b, const char *name, const uint8_t *disk,
                              uint64_t size, bool with_manifest);
/* That of the one directory in manifests, as they have it. */
void engram_builder_directory_digest(uint8_t digest[ENGRAM_DIGEST_BYTES]);
/* Writes a commit record, and its slot. */
void engram_builder_commit(EngramBuilder *b);
/* The file so far; b goes on. */
GBytes *engram_builder_bytes(EngramBuilder *b);

/* Gives every object and slot that can be found right checksums again. */
void engram_fix_checksums(uint8_t *data, size_t size);

#endif
