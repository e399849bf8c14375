/* Directories: entries of 32 bytes, long names in front of those they belong to. */
#include <dirent.h>
#include "fat.h"

enum { BATCH_ENTRIES = 4096 };

bool fat_entry_is_long_name(const FatDirEntry *entry)
{
    return (entry->attributes & FAT_ATTR_LONG_NAME_MASK) == FAT_ATTR_LONG_NAME;
}

bool fat_entry_is_file(const FatDirEntry *entry)
{
    return entry->name[0] != FAT_NAME_FREE && entry->name[0] != FAT_NAME_END &&
           !(entry->attributes & FAT_ATTR_VOLUME_LABEL);
}

static bool is_dot(const FatDirEntry *entry)
{
    return !memcmp(entry->name, ".          ", 11) ||
           !memcmp(entry->name, "..         ", 11);
}

/* Where a directory's entries can be. */
static bool can_be_entry(const FatState *s, uint64_t offset)
{
    const FatLayout *geo = &s->geo;
    uint64_t in_root = offset - geo->root_offset, in_data = offset - geo->data_offset;

    return (geo->root_bytes && offset >= geo->root_offset &&
            in_root < geo->root_bytes) ||
           (offset >= geo->data_offset && in_data / geo->cluster_bytes < geo->clusters);
}

bool coroutine_fn fat_entry_co_read(FatState *s, FsIno ino, void *entry, GError **errp)
{
    uint64_t offset = ino * FAT_ENTRY_BYTES;
    uint32_t count;

    if (ino > s->fs->max_ino || !can_be_entry(s, offset) ||
        offset >= (uint64_t)blk_length(s->fs->blk)) {
        fat_error(s, errp, EMBR_ERROR_CORRUPT, 0,
                  "inode %" PRIu64 " is outside of the directories", ino);
        return false;
    }

    const uint8_t *bytes = fat_pieces_co_get(s->pieces, offset, &count, errp);

    if (!bytes) {
        return false;
    }
    if (count < FAT_ENTRY_BYTES) {
        fat_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                  "a directory entry reaches past the end of the volume");
        return false;
    }
    memcpy(entry, bytes, FAT_ENTRY_BYTES);
    return true;
}

static bool coroutine_fn co_read_file(FatState *s, FsIno ino, FatFile *file,
                                      GError **errp)
{
    FatDirEntry e;

    if (!fat_entry_co_read(s, ino, &e, errp)) {
        return false;
    }
    if (!fat_entry_is_file(&e)) {
        fat_error(s, errp, EMBR_ERROR_CORRUPT, ino * FAT_ENTRY_BYTES,
                  "inode %" PRIu64 " is no file's directory entry", ino);
        return false;
    }
    *file = (FatFile){
        .is_dir = e.attributes & FAT_ATTR_DIRECTORY,
        .is_read_only = e.attributes & FAT_ATTR_READ_ONLY,
        .start = le16_get(e.cluster_low),
        .size = le32_get(e.size),
        .written = le32_get(e.size),
        .mtime = fat_time(le16_get(e.modified_date), le16_get(e.modified_time), 0),
        .atime = fat_time(le16_get(e.accessed_date), 0, 0),
    };
    if (s->geo.bits == 32) {
        file->start |= (uint32_t)le16_get(e.cluster_high) << 16;
    }
    if (le16_get(e.created_date)) {
        file->crtime = fat_time(le16_get(e.created_date), le16_get(e.created_time),
                                e.created_10ms);
    }
    return true;
}

typedef struct Reading {
    FatState *s;
    FsDirBatch *batch;
    FatLongName longname;
    GString *name;
} Reading;

static FatScanNext add_entry(const uint8_t *bytes, uint64_t offset, void *opaque)
{
    const FatDirEntry *entry = (const FatDirEntry *)bytes;
    Reading *r = opaque;

    if (entry->name[0] != FAT_NAME_FREE && fat_entry_is_long_name(entry)) {
        fat_long_name_add(&r->longname, (const FatLongEntry *)entry);
        return FAT_SCAN_GO_ON;
    }
    if (!fat_entry_is_file(entry) || is_dot(entry)) {
        r->longname.count = 0;
        return FAT_SCAN_GO_ON;
    }
    if (!fat_long_name_take(&r->longname, entry, r->name)) {
        fat_short_name(fat_codepage_current(), entry, r->name);
    }
    fs_dir_batch_add(r->batch, offset / FAT_ENTRY_BYTES,
                     entry->attributes & FAT_ATTR_DIRECTORY ? DT_DIR : DT_REG,
                     r->name->str, r->name->len);
    return FAT_SCAN_GO_ON;
}

static bool coroutine_fn co_read_dir(FatState *s, FatNode *dir, FsDirBatch *batch,
                                     GError **errp)
{
    g_autoptr(GString) name = g_string_new(NULL);
    Reading reading = {.s = s, .batch = batch, .name = name};
    g_auto(FatScan) scan = {.s = s,
                            .dir = dir,
                            .found = add_entry,
                            .opaque = &reading,
                            .pos = batch->cursor};
    guint before = batch->entries->len;
    bool ok = true;

    /* A batch ends where no long name is cut: what is complete is not forgotten. */
    while (ok && !scan.ended &&
           (batch->entries->len - before < BATCH_ENTRIES || reading.longname.count)) {
        uint64_t from = scan.pos;

        ok = fat_scan_co_part(&scan, from == batch->cursor ? errp : NULL);
        if (!ok && from != batch->cursor) {
            /* Told by the next call, which begins there. */
            scan.pos = from;
            ok = true;
            break;
        }
    }
    batch->cursor = scan.pos;
    batch->eof = scan.ended;
    return ok;
}

static bool is_subdir(const uint8_t *bytes)
{
    const FatDirEntry *entry = (const FatDirEntry *)bytes;

    return fat_entry_is_file(entry) && !is_dot(entry) &&
           (entry->attributes & FAT_ATTR_DIRECTORY);
}

const FatKind fat_kind = {
    .name = "FAT",
    .dir_bytes_max = (uint64_t)FAT_ENTRIES_MAX * FAT_ENTRY_BYTES,
    .co_read_file = co_read_file,
    .co_read_dir = co_read_dir,
    .is_subdir = is_subdir,
    .co_is_used = fat_use_co_is_used,
};
