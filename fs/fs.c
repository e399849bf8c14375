/* The filesystem drivers' registry, and what is the same for all of them. */
#include "fs/fs.h"

enum {
    FS_WARNINGS_MAX = 100,
    FS_LOOKUP_MAX_ENTRIES = 1 << 26,
};

static GPtrArray *drivers;      /* of const FsDriver *, first to be asked first */

static gint compare_drivers(gconstpointer a, gconstpointer b)
{
    const FsDriver *da = *(const FsDriver *const *)a;
    const FsDriver *db = *(const FsDriver *const *)b;

    if (da->priority != db->priority) {
        return da->priority > db->priority ? -1 : 1;
    }
    return strcmp(da->name, db->name);
}

void fs_register(const FsDriver *drv)
{
    if (!drivers) {
        drivers = g_ptr_array_new();
    }
    g_ptr_array_add(drivers, (gpointer)drv);
    g_ptr_array_sort(drivers, compare_drivers);
}

static void make_utf8(char **text)
{
    if (*text && !g_utf8_validate(*text, -1, NULL)) {
        char *valid = g_utf8_make_valid(*text, -1);

        g_free(*text);
        *text = valid;
    }
}

const FsDriver *coroutine_fn fs_co_probe(BlockBackend *blk, FsIdent *ident)
{
    for (guint i = 0; drivers && i < drivers->len; i++) {
        const FsDriver *drv = g_ptr_array_index(drivers, i);
        g_auto(FsIdent) found = {0};

        if (drv->fs_co_probe(blk, &found)) {
            make_utf8(&found.label);
            make_utf8(&found.uuid);
            make_utf8(&found.details);
            *ident = found;
            found = (FsIdent){0};
            return drv;
        }
    }
    *ident = (FsIdent){0};
    return NULL;
}

void fs_ident_clear(FsIdent *ident)
{
    g_clear_pointer(&ident->label, g_free);
    g_clear_pointer(&ident->uuid, g_free);
    g_clear_pointer(&ident->details, g_free);
    *ident = (FsIdent){0};
}

Filesystem *coroutine_fn fs_co_open(const FsDriver *drv, BlockBackend *blk, GError **errp)
{
    g_auto(FsIdent) ident = {0};

    if (!drv->fs_co_probe(blk, &ident)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_FORMAT, "%s: no %s filesystem found",
                    blk_name(blk), drv->name);
        return NULL;
    }
    if (!drv->fs_co_open) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s: holds a %s %s, which this version cannot read into; "
                    "it is stored exactly as raw ranges",
                    blk_name(blk), ident.type,
                    drv->is_container ? "volume" : "filesystem");
        return NULL;
    }

    Filesystem *fs = g_new0(Filesystem, 1);
    fs->drv = drv;
    fs->opaque = g_malloc0(drv->instance_size);
    fs->blk = blk_ref(blk);
    fs->ident = ident;
    ident = (FsIdent){0};
    fs->block_size = 512;
    fs->warnings = g_ptr_array_new_with_free_func(g_free);
    if (!drv->fs_co_open(fs, errp)) {
        fs->drv = NULL;
        fs_free(fs);
        return NULL;
    }
    return fs;
}

void fs_free(Filesystem *fs)
{
    if (!fs) {
        return;
    }
    if (fs->drv && fs->drv->fs_close) {
        fs->drv->fs_close(fs);
    }
    g_free(fs->opaque);
    blk_unref(fs->blk);
    fs_ident_clear(&fs->ident);
    g_ptr_array_unref(fs->warnings);
    g_free(fs);
}

void fs_warn(Filesystem *fs, const char *format, ...)
{
    if (fs->warnings->len > FS_WARNINGS_MAX) {
        return;
    }
    if (fs->warnings->len == FS_WARNINGS_MAX) {
        g_ptr_array_add(fs->warnings,
                        g_strdup_printf("%s: more than %d warnings; the rest are left out",
                                        blk_name(fs->blk), FS_WARNINGS_MAX));
        return;
    }

    va_list args;
    va_start(args, format);
    g_ptr_array_add(fs->warnings, g_strdup_vprintf(format, args));
    va_end(args);
}

void fs_dir_batch_init(FsDirBatch *batch)
{
    *batch = (FsDirBatch){
        .entries = g_array_new(FALSE, FALSE, sizeof(FsDirEntry)),
        .names = g_string_chunk_new(4096),
    };
}

void fs_dir_batch_drop_entries(FsDirBatch *batch)
{
    g_array_set_size(batch->entries, 0);
    g_string_chunk_clear(batch->names);
}

void fs_dir_batch_clear(FsDirBatch *batch)
{
    g_clear_pointer(&batch->entries, g_array_unref);
    g_clear_pointer(&batch->names, g_string_chunk_free);
}

void fs_dir_batch_add(FsDirBatch *batch, FsIno ino, uint8_t type, const char *name,
                      size_t len)
{
    FsDirEntry entry = {
        .ino = ino,
        .type = type,
        .name_len = MIN(len, UINT16_MAX),
    };

    entry.name = g_string_chunk_insert_len(batch->names, name, entry.name_len);
    g_array_append_val(batch->entries, entry);
}

void fs_xattr_free(FsXattr *xattr)
{
    if (xattr) {
        g_free(xattr->name);
        g_bytes_unref(xattr->value);
        g_free(xattr);
    }
}

bool coroutine_fn fs_co_stat(Filesystem *fs, FsIno ino, FsStat *st, GError **errp)
{
    *st = (FsStat){0};
    if (!fs->drv->fs_co_stat(fs, ino, st, errp)) {
        return false;
    }
    st->ino = ino;
    return true;
}

