/*
 * What is looked for: a content, or a directory of them.
 */
#include "engram/query-int.h"

#include "engram/manifest.h"
#include "engram/query-scan.h"
#include "engram/sink-read.h"
#include "engram/sink-unit.h"
#include "util/error.h"

G_STATIC_ASSERT((int)ENGRAM_QUERY_PIECE_BYTES == SINK_SEGMENT_BYTES);

void query_sum_free(gpointer data)
{
    QuerySum *sum = data;

    content_sum_free(sum->content);
    g_free(sum);
}

static void coroutine_fn co_add(EngramQuery *q, const void *data, uint32_t bytes,
                                uint64_t address)
{
    for (guint i = 0; i < q->sums->len; i++) {
        content_sum_co_add(query_sum(q, i)->content, data, bytes, address);
    }
}

void coroutine_fn engram_query_co_add_content(EngramQuery *q, const void *data,
                                              uint32_t bytes)
{
    co_add(q, data, bytes, q->size);
    q->size += bytes;
}

bool coroutine_fn engram_query_co_add_file(EngramQuery *q, Filesystem *fs, FsIno ino,
                                           uint64_t size, GError **errp)
{
    g_autofree uint8_t *buf = g_malloc(MIN(size, ENGRAM_QUERY_PIECE_BYTES));

    q->size = size;
    for (uint64_t pos = 0; pos < size;) {
        if (!sink_co_skip_holes(fs, ino, size, &pos, errp)) {
            return false;
        }
        uint32_t n = MIN(size - pos, ENGRAM_QUERY_PIECE_BYTES);
        if (!fs_co_read(fs, ino, pos, n, buf, errp)) {
            return false;
        }
        co_add(q, buf, n, pos);
        pos += n;
    }
    return true;
}

/* The vector of the content so far; all zero if there is none. */
static void coroutine_fn co_sum_up(const EngramQuery *q, uint64_t *vector)
{
    const VectorCounts *counts =
        q->sums->len ? content_sum_co_counts(query_sum(q, 0)->content, q->size) : NULL;

    memset(vector, 0, sizeof(q->vector));
    if (counts) {
        hypervec_threshold(vector_space(), vector, counts->trits,
                           hypervec_active_default(vector_space()));
    }
}

/* Begins another content. */
static void reset_content(EngramQuery *q)
{
    for (guint i = 0; i < q->sums->len; i++) {
        QuerySum *sum = query_sum(q, i);

        content_sum_free(sum->content);
        sum->content = content_sum_new(&sum->chunker);
    }
    q->size = 0;
}

/* The file that came last is complete. */
static bool coroutine_fn co_finish_entry(EngramQuery *q, GError **errp)
{
    g_autofree char *path = g_steal_pointer(&q->entry);
    uint64_t vector[HYPERVEC_WORDS(VECTOR_DIMENSION)];
    uint8_t packed[VECTOR_PACKED_BYTES_MAX];

    if (!path) {
        return true;
    }
    co_sum_up(q, vector);
    size_t bytes = hypervec_active(vector_space(), vector)
                       ? hypervec_pack(vector_space(), packed, vector) : 0;
    reset_content(q);
    return tree_vectors_add(q->tree, q->n_entries++, path, false, packed, bytes, errp);
}

static bool ignore_vector(uint64_t number, const uint8_t *packed, size_t bytes,
                          void *opaque, GError **errp)
{
    return true;
}

bool coroutine_fn engram_query_co_add_entry(EngramQuery *q, const char *path,
                                            bool is_directory, GError **errp)
{
    if (!q->tree) {
        q->tree = tree_vectors_new(ignore_vector, NULL);
    }
    if (!co_finish_entry(q, errp)) {
        return false;
    }
    if (is_directory) {
        return tree_vectors_add(q->tree, q->n_entries++, path, true, NULL, 0, errp);
    }
    q->entry = g_strdup(path);
    return true;
}

