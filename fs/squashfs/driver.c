/* The driver for squashfs: what the rest of embr calls. */
#include "squashfs.h"

void squashfs_error(const SquashfsState *s, GError **errp, EmbrError code,
                    uint64_t offset, const char *format, ...)
{
    va_list args;

    if (!errp) {
        return;
    }
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(errp, EMBR_ERROR, code, "%s: squashfs at offset 0x%" PRIx64 ": %s",
                blk_name(s->fs->blk), offset, text);
}

static void close_state(Filesystem *fs)
{
    SquashfsState *s = fs->opaque;

    g_clear_pointer(&s->recent, fs_buffer_release);
    g_clear_pointer(&s->metadata, fs_cache_free);
    g_clear_pointer(&s->ids, g_free);
    squashfs_data_clear(s);
}

static bool coroutine_fn load(SquashfsState *s, GError **errp)
{
    SquashfsInode root;

    if (!squashfs_super_co_load(s, errp)) {
        return false;
    }
    if (!squashfs_inode_co_get(s, s->geo.root + 1, &root, errp)) {
        g_prefix_error(errp, "root: ");
        return false;
    }
    if (!S_ISDIR(root.stat.mode)) {
        squashfs_error(s, errp, EMBR_ERROR_CORRUPT, root.rest.block,
                       "the root (inode %" PRIu64 ") has mode 0%o, expected a directory",
                       root.stat.ino, root.stat.mode);
        return false;
    }
    return true;
}

static bool coroutine_fn driver_co_open(Filesystem *fs, GError **errp)
{
    SquashfsState *s = fs->opaque;

    s->fs = fs;
    s->metadata = squashfs_metadata_new(s);
    squashfs_data_init(s);
    if (!load(s, errp)) {
        close_state(fs);
        return false;
    }
    fs->root = s->geo.root + 1;
    fs->block_size = s->geo.block_bytes;
    return true;
}

static bool coroutine_fn driver_co_stat(Filesystem *fs, FsIno ino, FsStat *st,
                                        GError **errp)
{
    SquashfsInode inode;

    if (!squashfs_inode_co_get(fs->opaque, ino, &inode, errp)) {
        return false;
    }
    *st = inode.stat;
    return true;
}

static bool coroutine_fn driver_co_readdir(Filesystem *fs, FsIno dir, FsDirBatch *batch,
                                           GError **errp)
{
    SquashfsInode inode;

    return squashfs_inode_co_get(fs->opaque, dir, &inode, errp) &&
           squashfs_dir_co_read(fs->opaque, &inode, batch, errp);
}

static bool coroutine_fn driver_co_lookup(Filesystem *fs, FsIno dir, const char *name,
                                          size_t name_len, FsIno *ino, GError **errp)
{
    SquashfsInode inode;

    return squashfs_inode_co_get(fs->opaque, dir, &inode, errp) &&
           squashfs_dir_co_lookup(fs->opaque, &inode, name, name_len, ino, errp);
}

static char *coroutine_fn driver_co_readlink(Filesystem *fs, FsIno ino, GError **errp)
{
    SquashfsInode inode;

    return squashfs_inode_co_get(fs->opaque, ino, &inode, errp)
               ? squashfs_inode_co_readlink(fs->opaque, &inode, errp)
               : NULL;
}

static bool coroutine_fn driver_co_xattrs(Filesystem *fs, FsIno ino, GPtrArray *list,
                                          GError **errp)
{
    SquashfsInode inode;

    return squashfs_inode_co_get(fs->opaque, ino, &inode, errp) &&
           squashfs_xattr_co_list(fs->opaque, &inode, list, errp);
}

static bool coroutine_fn driver_co_read(Filesystem *fs, FsIno ino, uint64_t offset,
                                        uint64_t bytes, void *buf, GError **errp)
{
    SquashfsState *s = fs->opaque;
    SquashfsInode inode;

    if (!squashfs_inode_co_get(s, ino, &inode, errp)) {
        return false;
    }
    if (!S_ISREG(inode.stat.mode)) {
        squashfs_error(s, errp, EMBR_ERROR_INVALID, inode.rest.block,
                       "inode %" PRIu64 " (mode 0%o) is not a regular file", ino,
                       inode.stat.mode);
        return false;
    }
    if (!range_fits(offset, bytes, inode.stat.size)) {
        squashfs_error(s, errp, EMBR_ERROR_INVALID, inode.rest.block,
                       "inode %" PRIu64 ": %" PRIu64 " bytes at %" PRIu64
                       " asked for, its size is %" PRIu64,
                       ino, bytes, offset, inode.stat.size);
        return false;
    }
    return squashfs_file_co_read(s, &inode, offset, bytes, buf, errp);
}

static bool coroutine_fn driver_co_extents(Filesystem *fs, FsIno ino,
                                           uint64_t file_offset, unsigned max,
                                           GArray *list, GError **errp)
{
    SquashfsInode inode;

    return squashfs_inode_co_get(fs->opaque, ino, &inode, errp) &&
           squashfs_co_extents(fs->opaque, &inode, file_offset, max, list, errp);
}

/* All of the filesystem is in use; what lies behind it is not its own. */
static FsBlockUse coroutine_fn driver_co_block_use(Filesystem *fs,
                                                   uint64_t device_offset,
                                                   uint64_t *pnum)
{
    const SquashfsState *s = fs->opaque;
    uint64_t volume = blk_length(fs->blk);
    uint64_t end = MIN(round_up_pow2(s->geo.end, s->geo.block_bytes), volume);

    if (device_offset < end) {
        *pnum = end - device_offset;
        return FS_BLOCK_USED;
    }
    *pnum = device_offset < volume ? volume - device_offset : 0;
    return FS_BLOCK_UNKNOWN;
}

static const FsDriver fs_squashfs = {
    .name = "squashfs",
    .instance_size = sizeof(SquashfsState),
    .fs_co_probe = squashfs_co_probe,
    .fs_co_open = driver_co_open,
    .fs_close = close_state,
    .fs_co_stat = driver_co_stat,
    .fs_co_readdir = driver_co_readdir,
    .fs_co_lookup = driver_co_lookup,
    .fs_co_readlink = driver_co_readlink,
    .fs_co_xattrs = driver_co_xattrs,
    .fs_co_read = driver_co_read,
    .fs_co_extents = driver_co_extents,
    .fs_co_block_use = driver_co_block_use,
};
fs_init(fs_squashfs);
