/* The driver for FAT12, FAT16 and FAT32: what the rest of embr calls. */
#include <sys/mman.h>
#include "fat.h"

enum {
    MODE_ALL = 0755, /* as Linux mounts it by default: umask 022, owner root */
    MODE_READ_ONLY = 0555,
};

void fat_error(const FatState *s, GError **errp, EmbrError code, uint64_t offset,
               const char *format, ...)
{
    va_list args;

    if (!errp) {
        return;
    }
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(errp, EMBR_ERROR, code,
                "%s: FAT filesystem at offset 0x%" PRIx64 ": %s", blk_name(s->fs->blk),
                offset, text);
}

void fat_warn(FatState *s, uint64_t offset, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    fs_warn(s->fs, "%s: FAT filesystem at offset 0x%" PRIx64 ": %s",
            blk_name(s->fs->blk), offset, text);
}

static void close_state(Filesystem *fs)
{
    FatState *s = fs->opaque;

    fat_nodes_drop(s);
    g_clear_pointer(&s->nodes, g_hash_table_unref);
    g_clear_pointer(&s->table, fat_pieces_free);
    g_clear_pointer(&s->pieces, fat_pieces_free);
    if (s->owners) {
        munmap(s->owners, s->geo.clusters * sizeof(uint32_t));
        s->owners = NULL;
    }
}

static bool coroutine_fn co_open(Filesystem *fs, bool from_backup, GError **errp)
{
    FatState *s = fs->opaque;

    s->fs = fs;
    s->nodes = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_queue_init(&s->lru);
    if (!fat_super_co_load(s, from_backup, errp)) {
        close_state(fs);
        return false;
    }
    return true;
}

static bool coroutine_fn driver_co_open(Filesystem *fs, GError **errp)
{
    return co_open(fs, false, errp);
}

static bool coroutine_fn driver_co_open_backup(Filesystem *fs, GError **errp)
{
    return co_open(fs, true, errp);
}

static bool coroutine_fn driver_co_stat(Filesystem *fs, FsIno ino, FsStat *st,
                                        GError **errp)
{
    FatState *s = fs->opaque;
    g_autoptr(FatNode) node = fat_node_co_get(s, ino, errp);
    uint32_t subdirs = 0;

    if (!node) {
        return false;
    }

    const FatDirEntry *e = &node->entry;
    bool read_only = (e->attributes & FAT_ATTR_READ_ONLY) && !node->is_dir;

    st->mode =
        (node->is_dir ? S_IFDIR : S_IFREG) | (read_only ? MODE_READ_ONLY : MODE_ALL);
    st->nlink = 1;
    st->size = le32_get(e->size);
    if (node->is_dir) {
        fat_dir_co_count(s, node, &subdirs, &st->size);
        st->nlink = 2 + subdirs;
    }
    st->allocated = div_round_up(st->size, s->geo.cluster_bytes) * s->geo.cluster_bytes;
    if (ino != FAT_ROOT_INO) {
        st->mtime = fat_time(le16_get(e->modified_date), le16_get(e->modified_time), 0);
        st->ctime = st->mtime;
        st->atime = fat_time(le16_get(e->accessed_date), 0, 0);
        if (le16_get(e->created_date)) {
            st->crtime = fat_time(le16_get(e->created_date), le16_get(e->created_time),
                                  e->created_10ms);
        }
    }
    return true;
}

static bool coroutine_fn driver_co_readdir(Filesystem *fs, FsIno dir, FsDirBatch *batch,
                                           GError **errp)
{
    g_autoptr(FatNode) node = fat_node_co_get(fs->opaque, dir, errp);

    return node && fat_dir_co_read(fs->opaque, node, batch, errp);
}

/* The chain ends before the size does. */
static void report_short(const FatState *s, const FatNode *node, uint64_t end,
                         GError **errp)
{
    fat_error(s, errp, EMBR_ERROR_CORRUPT, node->ino * FAT_ENTRY_BYTES,
              "file (inode %" PRIu64 ") has %u bytes, but its chain of clusters ends "
              "after 0x%" PRIx64,
              node->ino, le32_get(node->entry.size), end);
}

