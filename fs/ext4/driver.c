/* The driver for ext2, ext3 and ext4: what the rest of embr calls. */
#include "ext4.h"

void ext4_error(const Ext4State *s, GError **errp, EmbrError code, uint64_t offset,
                const char *format, ...)
{
    va_list args;

    if (!errp) {
        return;
    }
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(errp, EMBR_ERROR, code, "%s: ext4 at offset 0x%" PRIx64 ": %s",
                blk_name(s->fs->blk), offset, text);
}

void ext4_warn(Ext4State *s, uint64_t offset, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    fs_warn(s->fs, "%s: ext4 at offset 0x%" PRIx64 ": %s", blk_name(s->fs->blk), offset,
            text);
}

static void close_state(Filesystem *fs)
{
    Ext4State *s = fs->opaque;

    ext4_inodes_drop(s);
    g_clear_pointer(&s->inodes, g_hash_table_unref);
    g_clear_pointer(&s->cache, fs_cache_free);
    g_clear_pointer(&s->fast_commit, ext4_fc_free);
    g_clear_pointer(&s->journal, ext4_journal_free);
    g_clear_pointer(&s->use_runs, g_array_unref);
    g_clear_pointer(&s->own_ranges, g_array_unref);
}

static void warn_of_state(Ext4State *s)
{
    uint64_t size = s->geo.blocks_count << s->geo.block_bits;
    uint64_t volume = blk_length(s->fs->blk);

    if (size > volume) {
        ext4_warn(s, EXT4_SUPER_OFFSET_BYTES,
                  "the filesystem spans 0x%" PRIx64
                  " bytes, but the volume ends at 0x%" PRIx64
                  "; what lies beyond cannot be read",
                  size, volume);
    }
    if (s->geo.state & EXT4_STATE_ERRORS) {
        ext4_warn(s, EXT4_SUPER_OFFSET_BYTES,
                  "the filesystem is marked as having errors");
    }
}

static bool coroutine_fn check_root(Ext4State *s, GError **errp)
{
    g_autoptr(Ext4Inode) root = ext4_inode_co_get(s, EXT4_ROOT_INO, errp);

    if (root && !S_ISDIR(root->stat.mode)) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, root->offset,
                   "the root (inode %d) has mode 0%o, expected a directory",
                   EXT4_ROOT_INO, root->stat.mode);
        return false;
    }
    return root;
}

static bool coroutine_fn driver_co_open(Filesystem *fs, GError **errp)
{
    Ext4State *s = fs->opaque;

    s->fs = fs;
    s->cache = ext4_cache_new(s);
    s->inodes = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_queue_init(&s->inode_lru);
    if (!ext4_super_co_load(s, errp)) {
        close_state(fs);
        return false;
    }
    ext4_journal_co_load(s);
    if (!check_root(s, errp)) {
        close_state(fs);
        return false;
    }
    warn_of_state(s);
    return true;
}

/* An inode that a name may lead to. */
static Ext4Inode *coroutine_fn get_used(Ext4State *s, FsIno ino, GError **errp)
{
    g_autoptr(Ext4Inode) inode = ext4_inode_co_get(s, ino, errp);

    if (inode && !inode->stat.nlink && !inode->stat.mode) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, inode->offset,
                   "inode %" PRIu64 " is not in use", ino);
        return NULL;
    }
    return g_steal_pointer(&inode);
}

static bool coroutine_fn driver_co_stat(Filesystem *fs, FsIno ino, FsStat *st,
                                        GError **errp)
{
    g_autoptr(Ext4Inode) inode = get_used(fs->opaque, ino, errp);

    if (!inode) {
        return false;
    }
    *st = inode->stat;
    if (S_ISLNK(st->mode) && (inode->flags & EXT4_ENCRYPT_FL)) {
        /* The target is not shown as it is stored. */
        g_autofree char *target = ext4_file_co_readlink(fs->opaque, inode, errp);

        st->size = target ? strlen(target) : 0;
        return target;
    }
    return true;
}

static bool coroutine_fn driver_co_readdir(Filesystem *fs, FsIno dir, FsDirBatch *batch,
                                           GError **errp)
{
    g_autoptr(Ext4Inode) inode = get_used(fs->opaque, dir, errp);

    return inode && ext4_dir_co_read(fs->opaque, inode, batch, errp);
}

