/*
 * Vectors of directories, beside their entries.
 */
#include "engram/directory-iter.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "engram/walk-order.h"
#include "util/error.h"

static bool check_vectors(const EngramCatalog *c, GError **errp)
{
    g_autofree char *why = engram_catalog_why_unlike(c);

    if (!why) {
        return true;
    }
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED, "%s", why);
    return false;
}

bool coroutine_fn directory_iter_co_init(DirectoryIter *it, EngramCatalog *catalog,
                                         GError **errp)
{
    *it = (DirectoryIter){ .catalog = catalog, .folder = "" };
    it->path = g_string_new(NULL);
    engram_file_iter_init(&it->files, catalog->manifest, 0, UINT64_MAX);
    engram_vector_iter_init(&it->vectors, catalog->manifest);
    return check_vectors(catalog, errp);
}

void directory_iter_clear(DirectoryIter *it)
{
    engram_file_iter_clear(&it->files);
    engram_vector_iter_clear(&it->vectors);
    if (it->path) {
        g_string_free(it->path, TRUE);
        it->path = NULL;
    }
}

/* Partitions by number, then logical volumes by name: as manifests have them. */
static int compare_folders(const char *a, const char *b)
{
    char *end_a, *end_b;
    unsigned long na = *a == 'p' ? strtoul(a + 1, &end_a, 10) : 0;
    unsigned long nb = *b == 'p' ? strtoul(b + 1, &end_b, 10) : 0;
    bool number_a = na && !*end_a, number_b = nb && !*end_b;

    if (number_a != number_b) {
        return number_a ? -1 : 1;
    }
    if (number_a && na != nb) {
        return na < nb ? -1 : 1;
    }
    return strcmp(a, b);
}

int directory_iter_compare(const DirectoryIter *a, const DirectoryIter *b)
{
    int order = compare_folders(a->folder, b->folder);

    return order ? order : walk_order_compare(a->path->str, b->path->str);
}

static GError *corrupt(const DirectoryIter *it, const char *text)
{
    const EngramManifestReader *m = it->catalog->manifest;

    return g_error_new(EMBR_ERROR, EMBR_ERROR_CORRUPT,
                       "%s: page of vectors at offset 0x%" PRIx64 ": %s",
                       bdrv_filename(m->file->file),
                       le64_get(m->vector_pages[it->vectors.page].ref.offset), text);
}

/* Goes on with files up to the one that the vector belongs to. */
static bool coroutine_fn co_find_file(DirectoryIter *it, uint64_t entry, GError **errp)
{
    if (it->has_file && entry <= it->file.number) {
        g_propagate_error(errp, corrupt(it, "its entries are not in order"));
        return false;
    }
    uint64_t next = it->has_file ? it->file.number + 1 : 0;
    it->has_file = engram_file_iter_skip(&it->files, entry - next, errp) &&
                   engram_file_iter_co_next(&it->files, &it->file, errp) > 0;
    return it->has_file;
}

static bool unpack(DirectoryIter *it, const EngramVectorInfo *info, GError **errp)
{
    const char *reason;

    if (hypervec_unpack(vector_space(), it->vector, info->packed, info->bytes, &reason)) {
        return true;
    }
    g_propagate_error(errp, corrupt(it, reason));
    return false;
}

/* What comes before is kept for a moment, to see that the order is right. */
static bool take_directory(DirectoryIter *it, GError **errp)
{
    const char *folder = engram_catalog_folder(it->catalog, it->file.volume);
    int order = it->has ? compare_folders(it->folder, folder) : -1;

    if (!order) {
        order = walk_order_compare(it->path->str, it->file.path);
    }
    if (order >= 0) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%s: '%s' of %s does not follow '%s' of %s in byte order, as in "
                    "directories of more than a million names: this cannot be compared",
                    it->catalog->image, it->file.path, folder, it->path->str, it->folder);
        return false;
    }
    it->has = true;
    it->folder = folder;
    g_string_assign(it->path, it->file.path);
    return true;
}

bool coroutine_fn directory_iter_co_next(DirectoryIter *it, GError **errp)
{
    EngramVectorInfo info;
    int ret;

    while ((ret = engram_vector_iter_co_next(&it->vectors, &info, errp)) > 0) {
        if (info.entry == ENGRAM_VECTOR_OF_IMAGE) {
            it->has = false;
            return unpack(it, &info, errp);
        }
        if (!co_find_file(it, info.entry, errp)) {
            return false;
        }
        if (S_ISDIR(it->file.mode)) {
            return take_directory(it, errp) && unpack(it, &info, errp);
        }
    }
    it->has = false;
    memset(it->vector, 0, sizeof(it->vector));
    return ret == 0;
}
