/* The log: extents of files. */
#include "log.h"

static const BtrfsFileExtentItem *extent_of(const BtrfsOverlayItem *item)
{
    return (const BtrfsFileExtentItem *)item->data;
}

static bool is_inline(const BtrfsOverlayItem *item)
{
    return extent_of(item)->type == BTRFS_EXTENT_INLINE;
}

static bool is_whole(const BtrfsOverlayItem *item)
{
    return item->size >= BTRFS_EXTENT_INLINE_HEAD_BYTES &&
           (is_inline(item) || item->size >= sizeof(BtrfsFileExtentItem));
}

/* The first byte that the extent does not cover. */
static uint64_t extent_end(const BtrfsReplay *r, const BtrfsOverlayItem *item)
{
    const BtrfsFileExtentItem *extent = extent_of(item);
    uint64_t start = item->key.offset, left = (uint64_t)INT64_MAX - start;
    uint64_t bytes =
        is_inline(item) ? le64_get(extent->ram_bytes) : le64_get(extent->num_bytes);

    if (start > INT64_MAX) {
        return start;
    }
    bytes = MIN(bytes, left);
    return start +
           (is_inline(item) ? round_up_pow2(bytes, r->s->geo.sector_bytes) : bytes);
}

/* A copy of the extent that has only its part [start, end). */
static void add_part(BtrfsReplay *r, const BtrfsOverlayItem *item, uint64_t start,
                     uint64_t end)
{
    BtrfsKey key = {item->key.objectid, BTRFS_EXTENT_DATA, start};
    BtrfsFileExtentItem part = *extent_of(item);

    part.offset = le64_make(le64_get(part.offset) + (start - item->key.offset));
    part.num_bytes = le64_make(end - start);
    btrfs_overlay_set(r->out, &key, &part, sizeof(part));
}

static void drop_part(BtrfsReplay *r, const BtrfsOverlayItem *item, uint64_t start,
                      uint64_t end)
{
    uint64_t first = item->key.offset, last = extent_end(r, item);

    if (last <= start || first >= end) {
        return;
    }
    if (is_inline(item)) {
        if (start <= first) {
            btrfs_overlay_remove(r->out, &item->key);
        }
        return;
    }
    if (last > end) {
        add_part(r, item, end, last);
    }
    if (first < start) {
        add_part(r, item, first, start);
    } else {
        btrfs_overlay_remove(r->out, &item->key);
    }
}

void btrfs_replay_drop(BtrfsReplay *r, uint64_t objectid, uint64_t start, uint64_t end)
{
    BtrfsKey key = {objectid, BTRFS_EXTENT_DATA, start};
    BtrfsOverlayItem *item = btrfs_overlay_last(r->out, &key);

    if (!item || item->key.objectid != objectid || item->key.type != key.type) {
        item = btrfs_overlay_first_of(r->out, objectid, key.type, start);
    }
    while (item && item->key.offset < end) {
        key = item->key;
        if (is_whole(item)) {
            drop_part(r, item, start, end);
        }
        item = btrfs_overlay_next_of(r->out, &key);
    }
}

bool btrfs_replay_extent(BtrfsReplay *r, const BtrfsOverlayItem *item, GError **errp)
{
    const BtrfsOverlayItem *have =
        btrfs_overlay_get(r->out, item->key.objectid, item->key.type, item->key.offset);

    if (!is_whole(item)) {
        btrfs_error(r->s, errp, EMBR_ERROR_CORRUPT, 0,
                    "log: inode %" PRIu64 ": extent at 0x%" PRIx64
                    " has an item of %u bytes",
                    item->key.objectid, item->key.offset, item->size);
        return false;
    }
    if (have && have->size == item->size &&
        !memcmp(have->data, item->data, item->size)) {
        return true;
    }
    btrfs_replay_drop(r, item->key.objectid, item->key.offset, extent_end(r, item));
    if (is_inline(item) || le64_get(extent_of(item)->disk_bytenr) ||
        !(r->s->geo.incompat & BTRFS_INCOMPAT_NO_HOLES)) {
        btrfs_overlay_set(r->out, &item->key, item->data, item->size);
    }
    return true;
}

uint64_t btrfs_replay_used_bytes(const BtrfsReplay *r, uint64_t objectid)
{
    const BtrfsOverlayItem *item =
        btrfs_overlay_first_of(r->out, objectid, BTRFS_EXTENT_DATA, 0);
    uint64_t used = 0;

    for (; item; item = btrfs_overlay_next_of(r->out, &item->key)) {
        const BtrfsFileExtentItem *extent = extent_of(item);

        if (!is_whole(item)) {
            continue;
        }
        if (is_inline(item)) {
            used += le64_get(extent->ram_bytes);
        } else if (le64_get(extent->disk_bytenr)) {
            used += le64_get(extent->num_bytes);
        }
    }
    return used;
}
