/*
 * Two manifests side by side.
 */
#include "engram/diff-merge.h"

#include <sys/stat.h>

#include "engram/walk-order.h"
#include "util/error.h"

/* Where a side has got to. */
typedef struct Side {
    EngramCatalog *catalog;
    EngramFileIter iter;
    EngramFileInfo info;
    bool has;                       /* info is the next entry */
    GString *before;                /* the relative path before it; for the order */
    bool has_before;
} Side;

typedef struct Merge {
    Side side[DIFF_SIDES];
    DiffRecords *records;
    GHashTable *links[DIFF_SIDES];  /* LinkKey -> Link: files with names beyond the first */
    GString *path;
    bool as_one;                    /* parts are compared: volumes do not matter */
} Merge;

typedef struct LinkKey {
    uint64_t ino;
    uint32_t volume;                /* index in the manifest */
} LinkKey;

/* What the first of a file's names tells. */
typedef struct Link {
    LinkKey key;
    bool has_digest, is_known;
    uint8_t digest[ENGRAM_DIGEST_BYTES];
    uint64_t number;                /* of the entry with the digest */
    uint64_t first_name;            /* sum of the first path that is compared */
} Link;

/* A volume of either side; the ranges are of entries. */
typedef struct VolumeRange {
    const char *folder;
    uint64_t first, count;
} VolumeRange;

static guint link_hash(gconstpointer key)
{
    const LinkKey *k = key;

    return (guint)(k->ino ^ k->ino >> 32) * 31 + k->volume;
}

static gboolean link_equal(gconstpointer a, gconstpointer b)
{
    const LinkKey *ka = a, *kb = b;

    return ka->ino == kb->ino && ka->volume == kb->volume;
}

static uint64_t path_sum(const char *path)
{
    uint64_t sum = engram_checksum(path, strlen(path));

    return sum ? sum : 1;
}

/* The path of an entry from where the comparison begins. */
static const char *relative_path(const Side *s, const EngramFileInfo *info)
{
    const char *path = info->path + s->catalog->base_bytes;

    return *path == '/' ? path + 1 : path;
}

static bool coroutine_fn co_next(Side *s, GError **errp)
{
    int ret = engram_file_iter_co_next(&s->iter, &s->info, errp);

    s->has = ret > 0;
    if (ret <= 0) {
        return ret == 0;
    }
    const char *path = relative_path(s, &s->info);
    if (s->has_before && walk_order_compare(s->before->str, path) >= 0) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%s: '%s' does not follow '%s' in byte order, as in directories of "
                    "more than a million names: this cannot be compared",
                    s->catalog->image, path, s->before->str);
        return false;
    }
    g_string_assign(s->before, path);
    s->has_before = true;
    return true;
}

static bool coroutine_fn co_begin(Side *s, const VolumeRange *range, GError **errp)
{
    engram_file_iter_clear(&s->iter);
    engram_file_iter_init(&s->iter, s->catalog->manifest, range->first, range->count);
    s->has_before = false;
    return co_next(s, errp);
}

static bool fill_file(Merge *m, unsigned side, DiffFile *f, GError **errp)
{
    const Side *s = &m->side[side];
    const EngramFileInfo *info = &s->info;
    const EngramManifestVolume *volume = &s->catalog->manifest->volumes[info->volume];
    const char *slash = strrchr(info->path, '/');

    *f = (DiffFile){
        .volume = info->volume,
        .mode = info->mode,
        .uid = info->uid,
        .gid = info->gid,
        .number = info->number,
        .ino = info->ino,
        .size = info->size,
        .name_sum = path_sum(slash ? slash + 1 : info->path),
        .mtime_sec = info->mtime_sec,
        .mtime_nsec = info->mtime_nsec,
        .is_link = info->flags & ENGRAM_FILE_HARD_LINK,
        .has_digest = info->digest != NULL,
        .has_attributes = info->attributes != NULL,
    };
    if (info->digest) {
        memcpy(f->digest, info->digest, ENGRAM_DIGEST_BYTES);
    }
    if (info->attributes) {
        memcpy(f->attributes, info->attributes, ENGRAM_DIGEST_BYTES);
    }
    if (!*info->path && !m->as_one) {
        memcpy(f->filesystem, volume->fs_type, sizeof(f->filesystem));
    }
    g_string_truncate(m->path, 0);
    engram_catalog_append_path(s->catalog, info, m->path);
    return diff_records_add_path(m->records, m->path->str, &f->path, errp);
}

static void note_link(Merge *m, unsigned side, const DiffFile *f)
{
    Link link = { .key = { f->ino, f->volume } };

    if (f->is_link && !g_hash_table_contains(m->links[side], &link.key)) {
        Link *copy = g_memdup2(&link, sizeof(link));

        g_hash_table_insert(m->links[side], &copy->key, copy);
    }
}

