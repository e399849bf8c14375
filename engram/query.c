/*
 * What is looked for, and in which engrams.
 */
#include "engram/query.h"

#include "engram/content-sum.h"
#include "engram/query-scan.h"
#include "engram/sink-read.h"
#include "engram/sink-unit.h"
#include "util/error.h"

G_STATIC_ASSERT((int)ENGRAM_QUERY_PIECE_BYTES == SINK_SEGMENT_BYTES);

/* Digests depend on where chunks are cut, vectors do not. */
typedef struct Sum {
    Chunker chunker;
    ContentSum *content;
} Sum;

typedef struct Searched {
    EngramFile *file;
    const Sum *sum;
} Searched;

struct EngramQuery {
    unsigned n_hits;
    double min_similarity;
    char *image;
    PathMatcher *paths;             /* NULL: any */
    GPtrArray *sums;                /* of Sum: one for each way to cut */
    GArray *engrams;                /* of Searched */
    uint64_t size;                  /* of the content so far */
    uint64_t n_images;              /* searched so far */
};

static void sum_free(gpointer data)
{
    Sum *sum = data;

    content_sum_free(sum->content);
    g_free(sum);
}

EngramQuery *engram_query_new(const EngramQueryOptions *options)
{
    EngramQuery *q = g_new0(EngramQuery, 1);

    q->n_hits = options->hits;
    q->min_similarity = options->min_similarity;
    q->image = g_strdup(options->image);
    if (options->path) {
        q->paths = path_matcher_new();
        path_matcher_add(q->paths, options->path, 0);
    }
    q->sums = g_ptr_array_new_with_free_func(sum_free);
    q->engrams = g_array_new(FALSE, FALSE, sizeof(Searched));
    return q;
}

void engram_query_free(EngramQuery *q)
{
    if (!q) {
        return;
    }
    g_free(q->image);
    path_matcher_free(q->paths);
    g_ptr_array_unref(q->sums);
    g_array_unref(q->engrams);
    g_free(q);
}

static Sum *sum_at(const EngramQuery *q, guint i)
{
    return g_ptr_array_index(q->sums, i);
}

static Sum *find_sum(const EngramQuery *q, const ChunkerParams *params)
{
    for (guint i = 0; i < q->sums->len; i++) {
        const ChunkerParams *p = &sum_at(q, i)->chunker.params;

        if (p->min_bytes == params->min_bytes &&
            p->average_bytes == params->average_bytes &&
            p->max_bytes == params->max_bytes) {
            return sum_at(q, i);
        }
    }
    return NULL;
}

bool engram_query_add_engram(EngramQuery *q, EngramFile *f, GError **errp)
{
    ChunkerParams params = {
        .min_bytes = le32_get(f->commit.chunk_min),
        .average_bytes = le32_get(f->commit.chunk_avg),
        .max_bytes = le32_get(f->commit.chunk_max),
    };
    Sum *sum = find_sum(q, &params);

    if (!sum) {
        Chunker chunker;

        if (!chunker_init(&chunker, &params, errp)) {
            g_prefix_error(errp, "%s: ", bdrv_filename(f->file));
            return false;
        }
        sum = g_new(Sum, 1);
        sum->chunker = chunker;
        sum->content = content_sum_new(&sum->chunker);
        g_ptr_array_add(q->sums, sum);
    }
    Searched searched = { f, sum };
    g_array_append_val(q->engrams, searched);
    return true;
}

static void coroutine_fn co_add(EngramQuery *q, const void *data, uint32_t bytes,
                                uint64_t address)
{
    for (guint i = 0; i < q->sums->len; i++) {
        content_sum_co_add(sum_at(q, i)->content, data, bytes, address);
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

static bool coroutine_fn co_make_vector(const EngramQuery *q, uint64_t *vector,
                                        GError **errp)
{
    const HypervecSpace *space = vector_space();
    const VectorCounts *counts =
        q->sums->len ? content_sum_co_counts(sum_at(q, 0)->content, q->size) : NULL;

    if (counts) {
        hypervec_threshold(space, vector, counts->trits,
                           hypervec_active_default(space));
    }
    if (!counts || !hypervec_active(space, vector)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "the content %s: no file is like it",
                    q->size ? "has nothing but zeroes in it" : "is empty");
        return false;
    }
    return true;
}

static bool coroutine_fn co_search_engram(EngramQuery *q, QueryScan *scan,
                                          QueryHits *hits, GError **errp)
{
    for (uint32_t i = 0; i < scan->file->n_images; i++) {
        g_autoptr(EngramImage) image = engram_file_co_image(scan->file, i, errp);

        if (!image) {
            return false;
        }
        if (q->image && strcmp(q->image, image->name) != 0) {
            continue;
        }
        q->n_images++;
        scan->image = image;
        scan->image_index = i;
        if (!query_co_scan(scan, hits, errp)) {
            return false;
        }
    }
    return true;
}

static bool coroutine_fn co_search(EngramQuery *q, const uint64_t *vector,
                                   QueryHits *hits, GError **errp)
{
    q->n_images = 0;
    for (guint i = 0; i < q->engrams->len; i++) {
        const Searched *searched = &g_array_index(q->engrams, Searched, i);
        QueryScan scan = {
            .vector = vector,
            .min_similarity = q->min_similarity,
            .paths = q->paths,
            .file = searched->file,
            .engram_index = i,
        };

        content_sum_digest(searched->sum->content, q->size, scan.digest);
        if (!co_search_engram(q, &scan, hits, errp)) {
            return false;
        }
    }
    if (q->image && !q->n_images) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_NOT_FOUND, "no image is named '%s'",
                    q->image);
        return false;
    }
    return true;
}

GPtrArray *coroutine_fn engram_query_co_search(EngramQuery *q, GError **errp)
{
    uint64_t vector[HYPERVEC_WORDS(VECTOR_DIMENSION)];

    if (!co_make_vector(q, vector, errp)) {
        return NULL;
    }
    QueryHits *hits = query_hits_new(q->n_hits);
    GPtrArray *list =
        co_search(q, vector, hits, errp) ? query_hits_take(hits) : NULL;
    query_hits_free(hits);
    return list;
}
