/* The driver for ISO 9660: what the rest of embr calls. */
#include "iso9660.h"

void iso_error(const IsoState *s, GError **errp, EmbrError code, uint64_t offset,
               const char *format, ...)
{
    va_list args;

    if (!errp) {
        return;
    }
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(errp, EMBR_ERROR, code, "%s: iso9660 at offset 0x%" PRIx64 ": %s",
                blk_name(s->fs->blk), offset, text);
}

static void close_state(Filesystem *fs)
{
    IsoState *s = fs->opaque;

    g_clear_pointer(&s->recent, fs_buffer_release);
    g_clear_pointer(&s->cache, fs_cache_free);
    g_clear_pointer(&s->zisofs_content, g_bytes_unref);
}

/* The record that a file is named by. */
static bool coroutine_fn get_record(IsoState *s, FsIno ino, IsoRecord *record,
                                    GError **errp)
{
    if (!iso_record_co_get(s, ino, record, errp)) {
        g_prefix_error(errp, "inode %" PRIu64 ": ", ino);
        return false;
    }
    if (!record->head.bytes) {
        iso_error(s, errp, EMBR_ERROR_CORRUPT, ino, "inode %" PRIu64 " is not there",
                  ino);
        return false;
    }
    return true;
}

static bool coroutine_fn driver_co_open(Filesystem *fs, GError **errp)
{
    IsoState *s = fs->opaque;

    s->fs = fs;
    s->cache = iso_cache_new(s);
    if (!iso_super_co_load(s, errp)) {
        close_state(fs);
        return false;
    }
    fs->root = s->root;
    fs->block_size = s->block_bytes;
    return true;
}

static bool coroutine_fn driver_co_stat(Filesystem *fs, FsIno ino, FsStat *st,
                                        GError **errp)
{
    g_auto(IsoRecord) record = {0};

    iso_record_init(&record);
    return get_record(fs->opaque, ino, &record, errp) &&
           iso_record_co_stat(fs->opaque, &record, st, errp);
}

static bool coroutine_fn driver_co_readdir(Filesystem *fs, FsIno dir, FsDirBatch *batch,
                                           GError **errp)
{
    return iso_dir_co_read(fs->opaque, dir, batch, errp);
}

static char *coroutine_fn driver_co_readlink(Filesystem *fs, FsIno ino, GError **errp)
{
    IsoState *s = fs->opaque;
    g_auto(IsoRecord) record = {0};

    iso_record_init(&record);
    if (!get_record(s, ino, &record, errp)) {
        return NULL;
    }
    if (!S_ISLNK(record.rock.mode) || !record.rock.target) {
        iso_error(s, errp, EMBR_ERROR_INVALID, ino,
                  "inode %" PRIu64 " is not a symbolic link", ino);
        return NULL;
    }
    return g_strdup(record.rock.target->str);
}

static bool coroutine_fn driver_co_xattrs(Filesystem *fs, FsIno ino, GPtrArray *list,
                                          GError **errp)
{
    IsoState *s = fs->opaque;
    g_auto(IsoRecord) record = {0};

    iso_record_init(&record);
    if (s->tree != ISO_TREE_ROCK_RIDGE) {
        return true;
    }
    record.rock.attributes =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    return get_record(s, ino, &record, errp) && iso_xattr_list(s, &record, list, errp);
}

static bool coroutine_fn get_regular(IsoState *s, FsIno ino, IsoRecord *record,
                                     FsStat *st, GError **errp)
{
    if (!get_record(s, ino, record, errp) || !iso_record_co_stat(s, record, st, errp)) {
        return false;
    }
    if (!S_ISREG(st->mode)) {
        iso_error(s, errp, EMBR_ERROR_INVALID, ino,
                  "inode %" PRIu64 " (mode 0%o) is not a regular file", ino, st->mode);
        return false;
    }
    return true;
}

static bool coroutine_fn driver_co_read(Filesystem *fs, FsIno ino, uint64_t offset,
                                        uint64_t bytes, void *buf, GError **errp)
{
    IsoState *s = fs->opaque;
    g_auto(IsoRecord) record = {0};
    FsStat st = {0};

    iso_record_init(&record);
    if (!get_regular(s, ino, &record, &st, errp)) {
        return false;
    }
    if (!range_fits(offset, bytes, st.size)) {
        iso_error(s, errp, EMBR_ERROR_INVALID, ino,
                  "inode %" PRIu64 ": %" PRIu64 " bytes at %" PRIu64
                  " asked for, its size is %" PRIu64,
                  ino, bytes, offset, st.size);
        return false;
    }
    return iso_file_co_read(s, &record, offset, bytes, buf, errp);
}

static bool coroutine_fn driver_co_extents(Filesystem *fs, FsIno ino,
                                           uint64_t file_offset, unsigned max,
                                           GArray *list, GError **errp)
{
    IsoState *s = fs->opaque;
    g_auto(IsoRecord) record = {0};
    FsStat st = {0};

    iso_record_init(&record);
    if (!get_record(s, ino, &record, errp) ||
        !iso_record_co_stat(s, &record, &st, errp)) {
        return false;
    }
    if (!S_ISREG(st.mode) && !S_ISDIR(st.mode)) {
        return true;
    }
    return iso_file_co_extents(s, &record, file_offset, max, list, errp);
}

/* All that the filesystem spans is in use; what lies behind it is not its own. */
static FsBlockUse coroutine_fn driver_co_block_use(Filesystem *fs,
                                                   uint64_t device_offset,
                                                   uint64_t *pnum)
{
    const IsoState *s = fs->opaque;
    uint64_t volume = blk_length(fs->blk);
    uint64_t end = MIN(s->bytes, volume);

    if (device_offset < end) {
        *pnum = end - device_offset;
        return FS_BLOCK_USED;
    }
    *pnum = device_offset < volume ? volume - device_offset : 0;
    return FS_BLOCK_UNKNOWN;
}

/* Behind those that begin a volume: what is in the first 32 KiB is no matter of this
 * one. */
static const FsDriver fs_iso9660 = {
    .name = "iso9660",
    .instance_size = sizeof(IsoState),
    .priority = -40,
    .spans_tables = true,
    .fs_co_probe = iso_co_probe,
    .fs_co_open = driver_co_open,
    .fs_close = close_state,
    .fs_co_stat = driver_co_stat,
    .fs_co_readdir = driver_co_readdir,
    .fs_co_readlink = driver_co_readlink,
    .fs_co_xattrs = driver_co_xattrs,
    .fs_co_read = driver_co_read,
    .fs_co_extents = driver_co_extents,
    .fs_co_block_use = driver_co_block_use,
};
fs_init(fs_iso9660);
