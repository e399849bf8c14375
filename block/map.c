/*
 * The map of a disk, as people see it.
 */
#include <errno.h>
#include "block/block-int.h"
#include "qapi/qapi-types.h"

void bdrv_map_iter_init(BlockMapIter *iter, BlockDriverState *bs, int64_t offset,
                        int64_t end)
{
    *iter = (BlockMapIter){ .bs = bs, .offset = offset, .end = end };
}

void bdrv_map_iter_clear(BlockMapIter *iter)
{
    g_clear_pointer(&iter->pending, map_entry_free);
}

/* The range at offset.  Unlike bdrv_co_block_status_above(), what lies beyond the
 * end of a backing file is found in the layer above it. */
static int coroutine_fn co_map_entry(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                     MapEntry *entry)
{
    int64_t map = 0;
    BlockDriverState *file = NULL;
    int ret = 0;

    for (int depth = 0; bs; bs = bs->backing, depth++) {
        int64_t n = 0;
        ret = bdrv_co_block_status(bs, offset, bytes, &n, &map, &file);
        if (ret < 0 || n <= 0) {
            return ret < 0 ? ret : -EIO;
        }
        bytes = n;
        entry->depth = depth;
        if ((ret & (BDRV_BLOCK_DATA | BDRV_BLOCK_ZERO)) || !bs->backing) {
            break;
        }
    }
    entry->start = offset;
    entry->length = bytes;
    entry->present = ret & BDRV_BLOCK_ALLOCATED;
    entry->zero = ret & BDRV_BLOCK_ZERO;
    entry->data = ret & BDRV_BLOCK_DATA;
    entry->has_offset = ret & BDRV_BLOCK_OFFSET_VALID;
    if (entry->has_offset) {
        entry->offset = map;
        entry->filename = g_strdup(file ? file->filename : NULL);
    }
    return 0;
}

static bool continues(const MapEntry *a, const MapEntry *b)
{
    return a->depth == b->depth && a->present == b->present && a->zero == b->zero &&
           a->data == b->data && a->has_offset == b->has_offset &&
           (!a->has_offset || a->offset + a->length == b->offset) &&
           g_strcmp0(a->filename, b->filename) == 0;
}

MapEntry *coroutine_fn bdrv_map_iter_co_next(BlockMapIter *iter, GError **errp)
{
    g_autoptr(MapEntry) entry = g_steal_pointer(&iter->pending);

    while (iter->offset < iter->end) {
        g_autoptr(MapEntry) next = map_entry_new0();
        int ret = co_map_entry(iter->bs, iter->offset, iter->end - iter->offset, next);
        if (ret < 0) {
            GError *error = bdrv_take_error(iter->bs);
            if (error) {
                g_propagate_error(errp, error);
                return NULL;
            }
            error_set_errno(errp, -ret, "%s: block status at offset 0x%"
                            G_GINT64_MODIFIER "x", iter->bs->filename, iter->offset);
            return NULL;
        }
        iter->offset += next->length;
        if (!entry) {
            entry = g_steal_pointer(&next);
        } else if (continues(entry, next)) {
            entry->length += next->length;
        } else {
            iter->pending = g_steal_pointer(&next);
            break;
        }
    }
    return g_steal_pointer(&entry);
}
