/* Directories: sets of entries, and those of one file by its inode number. */
#include <dirent.h>
#include "exfat.h"

enum { BATCH_ENTRIES = 4096 };

typedef struct Reading {
    FatState *s;
    FsDirBatch *batch;
    GString *name;
    unsigned to_skip; /* secondary entries of what nobody knows */
    unsigned orphans; /* secondary entries of nothing that were just seen */
    uint64_t orphan_offset;
    GError *error; /* about what lies before the place where the scan stopped */
    ExfatSet set;
} Reading;

static bool is_type_secondary(uint8_t type)
{
    const uint8_t wanted = EXFAT_IN_USE | EXFAT_SECONDARY;

    return (type & wanted) == wanted;
}

/* Names are found by their hashes, but not here: a wrong one is no matter but a sign.
 */
static void check_hash(FatState *s, const ExfatSet *set, const gunichar2 *units,
                       unsigned count)
{
    ExfatState *exfat = exfat_state(s);
    const ExfatStreamEntry *stream = (const ExfatStreamEntry *)set->entries[1];

    if (!exfat->upcase || exfat->hash_warned) {
        return;
    }

    uint16_t expected = exfat_name_hash(exfat->upcase, units, count);

    if (le16_get(stream->name_hash) != expected) {
        exfat->hash_warned = true;
        fat_warn(s, set->offset,
                 "the name of inode %" PRIu64 " has the hash 0x%04x, expected 0x%04x; "
                 "others are not told",
                 set->offset / EXFAT_ENTRY_BYTES, le16_get(stream->name_hash),
                 expected);
    }
}

static void add_set(Reading *r)
{
    const ExfatFileEntry *file = (const ExfatFileEntry *)r->set.entries[0];
    bool is_dir = le16_get(file->attributes) & EXFAT_ATTR_DIRECTORY;
    gunichar2 units[EXFAT_NAME_UNITS_MAX];
    unsigned count = exfat_set_name(&r->set, units);

    check_hash(r->s, &r->set, units, count);
    g_string_truncate(r->name, 0);
    fat_append_units(units, count, r->name);
    fs_dir_batch_add(r->batch, r->set.offset / EXFAT_ENTRY_BYTES,
                     is_dir ? DT_DIR : DT_REG, r->name->str, r->name->len);
}

static FatScanNext go_on_with_set(Reading *r, const uint8_t *entry)
{
    ExfatSet *set = &r->set;

    if (!exfat_set_add(set, entry)) {
        fat_error(r->s, &r->error, EMBR_ERROR_CORRUPT, set->offset,
                  "entries of inode %" PRIu64 ": %u of %u, then type 0x%02x",
                  set->offset / EXFAT_ENTRY_BYTES, set->count, set->needed, entry[0]);
        set->needed = 0;
        return FAT_SCAN_STOP_BEFORE;
    }
    if (set->count < set->needed) {
        return FAT_SCAN_GO_ON;
    }
    set->needed = 0;
    if (!exfat_set_check(r->s, set, &r->error)) {
        return FAT_SCAN_STOP_BEHIND;
    }
    add_set(r);
    return FAT_SCAN_GO_ON;
}

static void report_orphans(Reading *r)
{
    fat_error(r->s, &r->error, EMBR_ERROR_CORRUPT, r->orphan_offset,
              "%u directory entries belong to no file", r->orphans);
    r->orphans = 0;
}

static FatScanNext add_entry(const uint8_t *entry, uint64_t offset, void *opaque)
{
    Reading *r = opaque;
    uint8_t type = entry[0];

    if (r->set.needed) {
        return go_on_with_set(r, entry);
    }
    if (is_type_secondary(type)) {
        if (r->to_skip) {
            r->to_skip--;
        } else if (!r->orphans++) {
            r->orphan_offset = offset;
        }
        return FAT_SCAN_GO_ON;
    }
    r->to_skip = 0;
    if (r->orphans) {
        report_orphans(r);
        return FAT_SCAN_STOP_BEFORE;
    }
    if (!(type & EXFAT_IN_USE) || type == EXFAT_ENTRY_BITMAP ||
        type == EXFAT_ENTRY_UPCASE || type == EXFAT_ENTRY_LABEL) {
        return FAT_SCAN_GO_ON;
    }
    if (type & EXFAT_BENIGN) {
        r->to_skip = entry[1];
        return FAT_SCAN_GO_ON;
    }
    if (type != EXFAT_ENTRY_FILE) {
        r->to_skip = entry[1];
        fat_error(r->s, &r->error, EMBR_ERROR_CORRUPT, offset,
                  "a directory entry is of type 0x%02x, which is not known", type);
        return FAT_SCAN_STOP_BEHIND;
    }
    exfat_set_start(&r->set, entry, offset);
    return FAT_SCAN_GO_ON;
}

