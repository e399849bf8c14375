/* Files and directories, as far as FAT and exFAT are alike. */
#include "fat.h"

enum {
    MODE_ALL = 0755, /* as Linux mounts it by default: umask 022, owner root */
    MODE_READ_ONLY = 0555,
};

bool coroutine_fn fat_file_co_stat(Filesystem *fs, FsIno ino, FsStat *st, GError **errp)
{
    FatState *s = fs->opaque;
    g_autoptr(FatNode) node = fat_node_co_get(s, ino, errp);
    uint32_t subdirs = 0;

    if (!node) {
        return false;
    }

    const FatFile *file = &node->file;

    st->mode = (file->is_dir ? S_IFDIR : S_IFREG) |
               (file->is_read_only && !file->is_dir ? MODE_READ_ONLY : MODE_ALL);
    st->nlink = 1;
    st->size = file->size;
    if (file->is_dir) {
        fat_scan_co_count(s, node, &subdirs, &st->size);
        st->nlink = 2 + subdirs;
    }
    st->allocated = div_round_up(st->size, s->geo.cluster_bytes) * s->geo.cluster_bytes;
    st->mtime = st->ctime = file->mtime;
    st->atime = file->atime;
    st->crtime = file->crtime;
    return true;
}

bool coroutine_fn fat_file_co_readdir(Filesystem *fs, FsIno dir, FsDirBatch *batch,
                                      GError **errp)
{
    FatState *s = fs->opaque;
    g_autoptr(FatNode) node = fat_node_co_get(s, dir, errp);

    if (!node) {
        return false;
    }
    if (!node->file.is_dir) {
        fat_error(s, errp, EMBR_ERROR_INVALID, dir * FAT_ENTRY_BYTES,
                  "inode %" PRIu64 " is not a directory", dir);
        return false;
    }
    return s->kind->co_read_dir(s, node, batch, errp);
}

/* The chain ends before the size does. */
static void report_short(const FatState *s, const FatNode *node, uint64_t end,
                         GError **errp)
{
    fat_error(s, errp, EMBR_ERROR_CORRUPT, node->ino * FAT_ENTRY_BYTES,
              "file (inode %" PRIu64 ") has %" PRIu64 " bytes, but its chain of "
              "clusters ends after 0x%" PRIx64,
              node->ino, node->file.size, end);
}

bool coroutine_fn fat_node_co_read(FatState *s, FatNode *node, uint64_t offset,
                                   uint64_t bytes, void *buf, GError **errp)
{
    uint32_t cluster_bytes = s->geo.cluster_bytes;
    uint8_t *out = buf;

    while (bytes) {
        uint32_t within = offset % cluster_bytes;
        FatRun run;

        if (!fat_node_co_map(s, node, offset / cluster_bytes, &run, errp)) {
            return false;
        }
        if (!run.count) {
            report_short(s, node, offset - within, errp);
            return false;
        }

        uint64_t part = MIN(bytes, (uint64_t)run.count * cluster_bytes - within);

        if (!blk_co_read(s->fs->blk, fat_cluster_offset(s, run.cluster) + within, part,
                         out, "file content", errp)) {
            g_prefix_error(errp, "inode %" PRIu64 ": ", node->ino);
            return false;
        }
        offset += part;
        out += part;
        bytes -= part;
    }
    return true;
}

bool coroutine_fn fat_file_co_read(Filesystem *fs, FsIno ino, uint64_t offset,
                                   uint64_t bytes, void *buf, GError **errp)
{
    FatState *s = fs->opaque;
    g_autoptr(FatNode) node = fat_node_co_get(s, ino, errp);

    if (!node) {
        return false;
    }
    if (node->file.is_dir) {
        fat_error(s, errp, EMBR_ERROR_INVALID, ino * FAT_ENTRY_BYTES,
                  "inode %" PRIu64 " is a directory", ino);
        return false;
    }

    uint64_t written = node->file.written - MIN(node->file.written, offset);
    uint64_t part = MIN(bytes, written);

    memset((uint8_t *)buf + part, 0, bytes - part);
    return fat_node_co_read(s, node, offset, part, buf, errp);
}

/* What the bytes from pos on are, and up to where.  The sector in which what was
 * written ends has both. */
static uint32_t flags_at(const FatState *s, const FatNode *node, uint64_t pos,
                         uint64_t *end)
{
    uint64_t first = round_down_pow2(node->file.written, s->geo.sector_bytes);
    uint64_t last = round_up_pow2(node->file.written, s->geo.sector_bytes);

    *end = UINT64_MAX;
    if (node->file.is_dir || node->file.written >= node->file.size) {
        return 0;
    }
    if (pos < first) {
        *end = first;
        return 0;
    }
    if (pos < last) {
        *end = last;
        return FS_EXTENT_ENCODED;
    }
    return FS_EXTENT_UNWRITTEN;
}

/* What of a run covers or follows file_offset; at most max extents of it. */
static unsigned add_run(const FatState *s, const FatNode *node, const FatRun *run,
                        uint64_t file_offset, unsigned max, GArray *list)
{
    uint64_t start = (uint64_t)run->index * s->geo.cluster_bytes;
    uint64_t run_end = start + (uint64_t)run->count * s->geo.cluster_bytes;
    unsigned added = 0;
    uint64_t end;

    for (uint64_t pos = start; pos < run_end && added < max; pos = end) {
        FsExtent extent = {
            .file_offset = pos,
            .device_offset = fat_cluster_offset(s, run->cluster) + (pos - start),
            .flags = flags_at(s, node, pos, &end),
        };

        end = MIN(end, run_end);
        extent.length = end - pos;
        if (end > file_offset) {
            g_array_append_val(list, extent);
            added++;
        }
    }
    return added;
}

bool coroutine_fn fat_file_co_extents(Filesystem *fs, FsIno ino, uint64_t file_offset,
                                      unsigned max, GArray *list, GError **errp)
{
    FatState *s = fs->opaque;
    g_autoptr(FatNode) node = fat_node_co_get(s, ino, errp);
    unsigned added = 0;

    if (!node) {
        return false;
    }
    if (node->is_fixed) {
        if (file_offset < s->geo.root_bytes && max) {
            FsExtent root = {0, s->geo.root_offset, s->geo.root_bytes, 0};

            g_array_append_val(list, root);
        }
        return true;
    }

    uint64_t index = file_offset / s->geo.cluster_bytes;

    while (added < max && index < node->limit) {
        FatRun run;

        if (!fat_node_co_map(s, node, index, &run, errp)) {
            return false;
        }
        if (!run.count) {
            if (!node->file.is_dir) {
                report_short(s, node, index * s->geo.cluster_bytes, errp);
            }
            return node->file.is_dir;
        }
        added += add_run(s, node, &run, file_offset, max - added, list);
        index += run.count;
    }
    return true;
}

FsBlockUse coroutine_fn fat_file_co_block_use(Filesystem *fs, uint64_t device_offset,
                                              uint64_t *pnum)
{
    return fat_co_block_use(fs->opaque, device_offset, pnum);
}