/* The directory of that path, from the root.  1, 0: it is not there, -1 and an error. */
static int coroutine_fn co_find_directory(EngramManifestReader *m, const char *path,
                                          EngramFileIter *it, EngramFileInfo *info,
                                          GError **errp)
{
    g_autoptr(GString) shown = g_string_new(NULL);
    int ret;

    while ((ret = engram_file_iter_co_next(it, info, errp)) > 0) {
        query_set_path(shown, m, info);
        if (S_ISDIR(info->mode) &&
            strcmp(path, strcmp(shown->str, "/") == 0 ? "" : shown->str) == 0) {
            break;
        }
    }
    return ret;
}

/* The vector of an entry into q.  1, 0: it has none, -1 and an error. */
static int coroutine_fn co_take_vector(EngramQuery *q, EngramManifestReader *m,
                                       uint64_t entry, GError **errp)
{
    g_auto(EngramVectorIter) it;
    EngramVectorInfo info;
    const char *reason;
    int ret;

    engram_vector_iter_init(&it, m);
    while ((ret = engram_vector_iter_co_next(&it, &info, errp)) > 0) {
        if (info.entry == entry) {
            break;
        }
    }
    if (ret > 0 &&
        !hypervec_unpack(vector_space(), q->vector, info.packed, info.bytes, &reason)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: vector of file %" PRIu64 ": %s", bdrv_filename(m->file->file),
                    entry, reason);
        return -1;
    }
    return ret;
}

int coroutine_fn engram_query_co_add_known(EngramQuery *q, EngramFile *f,
                                           const EngramImage *image, const char *path,
                                           GError **errp)
{
    g_autoptr(EngramManifestReader) m =
        engram_ref_is_none(&image->manifest) ? NULL
                                             : engram_manifest_co_open(f, image, errp);
    g_auto(EngramFileIter) it = { 0 };
    EngramFileInfo info;
    int ret;

    if (!m) {
        return engram_ref_is_none(&image->manifest) ? 0 : -1;
    }
    if (m->hypervector_dimension != VECTOR_DIMENSION ||
        m->hypervector_encoding != HYPERVEC_ENCODING) {
        return 0;
    }
    engram_file_iter_init(&it, m, 0, UINT64_MAX);
    ret = co_find_directory(m, path, &it, &info, errp);
    if (ret <= 0) {
        return ret;
    }
    q->has_digest = info.digest != NULL;
    if (q->has_digest) {
        memcpy(q->digest, info.digest, sizeof(q->digest));
    }
    q->known = true;
    return co_take_vector(q, m, info.number, errp) < 0 ? -1 : 1;
}

/* Why there is no vector. */
static const char *what_is_missing(const EngramQuery *q)
{
    if (query_is_directory(q)) {
        return "the directory has no file with anything but zeroes in it: none";
    }
    return q->size ? "the content has nothing but zeroes in it: no file"
                   : "the content is empty: no file";
}

bool coroutine_fn query_co_finish_content(EngramQuery *q, GError **errp)
{
    uint8_t packed[VECTOR_PACKED_BYTES_MAX];
    size_t bytes = 0;

    if (q->tree) {
        if (!co_finish_entry(q, errp) ||
            !tree_vectors_finish(q->tree, packed, &bytes, errp)) {
            return false;
        }
        if (bytes) {
            bool ok = hypervec_unpack(vector_space(), q->vector, packed, bytes, NULL);
            g_assert(ok);
        }
    } else if (!q->known) {
        co_sum_up(q, q->vector);
    }
    if (!hypervec_active(vector_space(), q->vector)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID, "%s is like it",
                    what_is_missing(q));
        return false;
    }
    return true;
}

bool query_digest(const EngramQuery *q, const QuerySum *sum,
                  uint8_t digest[ENGRAM_DIGEST_BYTES])
{
    if (!query_is_directory(q)) {
        content_sum_digest(sum->content, q->size, digest);
        return true;
    }
    memcpy(digest, q->digest, ENGRAM_DIGEST_BYTES);
    return q->has_digest;
}
