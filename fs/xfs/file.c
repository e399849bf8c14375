/* Content: of files, of symbolic links, and where it lies. */
#include "xfs.h"

enum { SYMLINK_MAX_BYTES = 1024 };

bool coroutine_fn xfs_fork_co_read(XfsState *s, const XfsInode *inode,
                                   const XfsFork *fork, uint64_t offset, uint64_t bytes,
                                   void *buf, const char *what, GError **errp)
{
    unsigned bits = s->geo.block_bits;
    uint8_t *out = buf;

    while (bytes) {
        uint32_t within = offset & (s->geo.block_bytes - 1);
        uint64_t count = div_round_up(within + bytes, s->geo.block_bytes);
        XfsRun run;

        if (!xfs_map_co(s, inode, fork, offset >> bits, count, &run, errp)) {
            return false;
        }

        uint64_t part = MIN(bytes, (run.count << bits) - within);

        if (!run.physical || run.unwritten) {
            memset(out, 0, part);
        } else if (!xfs_device_co_read(s, (run.physical << bits) + within, part, out,
                                       what, errp)) {
            g_prefix_error(errp, "inode %" PRIu64 ": ", inode->ino);
            return false;
        }
        offset += part;
        out += part;
        bytes -= part;
    }
    return true;
}

static bool refuse_realtime(const XfsState *s, const XfsInode *inode, GError **errp)
{
    if (!S_ISREG(inode->stat.mode) || !(inode->flags & XFS_INODE_REALTIME)) {
        return false;
    }
    xfs_error(s, errp, EMBR_ERROR_UNSUPPORTED, inode->offset,
              "inode %" PRIu64 ": its content is on the realtime device, which cannot "
              "be read",
              inode->ino);
    return true;
}

bool coroutine_fn xfs_file_co_read(XfsState *s, const XfsInode *inode, uint64_t offset,
                                   uint64_t bytes, void *buf, GError **errp)
{
    if (refuse_realtime(s, inode, errp)) {
        return false;
    }
    if (inode->data.format == XFS_FORK_LOCAL) {
        if (!range_fits(offset, bytes, inode->data.bytes)) {
            xfs_error(s, errp, EMBR_ERROR_CORRUPT, inode->offset,
                      "inode %" PRIu64 ": %" PRIu64
                      " bytes in an inode with room for %u",
                      inode->ino, inode->stat.size, inode->data.bytes);
            return false;
        }
        memcpy(buf, inode->raw + inode->data.at + offset, bytes);
        return true;
    }
    return xfs_fork_co_read(s, inode, &inode->data, offset, bytes, buf, "file content",
                            errp);
}

/* The part of a target that a run of blocks holds: in version 5, behind a head. Returns
 * how much it is; 0 on error. */
static uint32_t coroutine_fn read_target(XfsState *s, const XfsInode *inode,
                                         const XfsRun *run, uint32_t at, char *target,
                                         GError **errp)
{
    uint32_t left = inode->stat.size - at;
    uint32_t bytes = run->count << s->geo.block_bits;
    uint64_t offset = run->physical << s->geo.block_bits;
    uint32_t head_bytes = s->geo.version == 5 ? sizeof(XfsRemoteHead) : 0;
    g_autofree uint8_t *data = g_malloc(bytes);
    const XfsRemoteHead *head = (const XfsRemoteHead *)data;
    uint32_t part = MIN(left, bytes - head_bytes);

    if (!xfs_device_co_read(s, offset, bytes, data, "symbolic link", errp) ||
        (head_bytes && !xfs_block_check(s, &xfs_kind_symlink, data, bytes, offset,
                                        inode->ino, errp))) {
        g_prefix_error(errp, "inode %" PRIu64 ": ", inode->ino);
        return 0;
    }
    if (head_bytes && (be32_get(head->offset) != at || be32_get(head->bytes) != part)) {
        xfs_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                  "inode %" PRIu64 ": %u bytes of the target from byte %u on, expected "
                  "%u from byte %u on",
                  inode->ino, be32_get(head->bytes), be32_get(head->offset), part, at);
        return 0;
    }
    memcpy(target + at, data + head_bytes, part);
    return part;
}

static bool coroutine_fn read_remote_target(XfsState *s, const XfsInode *inode,
                                            char *target, GError **errp)
{
    uint32_t head_bytes = s->geo.version == 5 ? sizeof(XfsRemoteHead) : 0;
    uint64_t end = div_round_up(inode->stat.size, s->geo.block_bytes - head_bytes);
    uint64_t logical = 0;

    for (uint32_t at = 0; at < inode->stat.size;) {
        XfsRun run = {0};

        if (logical < end &&
            !xfs_map_co(s, inode, &inode->data, logical, end - logical, &run, errp)) {
            return false;
        }
        if (!run.physical || run.unwritten) {
            xfs_error(s, errp, EMBR_ERROR_CORRUPT, inode->offset,
                      "inode %" PRIu64
                      ": the target ends at byte %u, expected %" PRIu64,
                      inode->ino, at, inode->stat.size);
            return false;
        }

        uint32_t part = read_target(s, inode, &run, at, target, errp);

        if (!part) {
            return false;
        }
        at += part;
        logical += run.count;
    }
    return true;
}