static bool record_single(Merge *m, unsigned side, GError **errp)
{
    DiffRecord record = {
        .kind = side ? ENGRAM_DIFF_ADDED : ENGRAM_DIFF_REMOVED,
        .has = { !side, side },
    };

    if (!fill_file(m, side, &record.file[side], errp)) {
        return false;
    }
    record.pending = record.file[side].is_link;
    note_link(m, side, &record.file[side]);
    return diff_records_add(m->records, &record, errp);
}

/* Whether the two entries may differ, which is to be found out in full; most do not. */
static bool may_differ(const EngramFileInfo *a, const EngramFileInfo *b)
{
    if (a->mode != b->mode || a->uid != b->uid || a->gid != b->gid ||
        a->mtime_sec != b->mtime_sec || a->mtime_nsec != b->mtime_nsec ||
        !a->attributes || !b->attributes ||
        memcmp(a->attributes, b->attributes, ENGRAM_DIGEST_BYTES) != 0) {
        return true;
    }
    if (S_ISDIR(a->mode)) {
        return !*a->path || !*b->path;
    }
    if (!a->digest || !b->digest) {
        return S_ISREG(a->mode) || S_ISLNK(a->mode) || a->digest || b->digest;
    }
    return memcmp(a->digest, b->digest, ENGRAM_DIGEST_BYTES) != 0;
}

static bool record_both(Merge *m, GError **errp)
{
    DiffRecord record = { .has = { true, true } };

    for (unsigned i = 0; i < DIFF_SIDES; i++) {
        if (!fill_file(m, i, &record.file[i], errp)) {
            return false;
        }
        note_link(m, i, &record.file[i]);
        record.pending = record.pending || record.file[i].is_link;
    }
    diff_compare_files(&record);
    return (record.gone && !record.pending) || diff_records_add(m->records, &record, errp);
}

/* Goes past what is below two directories of equal digest. */
static bool skip_below(Merge *m, GError **errp)
{
    const EngramFileInfo *a = &m->side[0].info, *b = &m->side[1].info;

    if (!S_ISDIR(a->mode) || !S_ISDIR(b->mode) || !a->digest || !b->digest ||
        a->below != b->below ||
        memcmp(a->digest, b->digest, ENGRAM_DIGEST_BYTES) != 0) {
        return true;
    }
    return engram_file_iter_skip(&m->side[0].iter, a->below, errp) &&
           engram_file_iter_skip(&m->side[1].iter, b->below, errp);
}

static bool coroutine_fn co_merge_step(Merge *m, GError **errp)
{
    Side *a = &m->side[0], *b = &m->side[1];
    int order = !a->has ? 1 : !b->has ? -1 : 0;

    if (!order) {
        order = walk_order_compare(relative_path(a, &a->info), relative_path(b, &b->info));
    }
    if (order) {
        unsigned side = order > 0;

        return record_single(m, side, errp) && co_next(&m->side[side], errp);
    }
    if (may_differ(&a->info, &b->info) && !record_both(m, errp)) {
        return false;
    }
    return skip_below(m, errp) && co_next(a, errp) && co_next(b, errp);
}

static bool coroutine_fn co_merge_ranges(Merge *m, const VolumeRange *a,
                                         const VolumeRange *b, GError **errp)
{
    if (!co_begin(&m->side[0], a, errp) || !co_begin(&m->side[1], b, errp)) {
        return false;
    }
    while (m->side[0].has || m->side[1].has) {
        if (!co_merge_step(m, errp)) {
            return false;
        }
    }
    return true;
}

static gint compare_ranges(gconstpointer a, gconstpointer b)
{
    const VolumeRange *ra = a, *rb = b;

    int order = strcmp(ra->folder, rb->folder);

    return order ? order : (ra->first > rb->first) - (ra->first < rb->first);
}

/* The volumes in order of their folders, or all of what is narrowed as one. */
static GArray *list_ranges(const EngramCatalog *c, bool as_one)
{
    const EngramManifestReader *m = c->manifest;
    GArray *list = g_array_new(FALSE, FALSE, sizeof(VolumeRange));

    if (as_one) {
        VolumeRange all = { "", c->first, c->count };

        g_array_append_val(list, all);
        return list;
    }
    for (uint32_t i = 0; i < m->n_volumes; i++) {
        VolumeRange range = {
            .folder = engram_catalog_folder(c, i),
            .first = le64_get(m->volumes[i].first),
            .count = le64_get(m->volumes[i].entries),
        };
        g_array_append_val(list, range);
    }
    g_array_sort(list, compare_ranges);
    return list;
}

static const VolumeRange *range_at(const GArray *list, guint i)
{
    return i < list->len ? &g_array_index(list, VolumeRange, i) : NULL;
}

static bool coroutine_fn co_merge_volumes(Merge *m, GError **errp)
{
    const EngramCatalog *a = m->side[0].catalog, *b = m->side[1].catalog;
    g_autoptr(GArray) as = list_ranges(a, m->as_one);
    g_autoptr(GArray) bs = list_ranges(b, m->as_one);
    const VolumeRange none = { "", 0, 0 };
    guint i = 0, j = 0;

    while (i < as->len || j < bs->len) {
        const VolumeRange *ra = range_at(as, i), *rb = range_at(bs, j);
        int order = !ra ? 1 : !rb ? -1 : strcmp(ra->folder, rb->folder);
        bool first = order <= 0, second = order >= 0;

        if (!co_merge_ranges(m, first ? ra : &none, second ? rb : &none, errp)) {
            return false;
        }
        i += first;
        j += second;
    }
    return true;
}

