/* Directories: records one after the other, none of which crosses the end of a sector.
 */
#include <dirent.h>
#include "iso9660.h"

enum { BATCH_BYTES = 64 * 1024 };

static uint8_t type_of(const IsoRecord *record)
{
    if (iso_record_is_directory(record) || record->rock.child) {
        return DT_DIR;
    }
    return record->rock.has_posix ? IFTODT(record->rock.mode) : DT_REG;
}

static void add(IsoState *s, const IsoRecord *record, FsDirBatch *batch)
{
    g_autoptr(GString) plain = NULL;
    const GString *name = record->rock.name;

    if (!record->rock.has_name) {
        plain = g_string_new(NULL);
        if (s->tree == ISO_TREE_JOLIET) {
            iso_joliet_name(record->name, record->head.name_bytes, plain);
        } else if (s->tree == ISO_TREE_ENHANCED) {
            iso_enhanced_name(record->name, record->head.name_bytes, plain);
        } else {
            iso_plain_name(record->name, record->head.name_bytes, plain);
        }
        name = plain;
    }
    fs_dir_batch_add(batch, iso_record_ino(record), type_of(record), name->str,
                     name->len);
}

/* The directory's size, by its own record. */
static bool coroutine_fn find_size(IsoState *s, FsIno dir, uint32_t *bytes,
                                   GError **errp)
{
    g_auto(IsoRecord) record = {0};

    iso_record_init(&record);
    if (!iso_record_co_get(s, dir, &record, errp)) {
        return false;
    }
    if (!record.head.bytes || !iso_record_is_directory(&record) ||
        record.content != dir) {
        iso_error(s, errp, EMBR_ERROR_CORRUPT, dir,
                  "inode %" PRIu64 " is not a directory", dir);
        return false;
    }
    *bytes = record.content_bytes;
    return true;
}

/* Behind damage the next record, or the next sector, begins anew; not with further
 * pieces of a file whose first one is lost. */
static bool coroutine_fn skip_damage(IsoState *s, FsDirBatch *batch, IsoRecord *record,
                                     FsIno dir, uint32_t bytes)
{
    batch->cursor = iso_record_next(record) - dir;
    while (record->head.bytes && record->head.flags & ISO_FLAG_GOES_ON &&
           batch->cursor < bytes) {
        iso_record_co_get(s, dir + batch->cursor, record, NULL);
        batch->cursor = iso_record_next(record) - dir;
    }
    batch->eof = batch->cursor >= bytes;
    return false;
}

bool coroutine_fn iso_dir_co_read(IsoState *s, FsIno dir, FsDirBatch *batch,
                                  GError **errp)
{
    g_auto(IsoRecord) record = {0};
    uint64_t pos = batch->cursor;
    uint64_t end = pos + BATCH_BYTES;
    bool goes_on = false;
    uint32_t bytes;

    iso_record_init(&record);
    if (!find_size(s, dir, &bytes, errp)) {
        return false;
    }
    while (pos < bytes && (pos < end || goes_on)) {
        if (!iso_record_co_get(s, dir + pos, &record, errp)) {
            g_prefix_error(errp, "directory inode %" PRIu64 ": ", dir);
            return skip_damage(s, batch, &record, dir, bytes);
        }
        pos = iso_record_next(&record) - dir;
        if (!record.head.bytes) {
            continue;
        }
        if (!goes_on && !iso_record_is_dot(&record) && !record.rock.is_relocated &&
            !(record.head.flags & ISO_FLAG_ASSOCIATED)) {
            add(s, &record, batch);
        }
        goes_on = record.head.flags & ISO_FLAG_GOES_ON;
    }
    batch->cursor = pos;
    batch->eof = pos >= bytes;
    return true;
}