char *coroutine_fn xfs_file_co_readlink(XfsState *s, const XfsInode *inode,
                                        GError **errp)
{
    uint64_t size = inode->stat.size;
    bool is_local = inode->data.format == XFS_FORK_LOCAL;
    uint32_t limit = is_local ? inode->data.bytes : SYMLINK_MAX_BYTES;

    if (!S_ISLNK(inode->stat.mode)) {
        xfs_error(s, errp, EMBR_ERROR_INVALID, inode->offset,
                  "inode %" PRIu64 " is not a symbolic link", inode->ino);
        return NULL;
    }
    if (!size || size > limit) {
        xfs_error(s, errp, EMBR_ERROR_CORRUPT, inode->offset,
                  "inode %" PRIu64 ": symbolic link of %" PRIu64
                  " bytes, expected 1 to %u",
                  inode->ino, size, limit);
        return NULL;
    }

    g_autofree char *target = g_malloc(size + 1);

    if (is_local) {
        memcpy(target, inode->raw + inode->data.at, size);
    } else if (!read_remote_target(s, inode, target, errp)) {
        return NULL;
    }
    target[size] = 0;
    return g_steal_pointer(&target);
}

/* Blocks from a device block on whose bytes are in the log, or are not: how many of
 * count. */
static uint64_t count_alike(const XfsState *s, uint64_t block, uint64_t count,
                            bool *is_logged)
{
    unsigned sector_bits = s->geo.block_bits - XFS_DADDR_BITS;
    uint64_t first = block << sector_bits, sectors = count << sector_bits;

    *is_logged = false;
    if (!s->overlay) {
        return count;
    }
    *is_logged = xfs_is_logged(s, block << s->geo.block_bits, s->geo.block_bytes);
    if (*is_logged) {
        return 1;
    }
    xfs_overlay_find(s->overlay, first, &sectors);
    return sectors >> sector_bits;
}

/* Adds the parts of a run; returns how many. */
static unsigned add_extents(const XfsState *s, const XfsInode *inode, const XfsRun *run,
                            unsigned max, GArray *list)
{
    unsigned bits = s->geo.block_bits, added = 0;
    uint32_t flags = (run->unwritten ? FS_EXTENT_UNWRITTEN : 0) |
                     (inode->flags2 & XFS_INODE2_REFLINK ? FS_EXTENT_SHARED : 0);

    for (uint64_t done = 0; done < run->count && added < max; added++) {
        bool is_logged;
        uint64_t count =
            count_alike(s, run->physical + done, run->count - done, &is_logged);
        FsExtent extent = {
            .file_offset = (run->logical + done) << bits,
            .device_offset = (run->physical + done) << bits,
            .length = count << bits,
            .flags = flags | (is_logged && !run->unwritten ? FS_EXTENT_ENCODED : 0),
        };

        g_array_append_val(list, extent);
        done += count;
    }
    return added;
}

static bool continues(const XfsRun *run, const XfsRun *next)
{
    return run->unwritten == next->unwritten &&
           next->logical == run->logical + run->count &&
           next->physical == run->physical + run->count;
}

bool coroutine_fn xfs_file_co_extents(XfsState *s, const XfsInode *inode,
                                      uint64_t file_offset, unsigned max, GArray *list,
                                      GError **errp)
{
    uint64_t logical = file_offset >> s->geo.block_bits;
    uint64_t end = (uint64_t)INT64_MAX >> s->geo.block_bits;
    XfsRun pending = {0};
    unsigned added = 0;

    if (refuse_realtime(s, inode, errp)) {
        return false;
    }
    if (inode->data.format != XFS_FORK_EXTENTS &&
        inode->data.format != XFS_FORK_BTREE) {
        return true;
    }
    while (logical < end && added < max) {
        XfsRun run;

        if (!xfs_map_co(s, inode, &inode->data, logical, end - logical, &run, errp)) {
            return false;
        }
        logical += run.count;
        if (!run.physical) {
            continue;
        }
        if (pending.count && continues(&pending, &run)) {
            pending.count += run.count;
            continue;
        }
        if (pending.count) {
            added += add_extents(s, inode, &pending, max - added, list);
        }
        pending = run;
    }
    if (pending.count && added < max) {
        add_extents(s, inode, &pending, max - added, list);
    }
    return true;
}