static bool is_compared(const EngramCatalog *c, uint64_t number)
{
    return number >= c->first && number - c->first < c->count;
}

/* Goes through a manifest once more for what the names before a link tell. */
static bool coroutine_fn co_find_links(Merge *m, unsigned side, GError **errp)
{
    Side *s = &m->side[side];
    EngramCatalog *c = s->catalog;
    g_auto(EngramFileIter) iter;
    EngramFileInfo info;
    int ret;

    engram_file_iter_init(&iter, c->manifest, 0, UINT64_MAX);
    if (!g_hash_table_size(m->links[side])) {
        return true;
    }
    while ((ret = engram_file_iter_co_next(&iter, &info, errp)) > 0) {
        LinkKey key = { info.ino, info.volume };
        Link *link = S_ISREG(info.mode) ? g_hash_table_lookup(m->links[side], &key) : NULL;

        if (!link) {
            continue;
        }
        if (!link->first_name && is_compared(c, info.number)) {
            link->first_name = path_sum(relative_path(s, &info));
        }
        if (!link->is_known && !(info.flags & ENGRAM_FILE_HARD_LINK)) {
            link->is_known = true;
            link->number = info.number;
            link->has_digest = info.digest != NULL;
            if (info.digest) {
                memcpy(link->digest, info.digest, ENGRAM_DIGEST_BYTES);
            }
        }
    }
    return ret == 0;
}

/* The path from where the comparison begins, again, of one that is shown. */
static uint64_t shown_sum(const EngramCatalog *c, uint32_t volume, const char *shown)
{
    size_t skip = strlen(c->base);

    if (!c->is_part && *engram_catalog_folder(c, volume)) {
        skip += strlen("/") + strlen(engram_catalog_folder(c, volume));
    }
    shown += MIN(skip, strlen(shown));
    return path_sum(*shown == '/' ? shown + 1 : shown);
}

static bool settle_file(Merge *m, unsigned side, DiffFile *f, GError **errp)
{
    const EngramCatalog *c = m->side[side].catalog;
    LinkKey key = { f->ino, f->volume };
    const Link *link = S_ISREG(f->mode) ? g_hash_table_lookup(m->links[side], &key) : NULL;

    if (!link || !f->is_link) {
        return true;
    }
    g_autofree char *shown = diff_records_path(m->records, f->path, errp);
    if (!shown) {
        return false;
    }
    f->number = link->number;
    f->has_digest = link->has_digest;
    memcpy(f->digest, link->digest, ENGRAM_DIGEST_BYTES);
    if (link->first_name != shown_sum(c, f->volume, shown)) {
        f->first_name = link->first_name;
    }
    return true;
}

/* Hard links get the content of their file, and what waited for it is decided. */
static bool settle_links(Merge *m, GError **errp)
{
    for (uint64_t i = 0; i < diff_records_count(m->records); i++) {
        DiffRecord record;

        if (!diff_records_load(m->records, i, &record, errp)) {
            return false;
        }
        if (!record.pending) {
            continue;
        }
        record.pending = false;
        for (unsigned side = 0; side < DIFF_SIDES; side++) {
            if (record.has[side] && !settle_file(m, side, &record.file[side], errp)) {
                return false;
            }
        }
        if (record.has[0] && record.has[1]) {
            diff_compare_files(&record);
        }
        if (!diff_records_store(m->records, i, &record, errp)) {
            return false;
        }
    }
    return true;
}

bool coroutine_fn diff_merge_co_run(EngramCatalog *a, EngramCatalog *b,
                                    DiffRecords *records, GError **errp)
{
    Merge m = {
        .side = { { .catalog = a }, { .catalog = b } },
        .records = records,
        .path = g_string_new(NULL),
        .as_one = a->is_part || b->is_part,
    };

    for (unsigned i = 0; i < DIFF_SIDES; i++) {
        m.side[i].before = g_string_new(NULL);
        m.links[i] = g_hash_table_new_full(link_hash, link_equal, NULL, g_free);
    }
    bool ok = co_merge_volumes(&m, errp) && co_find_links(&m, 0, errp) &&
              co_find_links(&m, 1, errp) &&
              (!(g_hash_table_size(m.links[0]) || g_hash_table_size(m.links[1])) ||
               settle_links(&m, errp));
    for (unsigned i = 0; i < DIFF_SIDES; i++) {
        engram_file_iter_clear(&m.side[i].iter);
        g_string_free(m.side[i].before, TRUE);
        g_hash_table_unref(m.links[i]);
    }
    g_string_free(m.path, TRUE);
    return ok;
}
