/*
 * Differences in temporary files.
 */
#include "engram/diff-records.h"

#include "util/spool.h"
#include "util/units.h"

struct DiffRecords {
    Spool *records;
    Spool *paths;                   /* each after its length (4) */
    Spool *vectors;                 /* two places for each record */
    uint64_t count;
};

DiffRecords *diff_records_new(GError **errp)
{
    g_autoptr(DiffRecords) r = g_new0(DiffRecords, 1);

    r->records = spool_new(NULL, errp);
    r->paths = r->records ? spool_new(NULL, errp) : NULL;
    r->vectors = r->paths ? spool_new(NULL, errp) : NULL;
    return r->vectors ? g_steal_pointer(&r) : NULL;
}

void diff_records_free(DiffRecords *r)
{
    if (!r) {
        return;
    }
    spool_free(r->records);
    spool_free(r->paths);
    spool_free(r->vectors);
    g_free(r);
}

bool diff_records_add_path(DiffRecords *r, const char *path, uint64_t *place,
                           GError **errp)
{
    uint32_t bytes = strlen(path);

    return spool_append(r->paths, &bytes, sizeof(bytes), place, errp) &&
           spool_append(r->paths, path, bytes, NULL, errp);
}

char *diff_records_path(DiffRecords *r, uint64_t place, GError **errp)
{
    uint32_t bytes;

    if (!spool_read(r->paths, place, &bytes, sizeof(bytes), errp)) {
        return NULL;
    }
    g_autofree char *path = g_malloc0((size_t)bytes + 1);
    return spool_read(r->paths, place + sizeof(bytes), path, bytes, errp)
               ? g_steal_pointer(&path)
               : NULL;
}

uint64_t diff_records_count(const DiffRecords *r)
{
    return r->count;
}

bool diff_records_add(DiffRecords *r, const DiffRecord *record, GError **errp)
{
    r->count++;
    return spool_append(r->records, record, sizeof(*record), NULL, errp);
}

bool diff_records_load(DiffRecords *r, uint64_t i, DiffRecord *record, GError **errp)
{
    return spool_read(r->records, i * sizeof(*record), record, sizeof(*record), errp);
}

bool diff_records_store(DiffRecords *r, uint64_t i, const DiffRecord *record,
                        GError **errp)
{
    return spool_write(r->records, i * sizeof(*record), record, sizeof(*record), errp);
}

static uint64_t vector_place(uint64_t i, unsigned side)
{
    return (DIFF_SIDES * i + side) * sizeof(DiffVector);
}

bool diff_records_set_vector(DiffRecords *r, uint64_t i, unsigned side,
                             const DiffVector vector, GError **errp)
{
    return spool_write(r->vectors, vector_place(i, side), vector, sizeof(DiffVector),
                       errp);
}

bool diff_records_vector(DiffRecords *r, uint64_t i, unsigned side, DiffVector vector,
                         GError **errp)
{
    uint64_t place = vector_place(i, side);

    if (!range_fits(place, sizeof(DiffVector), spool_size(r->vectors))) {
        memset(vector, 0, sizeof(DiffVector));
        return true;
    }
    return spool_read(r->vectors, place, vector, sizeof(DiffVector), errp);
}
