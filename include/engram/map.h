/*
 * The device map of an image: map root, segments, maps.
 */
#ifndef EMBR_ENGRAM_MAP_H
#define EMBR_ENGRAM_MAP_H

#include "engram/file.h"

/* The map of one segment, checked; what it says is safe to follow. */
typedef struct EngramMap {
    uint32_t n;                         /* entries */
    uint32_t bytes;                     /* of the disk, all entries together */
    uint32_t n_frames;
    const EngramMapFrame *frames;
    const uint8_t *kinds;               /* EngramMapKind */
    const le32_t *lengths;
    const le16_t *frame_indexes;
    const le32_t *positions;
    const le32_t *skips;
    uint32_t *starts;                   /* n + 1: where in the segment each begins */
    uint8_t *raw;
} EngramMap;

/* Owns raw, ref->raw bytes. end: of the commit. *cost: bytes it takes beyond them;
 * may be NULL. */
EngramMap *engram_map_parse(uint8_t *raw, const EngramRef *ref, uint64_t end, size_t *cost,
                            GError **errp);
void engram_map_free(EngramMap *map);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EngramMap, engram_map_free)

/* The entry that holds byte pos of the segment; pos < map->bytes. */
uint32_t engram_map_find(const EngramMap *map, uint32_t pos);

static inline bool engram_map_is_zero(const EngramMap *map, uint32_t entry)
{
    return map->kinds[entry] == ENGRAM_MAP_ZERO || map->kinds[entry] == ENGRAM_MAP_DROPPED;
}
static inline uint32_t engram_map_length(const EngramMap *map, uint32_t entry)
{
    return map->starts[entry + 1] - map->starts[entry];
}

/* The top of a device map. */
typedef struct EngramMapTop {
    uint64_t virtual_size;
    unsigned segment_bits;
    uint64_t n_segments;
    uint32_t n_pages;
    EngramRef *pages;
} EngramMapTop;

bool coroutine_fn engram_map_top_co_load(EngramMapTop *top, EngramFile *f,
                                         const EngramImage *image, GError **errp);
void engram_map_top_clear(EngramMapTop *top);

/* Segments that page describes; what its object's raw size has to be follows. */
static inline uint32_t engram_map_top_page_segments(const EngramMapTop *top, uint32_t page)
{
    uint64_t left = top->n_segments - (uint64_t)page * ENGRAM_SEGMENTS_PER_PAGE;

    return MIN(left, ENGRAM_SEGMENTS_PER_PAGE);
}
/* Bytes of the disk in a segment. */
static inline uint64_t engram_map_top_segment_bytes(const EngramMapTop *top,
                                                    uint64_t segment)
{
    uint64_t left = top->virtual_size - (segment << top->segment_bits);

    return MIN(left, UINT64_C(1) << top->segment_bits);
}

#endif
