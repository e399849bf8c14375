/* Directories: entries of 32 bytes, long names in front of those they belong to. */
#include <dirent.h>
#include "fat.h"

enum {
    BATCH_ENTRIES = 4096,
    READ_BYTES = 64 * 1024,
};

/* A part of a directory that lies in one piece on the volume. */
typedef struct Part {
    uint64_t offset; /* on the volume */
    uint32_t bytes;  /* 0: the directory has ended */
} Part;

/* Entries in order, with the long names that they make. */
typedef struct Scan {
    FatState *s;
    FatNode *dir;
    uint64_t pos; /* in the directory */
    bool ended;
    uint8_t *buf; /* READ_BYTES */
    void (*found)(const FatDirEntry *entry, uint64_t offset, void *opaque);
    void *opaque;
} Scan;

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

static bool coroutine_fn co_find_part(FatState *s, FatNode *dir, uint64_t pos,
                                      Part *part, GError **errp)
{
    const FatLayout *geo = &s->geo;
    uint64_t bytes;
    FatRun run;

    if (dir->is_fixed) {
        bytes = geo->root_bytes - MIN(pos, geo->root_bytes);
        *part = (Part){geo->root_offset + pos, MIN(bytes, READ_BYTES)};
        return true;
    }

    uint32_t within = pos % geo->cluster_bytes;

    if (!fat_node_co_map(s, dir, pos / geo->cluster_bytes, &run, errp)) {
        return false;
    }
    if (!run.count) {
        *part = (Part){0};
        return true;
    }
    bytes = (uint64_t)run.count * geo->cluster_bytes - within;
    *part = (Part){fat_cluster_offset(s, run.cluster) + within, MIN(bytes, READ_BYTES)};
    return true;
}

/* What of a part can be read; at least a sector. */
static bool coroutine_fn co_read_part(FatState *s, Part *part, uint8_t *buf,
                                      GError **errp)
{
    uint64_t volume = blk_length(s->fs->blk);

    if (part->offset < volume) {
        part->bytes = MIN(part->bytes, volume - part->offset);
    }
    for (uint32_t done = 0; done < part->bytes;) {
        uint32_t count = 0;
        const uint8_t *bytes =
            part->offset < volume
                ? fat_pieces_co_get(s->pieces, part->offset + done, &count, NULL)
                : NULL;

        if (bytes) {
            count = MIN(count, part->bytes - done);
            memcpy(buf + done, bytes, count);
        } else if (done) {
            part->bytes = done;
        } else {
            /* Without what lies around it. */
            count = part->bytes = MIN(part->bytes, s->geo.sector_bytes);
            if (!blk_co_read(s->fs->blk, part->offset, count, buf, "directory", errp)) {
                return false;
            }
        }
        done += count;
    }
    return true;
}

/* Goes through a part of the directory.  False: it cannot be read; pos has moved on if
 * more of the directory can be tried. */
static bool coroutine_fn co_scan_part(Scan *scan, GError **errp)
{
    FatState *s = scan->s;
    Part part;

    if (!co_find_part(s, scan->dir, scan->pos, &part, errp)) {
        return false;
    }
    if (!part.bytes) {
        scan->ended = true;
        return true;
    }
    if (!co_read_part(s, &part, scan->buf, errp)) {
        if (errp) {
            g_prefix_error(errp,
                           "directory (inode %" PRIu64 ") at byte 0x%" PRIx64 ": ",
                           scan->dir->ino, scan->pos);
        }
        scan->pos += part.bytes;
        return false;
    }
    for (uint32_t at = 0; at + FAT_ENTRY_BYTES <= part.bytes && !scan->ended;
         at += FAT_ENTRY_BYTES) {
        const FatDirEntry *entry = (const FatDirEntry *)(scan->buf + at);

        if (entry->name[0] == FAT_NAME_END) {
            scan->ended = true;
        } else {
            scan->found(entry, part.offset + at, scan->opaque);
        }
    }
    scan->pos += part.bytes;
    return true;
}

typedef struct Reading {
    FatState *s;
    FsDirBatch *batch;
    FatLongName longname;
    GString *name;
} Reading;

static void add_entry(const FatDirEntry *entry, uint64_t offset, void *opaque)
{
    Reading *r = opaque;

    if (entry->name[0] != FAT_NAME_FREE && fat_entry_is_long_name(entry)) {
        fat_long_name_add(&r->longname, (const FatLongEntry *)entry);
        return;
    }
    if (!fat_entry_is_file(entry) || is_dot(entry)) {
        r->longname.count = 0;
        return;
    }
    if (!fat_long_name_take(&r->longname, entry, r->name)) {
        fat_short_name(&r->s->codepage, entry, r->name);
    }
    fs_dir_batch_add(r->batch, offset / FAT_ENTRY_BYTES,
                     entry->attributes & FAT_ATTR_DIRECTORY ? DT_DIR : DT_REG,
                     r->name->str, r->name->len);
}

bool coroutine_fn fat_dir_co_read(FatState *s, FatNode *dir, FsDirBatch *batch,
                                  GError **errp)
{
    g_autofree uint8_t *buf = g_malloc(READ_BYTES);
    g_autoptr(GString) name = g_string_new(NULL);
    Reading reading = {.s = s, .batch = batch, .name = name};
    Scan scan = {s, dir, batch->cursor, false, buf, add_entry, &reading};
    guint before = batch->entries->len;
    bool ok = true;

    if (!dir->is_dir) {
        fat_error(s, errp, EMBR_ERROR_INVALID, dir->ino * FAT_ENTRY_BYTES,
                  "inode %" PRIu64 " is not a directory", dir->ino);
        return false;
    }
    /* A batch ends where no long name is cut: what is complete is not forgotten. */
    while (ok && !scan.ended &&
           (batch->entries->len - before < BATCH_ENTRIES || reading.longname.count)) {
        uint64_t from = scan.pos;

        ok = co_scan_part(&scan, from == batch->cursor ? errp : NULL);
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

static void count_entry(const FatDirEntry *entry, uint64_t offset G_GNUC_UNUSED,
                        void *opaque)
{
    uint32_t *subdirs = opaque;

    *subdirs += fat_entry_is_file(entry) && !is_dot(entry) &&
                (entry->attributes & FAT_ATTR_DIRECTORY);
}

void coroutine_fn fat_dir_co_count(FatState *s, FatNode *dir, uint32_t *subdirs,
                                   uint64_t *size)
{
    g_autofree uint8_t *buf = g_malloc(READ_BYTES);
    Scan scan = {s, dir, 0, false, buf, count_entry, subdirs};
    uint32_t clusters = 0;
    FatRun run = {0};

    *subdirs = 0;
    while (!scan.ended) {
        uint64_t from = scan.pos;

        if (!co_scan_part(&scan, NULL) && scan.pos == from) {
            break;
        }
    }
    *size = s->geo.root_bytes;
    if (!dir->is_fixed) {
        while (fat_node_co_map(s, dir, clusters, &run, NULL) && run.count) {
            clusters += run.count;
        }
        *size = (uint64_t)clusters * s->geo.cluster_bytes;
    }
}
