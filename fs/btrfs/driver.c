/* The driver for Btrfs: what the rest of embr calls. */
#include "btrfs.h"

void btrfs_error(const BtrfsState *s, GError **errp, EmbrError code, uint64_t offset,
                 const char *format, ...)
{
    va_list args;

    if (!errp) {
        return;
    }
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(errp, EMBR_ERROR, code, "%s: btrfs at 0x%" PRIx64 ": %s",
                blk_name(s->fs->blk), offset, text);
}

void btrfs_warn(const BtrfsState *s, uint64_t offset, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    fs_warn(s->fs, "%s: btrfs at 0x%" PRIx64 ": %s", blk_name(s->fs->blk), offset,
            text);
}

static void free_tree(gpointer data)
{
    BtrfsTree *tree = data;

    btrfs_overlay_free(tree->overlay);
    g_free(tree);
}

static void close_state(Filesystem *fs)
{
    BtrfsState *s = fs->opaque;

    g_clear_pointer(&s->nodes, fs_cache_free);
    g_clear_pointer(&s->chunks, g_array_unref);
    g_clear_pointer(&s->stripes, g_array_unref);
    g_clear_pointer(&s->subvolumes, g_hash_table_unref);
    g_clear_pointer(&s->stubs, g_hash_table_unref);
    g_clear_pointer(&s->decoded, btrfs_decoded_free);
    g_clear_pointer(&s->log_sums, btrfs_overlay_free);
}

static bool coroutine_fn load(BtrfsState *s, GError **errp)
{
    FsIno root = btrfs_ino_make(BTRFS_FS_TREE, BTRFS_FIRST_FREE_OBJECT);
    BtrfsInode inode;

    if (!btrfs_csum_init(errp) || !btrfs_super_co_load(s, errp) ||
        !btrfs_chunks_from_super(s, errp) || !btrfs_chunks_co_load(s, errp) ||
        !btrfs_trees_co_load(s, errp)) {
        return false;
    }
    btrfs_log_co_replay(s);
    if (!btrfs_inode_co_get(s, root, &inode, errp)) {
        g_prefix_error(errp, "root: ");
        return false;
    }
    if (!S_ISDIR(inode.stat.mode)) {
        return btrfs_inode_error(s, &inode, inode.bytenr, errp,
                                 "the root has mode 0%o, expected a directory",
                                 inode.stat.mode);
    }
    s->fs->root = root;
    return true;
}

static bool coroutine_fn driver_co_open(Filesystem *fs, GError **errp)
{
    BtrfsState *s = fs->opaque;

    s->fs = fs;
    s->nodes = btrfs_nodes_new(s);
    s->chunks = g_array_new(FALSE, FALSE, sizeof(BtrfsChunk));
    s->stripes = g_array_new(FALSE, FALSE, sizeof(BtrfsDeviceRange));
    s->subvolumes = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, free_tree);
    s->stubs = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    s->decoded = btrfs_decoded_new();
    if (!load(s, errp)) {
        close_state(fs);
        return false;
    }
    fs->block_size = s->geo.sector_bytes;
    if (s->geo.total_bytes > (uint64_t)blk_length(fs->blk)) {
        btrfs_warn(s, s->super_offset,
                   "the filesystem spans 0x%" PRIx64
                   " bytes, but the volume ends at 0x%" PRIx64
                   "; what lies beyond cannot be read",
                   s->geo.total_bytes, blk_length(fs->blk));
    }
    return true;
}

static bool is_stub(FsIno ino)
{
    uint64_t tree, child;

    return btrfs_ino_split(ino, &tree, &child) == BTRFS_INO_STUB;
}

static bool coroutine_fn driver_co_stat(Filesystem *fs, FsIno ino, FsStat *st,
                                        GError **errp)
{
    BtrfsInode inode;

    if (is_stub(ino)) {
        return btrfs_stub_co_stat(fs->opaque, ino, st, errp);
    }
    if (!btrfs_inode_co_get(fs->opaque, ino, &inode, errp)) {
        return false;
    }
    *st = inode.stat;
    return true;
}

static bool coroutine_fn get_directory(BtrfsState *s, FsIno ino, BtrfsInode *inode,
                                       GError **errp)
{
    if (!btrfs_inode_co_get(s, ino, inode, errp)) {
        return false;
    }
    return S_ISDIR(inode->stat.mode) ||
           btrfs_inode_error(s, inode, inode->bytenr, errp,
                             "mode is 0%o, expected a directory", inode->stat.mode);
}