/* The directory ends. */
static void check_end(Reading *r)
{
    if (r->error) {
        return;
    }
    if (r->orphans) {
        report_orphans(r);
    } else if (r->set.needed) {
        fat_error(r->s, &r->error, EMBR_ERROR_CORRUPT, r->set.offset,
                  "entries of inode %" PRIu64
                  ": %u of %u, then the end of the directory",
                  r->set.offset / EXFAT_ENTRY_BYTES, r->set.count, r->set.needed);
    }
}

static bool coroutine_fn co_read_dir(FatState *s, FatNode *dir, FsDirBatch *batch,
                                     GError **errp)
{
    g_autoptr(GString) name = g_string_new(NULL);
    g_autofree Reading *r = g_new0(Reading, 1);
    g_auto(FatScan) scan = {
        .s = s, .dir = dir, .found = add_entry, .opaque = r, .pos = batch->cursor};
    guint before = batch->entries->len;
    bool ok = true;

    r->s = s;
    r->batch = batch;
    r->name = name;
    /* A batch ends where no set is cut. */
    while (
        !scan.ended && !scan.stopped &&
        (batch->entries->len - before < BATCH_ENTRIES || r->set.needed || r->orphans)) {
        uint64_t from = scan.pos;

        ok = fat_scan_co_part(&scan, from == batch->cursor ? errp : NULL);
        if (!ok) {
            /* If not the first: told by the next call, which begins there. */
            scan.pos = from == batch->cursor ? scan.pos : from;
            ok = from != batch->cursor;
            break;
        }
    }
    if (scan.ended) {
        check_end(r);
    }
    batch->cursor = scan.pos;
    batch->eof = scan.ended;
    if (r->error) {
        /* The error is about what lies before, and the end is still to come. */
        batch->eof = false;
        g_propagate_error(errp, r->error);
        return false;
    }
    return ok;
}

static bool is_subdir(const uint8_t *entry)
{
    const ExfatFileEntry *file = (const ExfatFileEntry *)entry;

    return file->type == EXFAT_ENTRY_FILE &&
           (le16_get(file->attributes) & EXFAT_ATTR_DIRECTORY);
}

/* Where the entry behind one is: in the next cluster if that is its cluster's last.  0:
 * nowhere. */
static uint64_t coroutine_fn co_next_entry(FatState *s, uint64_t offset, bool by_chain)
{
    const FatLayout *geo = &s->geo;
    uint64_t in_heap = offset + EXFAT_ENTRY_BYTES - geo->data_offset;
    uint32_t cluster = in_heap / geo->cluster_bytes - 1 + FAT_FIRST_CLUSTER;
    uint32_t next = cluster + 1;

    if (in_heap % geo->cluster_bytes) {
        return offset + EXFAT_ENTRY_BYTES;
    }
    if (by_chain && !fat_table_co_get(s, cluster, &next, NULL)) {
        return 0;
    }
    return fat_is_cluster(s, next) ? fat_cluster_offset(s, next) : 0;
}

/* Collects a file's entries.  Its directory is not known, and with it not whether the
 * cluster behind another is the one that follows or the one that the FAT has. */
static bool coroutine_fn co_collect(FatState *s, ExfatSet *set, bool by_chain,
                                    GError **errp)
{
    uint64_t offset = set->offset;
    uint8_t entry[EXFAT_ENTRY_BYTES];

    set->count = 1;
    while (set->count < set->needed) {
        offset = co_next_entry(s, offset, by_chain);
        if (!offset) {
            break;
        }
        if (!fat_entry_co_read(s, offset / EXFAT_ENTRY_BYTES, entry, errp)) {
            return false;
        }
        if (!exfat_set_add(set, entry)) {
            break;
        }
    }
    if (set->count < set->needed) {
        fat_error(s, errp, EMBR_ERROR_CORRUPT, set->offset,
                  "inode %" PRIu64 " has %u of its %u directory entries",
                  set->offset / EXFAT_ENTRY_BYTES, set->count, set->needed);
        return false;
    }
    return exfat_set_check(s, set, errp);
}

static bool coroutine_fn co_read_file(FatState *s, FsIno ino, FatFile *file,
                                      GError **errp)
{
    g_autofree ExfatSet *set = g_new(ExfatSet, 1);
    uint8_t entry[EXFAT_ENTRY_BYTES];

    if (!fat_entry_co_read(s, ino, entry, errp)) {
        return false;
    }
    if (entry[0] != EXFAT_ENTRY_FILE) {
        fat_error(s, errp, EMBR_ERROR_CORRUPT, ino * EXFAT_ENTRY_BYTES,
                  "inode %" PRIu64 " is no file's directory entry", ino);
        return false;
    }
    exfat_set_start(set, entry, ino * EXFAT_ENTRY_BYTES);
    if (!co_collect(s, set, true, NULL) && !co_collect(s, set, false, errp)) {
        return false;
    }
    exfat_set_file(s, set, file);
    return true;
}

const FatKind exfat_kind = {
    .name = "exFAT",
    .dir_bytes_max = EXFAT_DIR_BYTES_MAX,
    .co_read_file = co_read_file,
    .co_read_dir = co_read_dir,
    .is_subdir = is_subdir,
    .co_is_used = exfat_bitmap_co_is_used,
};
