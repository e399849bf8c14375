/*
 * From what is in two manifests to what differs between the images.
 */
#include "engram/diff.h"

#include <sys/stat.h>

#include "engram/diff-merge.h"
#include "engram/diff-renames.h"
#include "util/error.h"
#include "util/record-sorter.h"

enum { SORT_BYTES = 8 << 20 };

/* A vector that is wanted: that of a manifest's entry, for a record. */
typedef struct Wanted {
    uint64_t entry, record;
} Wanted;

void engram_diff_result_clear(EngramDiffResult *result)
{
    g_clear_pointer(&result->no_likeness, g_free);
    g_clear_pointer(&result->no_renames, g_free);
}

static int compare_wanted(const void *a, const void *b)
{
    const Wanted *wa = a, *wb = b;

    return (wa->entry > wb->entry) - (wa->entry < wb->entry);
}

static bool wants_vector(const DiffRecord *record, unsigned side)
{
    const DiffFile *f = &record->file[side];

    if (record->gone || !record->has[side] || !S_ISREG(f->mode) || !f->size) {
        return false;
    }
    return !record->has[!side] || (record->kind == ENGRAM_DIFF_MODIFIED &&
                                   record->aspects & ENGRAM_DIFF_CONTENT);
}

static bool list_wanted(DiffRecords *records, unsigned side, RecordSorter *wanted,
                        GError **errp)
{
    for (uint64_t i = 0; i < diff_records_count(records); i++) {
        DiffRecord record;

        if (!diff_records_load(records, i, &record, errp)) {
            return false;
        }
        Wanted w = { record.file[side].number, i };
        if (wants_vector(&record, side) && !record_sorter_add(wanted, &w, errp)) {
            return false;
        }
    }
    return record_sorter_finish(wanted, errp);
}

static bool take_vector(EngramVectorIter *it, const EngramVectorInfo *info,
                        DiffVector vector, GError **errp)
{
    EngramManifestReader *m = it->m;
    const char *reason;

    if (hypervec_unpack(vector_space(), vector, info->packed, info->bytes, &reason)) {
        return true;
    }
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                "%s: page of vectors at offset 0x%" PRIx64
                ": hypervector of entry %" PRIu64 ": %s",
                bdrv_filename(m->file->file),
                le64_get(m->vector_pages[it->page].ref.offset), info->entry, reason);
    return false;
}

/* Gives each record that wants one the vector of its entry. */
static bool coroutine_fn co_load_vectors(const EngramCatalog *c, DiffRecords *records,
                                         unsigned side, GError **errp)
{
    g_autoptr(RecordSorter) wanted =
        record_sorter_new(sizeof(Wanted), compare_wanted, SORT_BYTES, NULL);
    g_auto(EngramVectorIter) it;
    EngramVectorInfo info;
    DiffVector vector;
    Wanted w;
    int more, ret = 0;

    engram_vector_iter_init(&it, c->manifest);
    if (!list_wanted(records, side, wanted, errp)) {
        return false;
    }
    more = record_sorter_next(wanted, &w, errp);
    while (more > 0 && (ret = engram_vector_iter_co_next(&it, &info, errp)) > 0) {
        bool taken = false;

        while (more > 0 && w.entry < info.entry) {
            more = record_sorter_next(wanted, &w, errp);
        }
        while (more > 0 && w.entry == info.entry) {
            if ((!taken && !take_vector(&it, &info, vector, errp)) ||
                !diff_records_set_vector(records, w.record, side, vector, errp)) {
                return false;
            }
            taken = true;
            more = record_sorter_next(wanted, &w, errp);
        }
    }
    return more >= 0 && ret >= 0;
}

static bool measure_modified(DiffRecords *records, GError **errp)
{
    const HypervecSpace *space = vector_space();

    for (uint64_t i = 0; i < diff_records_count(records); i++) {
        DiffRecord record;
        DiffVector a, b;

        if (!diff_records_load(records, i, &record, errp)) {
            return false;
        }
        if (record.gone || !record.has[0] || !record.has[1] ||
            !(record.aspects & ENGRAM_DIFF_CONTENT) ||
            record.kind != ENGRAM_DIFF_MODIFIED) {
            continue;
        }
        if (!diff_records_vector(records, i, 0, a, errp) ||
            !diff_records_vector(records, i, 1, b, errp)) {
            return false;
        }
        record.has_similarity = true;
        record.similarity = MAX(hypervec_similarity(space, a, b), 0);
        if (!diff_records_store(records, i, &record, errp)) {
            return false;
        }
    }
    return true;
}