static bool coroutine_fn driver_co_read(Filesystem *fs, FsIno ino, uint64_t offset,
                                        uint64_t bytes, void *buf, GError **errp)
{
    FatState *s = fs->opaque;
    g_autoptr(FatNode) node = fat_node_co_get(s, ino, errp);
    uint32_t cluster_bytes = s->geo.cluster_bytes;
    uint8_t *out = buf;

    if (!node) {
        return false;
    }
    if (node->is_dir) {
        fat_error(s, errp, EMBR_ERROR_INVALID, ino * FAT_ENTRY_BYTES,
                  "inode %" PRIu64 " is a directory", ino);
        return false;
    }
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

        if (!blk_co_read(fs->blk, fat_cluster_offset(s, run.cluster) + within, part,
                         out, "file content", errp)) {
            g_prefix_error(errp, "inode %" PRIu64 ": ", ino);
            return false;
        }
        offset += part;
        out += part;
        bytes -= part;
    }
    return true;
}

static void add_extent(GArray *list, uint64_t file_offset, uint64_t device_offset,
                       uint64_t length)
{
    FsExtent extent = {file_offset, device_offset, length, 0};

    g_array_append_val(list, extent);
}

static bool coroutine_fn driver_co_extents(Filesystem *fs, FsIno ino,
                                           uint64_t file_offset, unsigned max,
                                           GArray *list, GError **errp)
{
    FatState *s = fs->opaque;
    g_autoptr(FatNode) node = fat_node_co_get(s, ino, errp);
    uint64_t cluster_bytes = s->geo.cluster_bytes;

    if (!node) {
        return false;
    }
    if (node->is_fixed) {
        if (file_offset < s->geo.root_bytes && max) {
            add_extent(list, 0, s->geo.root_offset, s->geo.root_bytes);
        }
        return true;
    }

    uint64_t index = file_offset / cluster_bytes;

    for (unsigned i = 0; i < max && index < node->limit; i++) {
        FatRun run;

        if (!fat_node_co_map(s, node, index, &run, errp)) {
            return false;
        }
        if (!run.count) {
            if (!node->is_dir) {
                report_short(s, node, index * cluster_bytes, errp);
            }
            return node->is_dir;
        }
        add_extent(list, index * cluster_bytes, fat_cluster_offset(s, run.cluster),
                   run.count * cluster_bytes);
        index += run.count;
    }
    return true;
}

static FsBlockUse coroutine_fn driver_co_block_use(Filesystem *fs,
                                                   uint64_t device_offset,
                                                   uint64_t *pnum)
{
    return fat_co_block_use(fs->opaque, device_offset, pnum);
}

#define FAT_CALLBACKS                                                                  \
    .instance_size = sizeof(FatState), .fs_close = close_state,                        \
    .fs_co_stat = driver_co_stat, .fs_co_readdir = driver_co_readdir,                  \
    .fs_co_read = driver_co_read, .fs_co_extents = driver_co_extents,                  \
    .fs_co_block_use = driver_co_block_use

/* Behind those with a magic number of their own, which may have left the boot sector of
 * what was there before. */
static const FsDriver fs_fat = {
    .name = "fat",
    .priority = -60,
    .fs_co_probe = fat_co_probe,
    .fs_co_open = driver_co_open,
    FAT_CALLBACKS,
};
fs_init(fs_fat);

/* Asked after everybody else: the boot sector is gone, but a copy of it is left. */
static const FsDriver fs_fat_backup = {
    .name = "fat-backup",
    .priority = FS_PRIORITY_BY_COPIES - 200,
    .fs_co_probe = fat_co_probe_backup,
    .fs_co_open = driver_co_open_backup,
    FAT_CALLBACKS,
};
fs_init(fs_fat_backup);
