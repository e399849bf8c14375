/* The list of a file's blocks, which says how long each is on the volume; extents. */
#include "squashfs.h"

enum {
    LIST_AT_ONCE = 1024,
    TRACK_EVERY = 256,                  /* blocks */
};

static bool check_file(const SquashfsState *s, const SquashfsInode *inode, uint64_t first,
                       uint32_t count, GError **errp)
{
    if (!range_fits(first, count, inode->blocks)) {
        squashfs_error(s, errp, EMBR_ERROR_INVALID, inode->rest.block,
                       "inode %" PRIu64 ": blocks %" PRIu64 " to %" PRIu64
                       " asked for, it has %" PRIu64,
                       inode->stat.ino, first, first + count, inode->blocks);
        return false;
    }
    return true;
}

/* The next count sizes, which the track moves behind. */
static bool coroutine_fn read_sizes(SquashfsState *s, const SquashfsInode *inode,
                                    SquashfsTrack *track, uint32_t count,
                                    uint32_t *stored, GError **errp)
{
    if (!squashfs_meta_co_read(s, &track->cursor, stored, count * sizeof(*stored),
                               "list of blocks", errp)) {
        g_prefix_error(errp, "inode %" PRIu64 ": ", inode->stat.ino);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes;

        stored[i] = le32_load(&stored[i]);
        bytes = squashfs_stored_bytes(stored[i]);
        if (bytes > s->geo.block_bytes || track->device_offset > INT64_MAX) {
            squashfs_error(s, errp, EMBR_ERROR_CORRUPT, track->cursor.block,
                           "inode %" PRIu64 ": block %" PRIu64
                           " is 0x%x bytes at 0x%" PRIx64
                           ", expected at most %u, before the end of the volume",
                           inode->stat.ino, track->position, bytes, track->device_offset,
                           s->geo.block_bytes);
            return false;
        }
        track->device_offset += bytes;
        track->position++;
    }
    return true;
}

bool coroutine_fn squashfs_blocks_co_get(SquashfsState *s, const SquashfsInode *inode,
                                         uint64_t first, uint32_t count, uint32_t *stored,
                                         uint64_t *at, GError **errp)
{
    const SquashfsTrack *known = squashfs_track_find(s, inode->stat.ino, first);
    SquashfsTrack track = {inode->stat.ino, 0, inode->start, inode->rest};
    uint64_t from = 0;

    if (!check_file(s, inode, first, count, errp)) {
        return false;
    }
    if (known) {
        track = *known;
        from = known->position;
    }
    if (first > track.position) {
        g_autofree uint32_t *skipped = g_new(uint32_t, LIST_AT_ONCE);

        while (track.position < first) {
            uint32_t step = MIN(LIST_AT_ONCE, first - track.position);

            if (!read_sizes(s, inode, &track, step, skipped, errp)) {
                return false;
            }
        }
    }
    *at = track.device_offset;
    if (!read_sizes(s, inode, &track, count, stored, errp)) {
        return false;
    }
    if (track.position - from >= TRACK_EVERY) {
        squashfs_track_set(s, &track);
    }
    return true;
}

/* Extents as they are found; those that go on are made one. */
typedef struct Gather {
    GArray *list;
    unsigned left;
    FsExtent pending;                   /* length 0: nothing */
} Gather;

static void flush(Gather *g)
{
    if (g->pending.length && g->left) {
        g_array_append_val(g->list, g->pending);
        g->left--;
    }
    g->pending.length = 0;
}

static void add(Gather *g, const FsExtent *extent)
{
    FsExtent *last = &g->pending;
    bool encoded = extent->flags & FS_EXTENT_ENCODED;

    if (last->length && last->flags == extent->flags &&
        last->file_offset + last->length == extent->file_offset &&
        (encoded || last->device_offset + last->length == extent->device_offset)) {
        last->length += extent->length;
        return;
    }
    flush(g);
    *last = *extent;
}

static bool check_raw(const SquashfsState *s, const SquashfsInode *inode, uint64_t at,
                      uint32_t bytes, uint32_t content, GError **errp)
{
    if (bytes != content) {
        squashfs_error(s, errp, EMBR_ERROR_CORRUPT, at,
                       "inode %" PRIu64 ": a block of %u bytes, expected %u",
                       inode->stat.ino, bytes, content);
        return false;
    }
    return true;
}

static bool coroutine_fn add_fragment(SquashfsState *s, const SquashfsInode *inode,
                                      uint32_t shared, Gather *g, GError **errp)
{
    uint64_t file_offset = inode->blocks << s->geo.block_bits;
    uint32_t tail = inode->stat.size - file_offset;
    SquashfsBlock block;

    if (inode->fragment == SQUASHFS_NO_FRAGMENT || !tail || !g->left) {
        return true;
    }
    if (!squashfs_fragment_co_find(s, inode->fragment, &block, errp)) {
        return false;
    }

    uint32_t bytes = squashfs_stored_bytes(block.stored);
    FsExtent extent = {file_offset, block.at, tail, shared | FS_EXTENT_ENCODED};

    if (block.stored & SQUASHFS_DATA_RAW) {
        if (!range_fits(inode->fragment_offset, tail, bytes)) {
            squashfs_error(s, errp, EMBR_ERROR_CORRUPT, block.at,
                           "inode %" PRIu64
                           ": byte %u of a fragment of %u bytes, %u are wanted",
                           inode->stat.ino, inode->fragment_offset, bytes, tail);
            return false;
        }
        extent.device_offset += inode->fragment_offset;
        extent.flags = shared;
    }
    add(g, &extent);
    return true;
}

bool coroutine_fn squashfs_co_extents(SquashfsState *s, const SquashfsInode *inode,
                                      uint64_t file_offset, unsigned max, GArray *list,
                                      GError **errp)
{
    g_autofree uint32_t *stored = g_new(uint32_t, LIST_AT_ONCE);
    uint32_t shared = s->geo.shares_content ? FS_EXTENT_SHARED : 0;
    uint64_t index = file_offset >> s->geo.block_bits;
    Gather g = {list, max};

    if (!S_ISREG(inode->stat.mode) || file_offset >= inode->stat.size) {
        return true;
    }
    while (index < inode->blocks && g.left) {
        uint32_t count = MIN(LIST_AT_ONCE, inode->blocks - index);
        uint64_t at;

        if (!squashfs_blocks_co_get(s, inode, index, count, stored, &at, errp)) {
            return false;
        }
        for (uint32_t i = 0; i < count && g.left; i++, index++) {
            uint32_t bytes = squashfs_stored_bytes(stored[i]);
            uint32_t content = squashfs_block_content(s, inode, index);
            bool raw = stored[i] & SQUASHFS_DATA_RAW;
            FsExtent extent = {index << s->geo.block_bits, at, content,
                               shared | (raw ? 0 : FS_EXTENT_ENCODED)};

            if (!bytes) {
                flush(&g);
                continue;
            }
            if (raw && !check_raw(s, inode, at, bytes, content, errp)) {
                return false;
            }
            add(&g, &extent);
            at += bytes;
        }
    }
    if (!add_fragment(s, inode, shared, &g, errp)) {
        return false;
    }
    flush(&g);
    return true;
}
