/* What data extents hold, checked against the tree of checksums. */
#include "btrfs.h"

enum { STEP_BYTES = 1024 * 1024 };

static bool no_sum(const BtrfsState *s, uint64_t logical, GError **errp)
{
    btrfs_error(s, errp, EMBR_ERROR_CORRUPT, logical, "data has no checksum");
    return false;
}

/* As many as the log has from logical on; 0: none.  *count is cut to where it has
 * others. */
static unsigned logged_sums(const BtrfsState *s, uint64_t logical, unsigned *count,
                            uint8_t *sums)
{
    BtrfsKey key = {BTRFS_EXTENT_CSUM_OBJECT, BTRFS_EXTENT_CSUM, logical};
    unsigned each = btrfs_csum_bytes(s->geo.csum_type);
    uint32_t sector = s->geo.sector_bytes;
    const BtrfsOverlayItem *item =
        s->log_sums ? btrfs_overlay_last(s->log_sums, &key) : NULL;

    if (!s->log_sums) {
        return 0;
    }
    if (item) {
        uint64_t skip = (logical - item->key.offset) / sector, have = item->size / each;

        if (skip < have) {
            unsigned n = MIN(*count, have - skip);

            memcpy(sums, item->data + skip * each, n * each);
            return n;
        }
    }
    item = btrfs_overlay_next(s->log_sums, &key);
    if (item) {
        *count = MIN(*count, (item->key.offset - logical) / sector);
    }
    return 0;
}

/* Checksums of count sectors, as the tree has them. */
static bool coroutine_fn find_tree_sums(BtrfsState *s, uint64_t logical, unsigned count,
                                        uint8_t *sums, GError **errp)
{
    unsigned each = btrfs_csum_bytes(s->geo.csum_type);
    uint32_t sector = s->geo.sector_bytes;
    BtrfsKey key = {BTRFS_EXTENT_CSUM_OBJECT, BTRFS_EXTENT_CSUM, logical};
    g_auto(BtrfsCursor) c = {0};

    btrfs_cursor_init(&c, s, &s->csum_tree);
    if (!s->has_csum_tree) {
        return no_sum(s, logical, errp);
    }
    if (!btrfs_cursor_co_seek_back(&c, &key, errp)) {
        g_prefix_error(errp, "checksum of data at 0x%" PRIx64 ": ", logical);
        return false;
    }
    while (count) {
        if (!btrfs_cursor_is(&c, key.objectid, key.type) || c.key.offset > logical) {
            return no_sum(s, logical, errp);
        }

        uint64_t skip = (logical - c.key.offset) / sector, have = c.size / each;
        uint64_t n = MIN(count, have - MIN(have, skip));

        if (!n) {
            return no_sum(s, logical, errp);
        }
        memcpy(sums, c.data + skip * each, n * each);
        sums += n * each;
        logical += n * sector;
        count -= n;
        if (count && !btrfs_cursor_co_next(&c, errp)) {
            g_prefix_error(errp, "checksum of data at 0x%" PRIx64 ": ", logical);
            return false;
        }
    }
    return true;
}

static bool coroutine_fn find_sums(BtrfsState *s, uint64_t logical, unsigned count,
                                   uint8_t *sums, GError **errp)
{
    unsigned each = btrfs_csum_bytes(s->geo.csum_type);

    while (count) {
        unsigned n = count, logged = logged_sums(s, logical, &n, sums);

        if (!logged && !find_tree_sums(s, logical, n, sums, errp)) {
            return false;
        }
        n = logged ? logged : n;
        logical += (uint64_t)n * s->geo.sector_bytes;
        sums += n * each;
        count -= n;
    }
    return true;
}

static bool is_good(const BtrfsState *s, const uint8_t *data, const uint8_t *expected)
{
    uint8_t sum[BTRFS_CSUM_BYTES];

    btrfs_csum(s->geo.csum_type, data, s->geo.sector_bytes, sum);
    return !memcmp(sum, expected, btrfs_csum_bytes(s->geo.csum_type));
}

static void warn_of_copy(BtrfsState *s, uint64_t logical)
{
    if (!s->copy_warned) {
        s->copy_warned = true;
        btrfs_warn(s, logical,
                   "data is not what its checksum says; another copy is used (and so "
                   "for others, if need be)");
    }
}

/* A sector of which one copy is bad or cannot be read. */
static bool coroutine_fn read_other_copy(BtrfsState *s, uint64_t logical,
                                         const uint8_t *sum, uint8_t *data,
                                         GError **errp)
{
    unsigned copies = btrfs_chunk_copies(s, logical);

    for (unsigned copy = 1; copy < copies; copy++) {
        if (btrfs_logical_co_read(s, logical, s->geo.sector_bytes, copy, data, "data",
                                  NULL) &&
            is_good(s, data, sum)) {
            warn_of_copy(s, logical);
            return true;
        }
    }
    btrfs_error(s, errp, EMBR_ERROR_CORRUPT, logical,
                "data is not what its checksum (%s) says, in none of %u copies",
                btrfs_csum_name(s->geo.csum_type), copies);
    return false;
}

static bool coroutine_fn read_checked(BtrfsState *s, uint64_t logical, uint64_t bytes,
                                      uint8_t *buf, GError **errp)
{
    unsigned each = btrfs_csum_bytes(s->geo.csum_type);
    uint32_t sector = s->geo.sector_bytes;
    unsigned count = bytes / sector;
    g_autofree uint8_t *sums = g_malloc(count * each);
    g_autoptr(GError) error = NULL;

    if (!find_sums(s, logical, count, sums, errp)) {
        return false;
    }

    bool is_read = btrfs_logical_co_read(s, logical, bytes, 0, buf, "data", &error);

    for (unsigned i = 0; i < count; i++) {
        uint8_t *data = buf + (uint64_t)i * sector;

        if ((!is_read || !is_good(s, data, sums + i * each)) &&
            !read_other_copy(s, logical + (uint64_t)i * sector, sums + i * each, data,
                             is_read ? errp : NULL)) {
            if (!is_read) {
                g_propagate_error(errp, g_steal_pointer(&error));
            }
            return false;
        }
    }
    return true;
}

static bool coroutine_fn read_unchecked(BtrfsState *s, uint64_t logical, uint64_t bytes,
                                        uint8_t *buf, GError **errp)
{
    unsigned copies = btrfs_chunk_copies(s, logical);
    bool ok = btrfs_logical_co_read(s, logical, bytes, 0, buf, "data",
                                    copies > 1 ? NULL : errp);

    for (unsigned copy = 1; !ok && copy < copies; copy++) {
        ok = btrfs_logical_co_read(s, logical, bytes, copy, buf, "data",
                                   copy + 1 < copies ? NULL : errp);
    }
    return ok;
}

bool coroutine_fn btrfs_data_co_read(BtrfsState *s, uint64_t logical, uint64_t bytes,
                                     bool with_sums, void *buf, GError **errp)
{
    uint8_t *out = buf;

    while (bytes) {
        uint64_t n = MIN(bytes, STEP_BYTES);

        if (with_sums ? !read_checked(s, logical, n, out, errp)
                      : !read_unchecked(s, logical, n, out, errp)) {
            return false;
        }
        logical += n;
        out += n;
        bytes -= n;
    }
    return true;
}
