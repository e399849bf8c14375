/*
 * ChunkList: the chunk list of a frame, parsed.
 */
#ifndef EMBR_ENGRAM_CHUNK_LIST_H
#define EMBR_ENGRAM_CHUNK_LIST_H

#include "engram/object.h"

typedef struct ChunkList {
    uint32_t n;                     /* chunks, at least 1 */
    uint32_t *positions;            /* n + 1: where each chunk starts in the decoded frame */
    const uint8_t *digests;         /* n times ENGRAM_DIGEST_BYTES */
    EngramRef frame;
    uint8_t *raw;
} ChunkList;

/* Takes raw, the decoded bytes of the object that ref speaks of, with room for at least
 * an EngramChunkList.  NULL, and raw is freed: the lengths are impossible, or do not add
 * up to the frame's. */
ChunkList *chunk_list_parse(uint8_t *raw, const EngramRef *ref, GError **errp);
/* The same for an ObjectCache. */
void *chunk_list_parse_cached(uint8_t *raw, const EngramRef *ref, void *opaque,
                              size_t *cost, GError **errp);
/* The chunk that holds that byte of the frame. */
uint32_t chunk_list_find(const ChunkList *list, uint32_t position);
void chunk_list_free(ChunkList *list);          /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ChunkList, chunk_list_free)

#endif