static bool coroutine_fn driver_co_readdir(Filesystem *fs, FsIno dir, FsDirBatch *batch,
                                           GError **errp)
{
    BtrfsInode inode;

    if (is_stub(dir)) {
        batch->eof = true;
        return true;
    }
    return get_directory(fs->opaque, dir, &inode, errp) &&
           btrfs_dir_co_read(fs->opaque, &inode, batch, errp);
}

static bool coroutine_fn driver_co_lookup(Filesystem *fs, FsIno dir, const char *name,
                                          size_t name_len, FsIno *ino, GError **errp)
{
    BtrfsInode inode;

    if (is_stub(dir)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_NOT_FOUND,
                    "%s: no '%.*s' in directory inode %" PRIu64
                    ", which stands for a subvolume that is not in this snapshot",
                    blk_name(fs->blk), (int)name_len, name, dir);
        return false;
    }
    return get_directory(fs->opaque, dir, &inode, errp) &&
           btrfs_dir_co_lookup(fs->opaque, &inode, name, name_len, ino, errp);
}

static char *coroutine_fn driver_co_readlink(Filesystem *fs, FsIno ino, GError **errp)
{
    BtrfsInode inode;

    return btrfs_inode_co_get(fs->opaque, ino, &inode, errp)
               ? btrfs_file_co_readlink(fs->opaque, &inode, errp)
               : NULL;
}

static bool coroutine_fn driver_co_xattrs(Filesystem *fs, FsIno ino, GPtrArray *list,
                                          GError **errp)
{
    BtrfsInode inode;

    if (is_stub(ino)) {
        return true;
    }
    return btrfs_inode_co_get(fs->opaque, ino, &inode, errp) &&
           btrfs_xattr_co_list(fs->opaque, &inode, list, errp);
}

static bool coroutine_fn driver_co_read(Filesystem *fs, FsIno ino, uint64_t offset,
                                        uint64_t bytes, void *buf, GError **errp)
{
    BtrfsState *s = fs->opaque;
    BtrfsInode inode;

    if (!btrfs_inode_co_get(s, ino, &inode, errp)) {
        return false;
    }
    if (!S_ISREG(inode.stat.mode)) {
        btrfs_error(s, errp, EMBR_ERROR_INVALID, inode.bytenr,
                    "inode %" PRIu64 " (mode 0%o) is not a regular file",
                    inode.file.objectid, inode.stat.mode);
        return false;
    }
    if (!range_fits(offset, bytes, inode.stat.size)) {
        btrfs_error(s, errp, EMBR_ERROR_INVALID, inode.bytenr,
                    "inode %" PRIu64 ": %" PRIu64 " bytes at %" PRIu64
                    " asked for, its size is %" PRIu64,
                    inode.file.objectid, bytes, offset, inode.stat.size);
        return false;
    }
    return btrfs_file_co_read(s, &inode, offset, bytes, buf, errp);
}

static bool coroutine_fn driver_co_extents(Filesystem *fs, FsIno ino,
                                           uint64_t file_offset, unsigned max,
                                           GArray *list, GError **errp)
{
    BtrfsInode inode;

    if (is_stub(ino)) {
        return true;
    }
    return btrfs_inode_co_get(fs->opaque, ino, &inode, errp) &&
           btrfs_file_co_extents(fs->opaque, &inode, file_offset, max, list, errp);
}

static FsBlockUse coroutine_fn driver_co_block_use(Filesystem *fs,
                                                   uint64_t device_offset,
                                                   uint64_t *pnum)
{
    return btrfs_space_co_use(fs->opaque, device_offset, pnum);
}

#define BTRFS_CALLBACKS                                                                \
    .instance_size = sizeof(BtrfsState), .fs_co_open = driver_co_open,                 \
    .fs_close = close_state, .fs_co_stat = driver_co_stat,                             \
    .fs_co_readdir = driver_co_readdir, .fs_co_lookup = driver_co_lookup,              \
    .fs_co_readlink = driver_co_readlink, .fs_co_xattrs = driver_co_xattrs,            \
    .fs_co_read = driver_co_read, .fs_co_extents = driver_co_extents,                  \
    .fs_co_block_use = driver_co_block_use

static const FsDriver fs_btrfs = {
    .name = "btrfs",
    .fs_co_probe = btrfs_co_probe,
    BTRFS_CALLBACKS,
};

/* By a copy of the superblock, which may be left of an older filesystem: asked last. */
static const FsDriver fs_btrfs_backup = {
    .name = "btrfs-backup",
    .priority = FS_PRIORITY_BY_COPIES,
    .fs_co_probe = btrfs_co_probe_copies,
    BTRFS_CALLBACKS,
};
fs_init(fs_btrfs);
fs_init(fs_btrfs_backup);
