/*
 * Parsing chunk lists.
 */
#include "engram/chunk-list.h"

#include "util/error.h"

void chunk_list_free(ChunkList *list)
{
    if (!list) {
        return;
    }
    g_free(list->positions);
    g_free(list->raw);
    g_free(list);
}

/* Where the chunks start, and whether their lengths make sense. */
static bool add_lengths(ChunkList *list, const le32_t *lengths, uint64_t offset,
                        GError **errp)
{
    uint64_t position = 0, end = le32_get(list->frame.raw);

    list->positions = g_new(uint32_t, (size_t)list->n + 1);
    for (uint32_t i = 0; i < list->n; i++) {
        uint32_t length = le32_get(lengths[i]);

        list->positions[i] = position;
        position += length;
        if (!length || length > ENGRAM_MAX_CHUNK_BYTES || position > end) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                        "chunk list at offset 0x%" PRIx64 ": chunk %" PRIu32
                        " has %" PRIu32 " bytes and ends at %" PRIu64
                        " of a frame of %" PRIu64,
                        offset, i, length, position, end);
            return false;
        }
    }
    list->positions[list->n] = position;
    if (position != end) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "chunk list at offset 0x%" PRIx64 ": chunks of %" PRIu64
                    " bytes in all in a frame of %" PRIu64,
                    offset, position, end);
        return false;
    }
    return true;
}

ChunkList *chunk_list_parse(uint8_t *raw, const EngramRef *ref, GError **errp)
{
    g_autoptr(ChunkList) list = g_new0(ChunkList, 1);
    uint64_t offset = le64_get(ref->offset), size = le32_get(ref->raw);
    const size_t per_chunk = sizeof(le32_t) + ENGRAM_DIGEST_BYTES;
    EngramChunkList head = { 0 };

    list->raw = raw;
    memcpy(&head, raw, MIN(size, sizeof(head)));
    list->n = le32_get(head.count);
    list->frame = head.frame;
    if (size != sizeof(head) + list->n * (uint64_t)per_chunk || !list->n) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "chunk list at offset 0x%" PRIx64 " has %" PRIu64
                    " bytes for %" PRIu32 " chunks",
                    offset, size, list->n);
        return NULL;
    }
    const le32_t *lengths = (const le32_t *)(raw + sizeof(head));
    list->digests = raw + sizeof(head) + list->n * sizeof(*lengths);
    return add_lengths(list, lengths, offset, errp) ? g_steal_pointer(&list) : NULL;
}

void *chunk_list_parse_cached(uint8_t *raw, const EngramRef *ref, void *opaque,
                              size_t *cost, GError **errp)
{
    ChunkList *list = chunk_list_parse(raw, ref, errp);

    if (list) {
        *cost += sizeof(*list) + ((size_t)list->n + 1) * sizeof(*list->positions);
    }
    return list;
}

uint32_t chunk_list_find(const ChunkList *list, uint32_t position)
{
    uint32_t low = 0, high = list->n;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (list->positions[middle] <= position) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}