static bool coroutine_fn co_find_alike(EngramCatalog *const catalogs[DIFF_SIDES],
                                       const EngramDiffOptions *options,
                                       DiffRecords *records, EngramDiffResult *result,
                                       GError **errp)
{
    DiffRenames renames = {
        .records = records,
        .min_similarity = options->min_similarity,
        .shortened = &result->no_renames,
    };

    for (unsigned i = 0; i < DIFF_SIDES && !result->no_likeness; i++) {
        result->no_likeness = engram_catalog_why_unlike(catalogs[i]);
    }
    renames.by_likeness = !result->no_likeness;
    if (renames.by_likeness &&
        !(co_load_vectors(catalogs[0], records, 0, errp) &&
          co_load_vectors(catalogs[1], records, 1, errp) &&
          measure_modified(records, errp))) {
        return false;
    }
    return options->no_renames || diff_renames_co_find(&renames, errp);
}

static bool load_file(DiffRecords *records, const DiffFile *f, EngramDiffFile *out,
                      GError **errp)
{
    *out = (EngramDiffFile){
        .path = diff_records_path(records, f->path, errp),
        .mode = f->mode,
        .uid = f->uid,
        .gid = f->gid,
        .size = f->size,
        .mtime_sec = f->mtime_sec,
        .mtime_nsec = f->mtime_nsec,
    };
    return out->path != NULL;
}

static bool hand_over(DiffRecords *records, const DiffRecord *record,
                      EngramDiffFunc *func, void *opaque, GError **errp)
{
    EngramDiffFile files[DIFF_SIDES] = { { 0 } };
    EngramDiffChange change = {
        .kind = record->kind,
        .aspects = record->aspects,
        .has_similarity = record->has_similarity,
        .similarity = record->similarity,
        .before = record->has[0] ? &files[0] : NULL,
        .after = record->has[1] ? &files[1] : NULL,
    };
    bool ok = true;

    for (unsigned i = 0; ok && i < DIFF_SIDES; i++) {
        ok = !record->has[i] || load_file(records, &record->file[i], &files[i], errp);
    }
    ok = ok && func(&change, opaque, errp);
    g_free(files[0].path);
    g_free(files[1].path);
    return ok;
}

static bool hand_over_all(DiffRecords *records, EngramDiffFunc *func, void *opaque,
                          EngramDiffResult *result, GError **errp)
{
    for (uint64_t i = 0; i < diff_records_count(records); i++) {
        DiffRecord record;

        if (!diff_records_load(records, i, &record, errp)) {
            return false;
        }
        if (record.gone) {
            continue;
        }
        result->files[record.kind]++;
        if (!hand_over(records, &record, func, opaque, errp)) {
            return false;
        }
    }
    return true;
}

static bool is_bare(const EngramCatalog *c)
{
    const EngramManifestReader *m = c->manifest;

    return m->n_volumes == 1 && !*engram_catalog_folder(c, 0);
}

static bool check_parts(const EngramCatalog *a, const EngramCatalog *b, GError **errp)
{
    const EngramCatalog *whole = a->is_part ? b : a;

    if (a->is_part == b->is_part || is_bare(whole)) {
        return true;
    }
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                "%s has partitions: a path is needed for it, too", whole->image);
    return false;
}

bool coroutine_fn engram_diff_co_run(EngramCatalog *a, EngramCatalog *b,
                                     const EngramDiffOptions *options,
                                     EngramDiffFunc *func, void *opaque,
                                     EngramDiffResult *result, GError **errp)
{
    EngramCatalog *const catalogs[DIFF_SIDES] = { a, b };

    *result = (EngramDiffResult){ 0 };
    if (!check_parts(a, b, errp)) {
        return false;
    }
    g_autoptr(DiffRecords) records = diff_records_new(errp);
    return records && diff_merge_co_run(a, b, records, errp) &&
           co_find_alike(catalogs, options, records, result, errp) &&
           hand_over_all(records, func, opaque, result, errp);
}