/* No driver's mistake and no hostile disk gets such a name past this. */
static bool is_usable_name(const FsDirEntry *entry)
{
    return entry->name_len && strlen(entry->name) == entry->name_len &&
           !strchr(entry->name, '/') && strcmp(entry->name, ".") &&
           strcmp(entry->name, "..");
}

static void drop_unusable_names(Filesystem *fs, FsIno dir, FsDirBatch *batch, guint from)
{
    guint kept = from;

    for (guint i = from; i < batch->entries->len; i++) {
        FsDirEntry *entry = &g_array_index(batch->entries, FsDirEntry, i);

        if (is_usable_name(entry) && entry->ino) {
            g_array_index(batch->entries, FsDirEntry, kept++) = *entry;
            continue;
        }
        g_autofree char *shown = g_strescape(entry->name, NULL);
        fs_warn(fs, "%s: directory inode %" PRIu64
                    ": entry '%s' (inode %" PRIu64 ") can be no file; it is left out",
                blk_name(fs->blk), dir, shown, entry->ino);
    }
    g_array_set_size(batch->entries, kept);
}

bool coroutine_fn fs_co_readdir(Filesystem *fs, FsIno dir, FsDirBatch *batch, GError **errp)
{
    guint before = batch->entries->len;
    uint64_t cursor = batch->cursor;

    if (!fs->drv->fs_co_readdir(fs, dir, batch, errp)) {
        return false;
    }
    if (!batch->eof && batch->entries->len == before && batch->cursor == cursor) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: directory inode %" PRIu64 " does not end (stuck at 0x%" PRIx64 ")",
                    blk_name(fs->blk), dir, cursor);
        return false;
    }
    drop_unusable_names(fs, dir, batch, before);
    return true;
}

/* Damage that what is not damaged can be told apart from does not hide names behind it. */
static bool coroutine_fn search_directory(Filesystem *fs, FsIno dir, const char *name,
                                          size_t name_len, FsIno *ino, GError **errp)
{
    g_auto(FsDirBatch) batch = {0};
    g_autoptr(GError) damage = NULL;
    uint64_t seen = 0;

    fs_dir_batch_init(&batch);
    while (!batch.eof) {
        uint64_t cursor = batch.cursor;

        fs_dir_batch_drop_entries(&batch);
        if (!fs_co_readdir(fs, dir, &batch, damage ? NULL : &damage) &&
            batch.cursor == cursor) {
            break;
        }
        for (guint i = 0; i < batch.entries->len; i++) {
            const FsDirEntry *entry = &g_array_index(batch.entries, FsDirEntry, i);

            if (entry->name_len == name_len && !memcmp(entry->name, name, name_len)) {
                *ino = entry->ino;
                return true;
            }
        }
        seen += batch.entries->len;
        if (seen > FS_LOOKUP_MAX_ENTRIES) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                        "%s: directory inode %" PRIu64 " has more than %d entries",
                        blk_name(fs->blk), dir, FS_LOOKUP_MAX_ENTRIES);
            return false;
        }
    }
    if (damage) {
        g_propagate_error(errp, g_steal_pointer(&damage));
        return false;
    }
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_NOT_FOUND,
                "%s: no '%.*s' in directory inode %" PRIu64, blk_name(fs->blk),
                (int)name_len, name, dir);
    return false;
}

bool coroutine_fn fs_co_lookup(Filesystem *fs, FsIno dir, const char *name, size_t name_len,
                               FsIno *ino, GError **errp)
{
    if (fs->drv->fs_co_lookup) {
        return fs->drv->fs_co_lookup(fs, dir, name, name_len, ino, errp);
    }
    return search_directory(fs, dir, name, name_len, ino, errp);
}

char *coroutine_fn fs_co_readlink(Filesystem *fs, FsIno ino, GError **errp)
{
    if (!fs->drv->fs_co_readlink) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s: inode %" PRIu64 ": %s filesystems have no symbolic links",
                    blk_name(fs->blk), ino, fs->ident.type);
        return NULL;
    }
    return fs->drv->fs_co_readlink(fs, ino, errp);
}

static gint compare_xattrs(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const FsXattr *const *)a)->name, (*(const FsXattr *const *)b)->name);
}

GPtrArray *coroutine_fn fs_co_xattrs(Filesystem *fs, FsIno ino, GError **errp)
{
    g_autoptr(GPtrArray) list =
        g_ptr_array_new_with_free_func((GDestroyNotify)fs_xattr_free);

    if (fs->drv->fs_co_xattrs && !fs->drv->fs_co_xattrs(fs, ino, list, errp)) {
        return NULL;
    }
    g_ptr_array_sort(list, compare_xattrs);
    return g_steal_pointer(&list);
}

bool coroutine_fn fs_co_read(Filesystem *fs, FsIno ino, uint64_t offset, uint64_t bytes,
                             void *buf, GError **errp)
{
    if (!bytes) {
        return true;
    }
    return fs->drv->fs_co_read(fs, ino, offset, bytes, buf, errp);
}

bool coroutine_fn fs_co_extents(Filesystem *fs, FsIno ino, uint64_t file_offset,
                                unsigned max, GArray *list, GError **errp)
{
    if (!fs->drv->fs_co_extents) {
        return true;
    }
    return fs->drv->fs_co_extents(fs, ino, file_offset, max, list, errp);
}

FsBlockUse coroutine_fn fs_co_block_use(Filesystem *fs, uint64_t device_offset,
                                        uint64_t *pnum)
{
    if (fs->drv->fs_co_block_use) {
        return fs->drv->fs_co_block_use(fs, device_offset, pnum);
    }

    uint64_t length = blk_length(fs->blk);
    *pnum = device_offset < length ? length - device_offset : 0;
    return FS_BLOCK_UNKNOWN;
}
