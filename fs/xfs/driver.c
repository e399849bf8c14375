/* The driver for XFS: what the rest of embr calls. */
#include "xfs.h"

void xfs_error(const XfsState *s, GError **errp, EmbrError code, uint64_t offset,
               const char *format, ...)
{
    va_list args;

    if (!errp) {
        return;
    }
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(errp, EMBR_ERROR, code, "%s: xfs at offset 0x%" PRIx64 ": %s",
                blk_name(s->fs->blk), offset, text);
}

void xfs_warn(const XfsState *s, uint64_t offset, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    fs_warn(s->fs, "%s: xfs at offset 0x%" PRIx64 ": %s", blk_name(s->fs->blk), offset,
            text);
}

static void warn_of_state(XfsState *s)
{
    uint64_t size = s->geo.blocks_count << s->geo.block_bits;
    uint64_t volume = blk_length(s->fs->blk);

    if (size > volume) {
        xfs_warn(s, 0,
                 "the filesystem spans 0x%" PRIx64
                 " bytes, but the volume ends at 0x%" PRIx64
                 "; what lies beyond cannot be read",
                 size, volume);
    }
    if (s->geo.incompat & XFS_INCOMPAT_NEEDS_REPAIR) {
        xfs_warn(s, 0, "the filesystem is marked as needing repair");
    }
}

static void close_state(Filesystem *fs)
{
    XfsState *s = fs->opaque;

    g_clear_pointer(&s->cache, fs_cache_free);
    g_clear_pointer(&s->overlay, xfs_overlay_free);
}

static bool coroutine_fn load(XfsState *s, GError **errp)
{
    if (!xfs_super_co_load(s, errp)) {
        return false;
    }
    s->space_known =
        xfs_log_co_load(s) && !(s->geo.incompat & XFS_INCOMPAT_NEEDS_REPAIR);

    g_autofree XfsInode *root = xfs_inode_co_get(s, s->geo.root_ino, errp);

    if (!root) {
        g_prefix_error(errp, "root: ");
        return false;
    }
    if (!S_ISDIR(root->stat.mode)) {
        xfs_error(s, errp, EMBR_ERROR_CORRUPT, root->offset,
                  "the root (inode %" PRIu64 ") has mode 0%o, expected a directory",
                  root->ino, root->stat.mode);
        return false;
    }
    return true;
}

static bool coroutine_fn driver_co_open(Filesystem *fs, GError **errp)
{
    XfsState *s = fs->opaque;

    s->fs = fs;
    s->cache = xfs_cache_new(s);
    if (!load(s, errp)) {
        close_state(fs);
        return false;
    }
    fs->root = s->geo.root_ino;
    fs->block_size = s->geo.block_bytes;
    fs->max_ino =
        ((uint64_t)s->geo.ag_count << (s->geo.ag_bits + s->geo.inodes_per_block_bits)) -
        1;
    warn_of_state(s);
    return true;
}

static bool coroutine_fn driver_co_stat(Filesystem *fs, FsIno ino, FsStat *st,
                                        GError **errp)
{
    g_autofree XfsInode *inode = xfs_inode_co_get(fs->opaque, ino, errp);

    if (!inode) {
        return false;
    }
    *st = inode->stat;
    return true;
}

static bool coroutine_fn driver_co_readdir(Filesystem *fs, FsIno dir, FsDirBatch *batch,
                                           GError **errp)
{
    g_autofree XfsInode *inode = xfs_inode_co_get(fs->opaque, dir, errp);

    return inode && xfs_dir_co_read(fs->opaque, inode, batch, errp);
}

static bool coroutine_fn driver_co_lookup(Filesystem *fs, FsIno dir, const char *name,
                                          size_t name_len, FsIno *ino, GError **errp)
{
    g_autofree XfsInode *inode = xfs_inode_co_get(fs->opaque, dir, errp);

    return inode && xfs_dir_co_lookup(fs->opaque, inode, name, name_len, ino, errp);
}

static char *coroutine_fn driver_co_readlink(Filesystem *fs, FsIno ino, GError **errp)
{
    g_autofree XfsInode *inode = xfs_inode_co_get(fs->opaque, ino, errp);

    return inode ? xfs_file_co_readlink(fs->opaque, inode, errp) : NULL;
}

static bool coroutine_fn driver_co_xattrs(Filesystem *fs, FsIno ino, GPtrArray *list,
                                          GError **errp)
{
    g_autofree XfsInode *inode = xfs_inode_co_get(fs->opaque, ino, errp);

    return inode && xfs_attr_co_list(fs->opaque, inode, list, errp);
}

static bool coroutine_fn driver_co_read(Filesystem *fs, FsIno ino, uint64_t offset,
                                        uint64_t bytes, void *buf, GError **errp)
{
    XfsState *s = fs->opaque;
    g_autofree XfsInode *inode = xfs_inode_co_get(s, ino, errp);

    if (!inode) {
        return false;
    }
    if (!S_ISREG(inode->stat.mode) && !S_ISDIR(inode->stat.mode)) {
        xfs_error(s, errp, EMBR_ERROR_INVALID, inode->offset,
                  "inode %" PRIu64 " (mode 0%o) is not a regular file", ino,
                  inode->stat.mode);
        return false;
    }
    if (!range_fits(offset, bytes, inode->stat.size)) {
        xfs_error(s, errp, EMBR_ERROR_INVALID, inode->offset,
                  "inode %" PRIu64 ": %" PRIu64 " bytes at %" PRIu64
                  " asked for, its size is %" PRIu64,
                  ino, bytes, offset, inode->stat.size);
        return false;
    }
    return xfs_file_co_read(s, inode, offset, bytes, buf, errp);
}

static bool coroutine_fn driver_co_extents(Filesystem *fs, FsIno ino,
                                           uint64_t file_offset, unsigned max,
                                           GArray *list, GError **errp)
{
    g_autofree XfsInode *inode = xfs_inode_co_get(fs->opaque, ino, errp);

    return inode &&
           xfs_file_co_extents(fs->opaque, inode, file_offset, max, list, errp);
}

static FsBlockUse coroutine_fn driver_co_block_use(Filesystem *fs,
                                                   uint64_t device_offset,
                                                   uint64_t *pnum)
{
    return xfs_space_co_use(fs->opaque, device_offset, pnum);
}

#define XFS_CALLBACKS                                                                  \
    .instance_size = sizeof(XfsState), .fs_co_open = driver_co_open,                   \
    .fs_close = close_state, .fs_co_stat = driver_co_stat,                             \
    .fs_co_readdir = driver_co_readdir, .fs_co_lookup = driver_co_lookup,              \
    .fs_co_readlink = driver_co_readlink, .fs_co_xattrs = driver_co_xattrs,            \
    .fs_co_read = driver_co_read, .fs_co_extents = driver_co_extents,                  \
    .fs_co_block_use = driver_co_block_use

static const FsDriver fs_xfs = {
    .name = "xfs",
    .fs_co_probe = xfs_co_probe,
    XFS_CALLBACKS,
};
fs_init(fs_xfs);

/* Asked after everybody else: the superblock is gone, but a copy of it is left. */
static const FsDriver fs_xfs_copy = {
    .name = "xfs-copy",
    .priority = FS_PRIORITY_BY_COPIES - 200,
    .fs_co_probe = xfs_co_probe_copy,
    XFS_CALLBACKS,
};
fs_init(fs_xfs_copy);