static bool coroutine_fn driver_co_lookup(Filesystem *fs, FsIno dir, const char *name,
                                          size_t name_len, FsIno *ino, GError **errp)
{
    g_autoptr(Ext4Inode) inode = get_used(fs->opaque, dir, errp);

    return inode && ext4_dir_co_lookup(fs->opaque, inode, name, name_len, ino, errp);
}

static char *coroutine_fn driver_co_readlink(Filesystem *fs, FsIno ino, GError **errp)
{
    g_autoptr(Ext4Inode) inode = get_used(fs->opaque, ino, errp);

    return inode ? ext4_file_co_readlink(fs->opaque, inode, errp) : NULL;
}

static bool coroutine_fn driver_co_xattrs(Filesystem *fs, FsIno ino, GPtrArray *list,
                                          GError **errp)
{
    g_autoptr(Ext4Inode) inode = get_used(fs->opaque, ino, errp);

    return inode && ext4_xattr_co_list(fs->opaque, inode, list, errp);
}

static bool coroutine_fn driver_co_read(Filesystem *fs, FsIno ino, uint64_t offset,
                                        uint64_t bytes, void *buf, GError **errp)
{
    Ext4State *s = fs->opaque;
    g_autoptr(Ext4Inode) inode = get_used(s, ino, errp);

    if (!inode) {
        return false;
    }
    if (!S_ISREG(inode->stat.mode) && !S_ISDIR(inode->stat.mode)) {
        ext4_error(s, errp, EMBR_ERROR_INVALID, inode->offset,
                   "inode %" PRIu64 " (mode 0%o) is not a regular file", ino,
                   inode->stat.mode);
        return false;
    }
    if (S_ISREG(inode->stat.mode) && (inode->flags & EXT4_ENCRYPT_FL)) {
        ext4_error(s, errp, EMBR_ERROR_UNSUPPORTED, inode->offset,
                   "inode %" PRIu64 " is encrypted: its content cannot be read", ino);
        return false;
    }
    if (!range_fits(offset, bytes, inode->stat.size)) {
        ext4_error(s, errp, EMBR_ERROR_INVALID, inode->offset,
                   "inode %" PRIu64 ": %" PRIu64 " bytes at %" PRIu64
                   " asked for, its size is %" PRIu64,
                   ino, bytes, offset, inode->stat.size);
        return false;
    }
    return ext4_file_co_read(s, inode, offset, bytes, buf, errp);
}

static bool coroutine_fn driver_co_extents(Filesystem *fs, FsIno ino,
                                           uint64_t file_offset, unsigned max,
                                           GArray *list, GError **errp)
{
    g_autoptr(Ext4Inode) inode = get_used(fs->opaque, ino, errp);

    return inode &&
           ext4_file_co_extents(fs->opaque, inode, file_offset, max, list, errp);
}

static FsBlockUse coroutine_fn driver_co_block_use(Filesystem *fs,
                                                   uint64_t device_offset,
                                                   uint64_t *pnum)
{
    return ext4_bitmap_co_use(fs->opaque, device_offset, pnum);
}

#define EXT4_CALLBACKS                                                                 \
    .instance_size = sizeof(Ext4State), .fs_co_open = driver_co_open,                  \
    .fs_close = close_state, .fs_co_stat = driver_co_stat,                             \
    .fs_co_readdir = driver_co_readdir, .fs_co_lookup = driver_co_lookup,              \
    .fs_co_readlink = driver_co_readlink, .fs_co_xattrs = driver_co_xattrs,            \
    .fs_co_read = driver_co_read, .fs_co_extents = driver_co_extents,                  \
    .fs_co_block_use = driver_co_block_use

static const FsDriver fs_ext4 = {
    .name = "ext4",
    .fs_co_probe = ext4_co_probe,
    EXT4_CALLBACKS,
};
fs_init(fs_ext4);

/* Asked after everybody else: the superblock is gone, but copies of it are left. */
static const FsDriver fs_ext4_backup = {
    .name = "ext4-backup",
    .priority = FS_PRIORITY_BY_COPIES,
    .fs_co_probe = ext4_co_probe_backup,
    EXT4_CALLBACKS,
};
fs_init(fs_ext4_backup);
