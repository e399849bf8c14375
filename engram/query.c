/*
 * In which engrams is looked, and the search.
 */
#include "engram/query.h"

#include "engram/query-int.h"
#include "engram/query-scan.h"
#include "engram/vector-index.h"
#include "util/error.h"

enum { NAMES_MAX = 20 };            /* of images that an error lists */

/* A search under way. */
typedef struct Run {
    EngramQuery *q;
    QueryScan scan;
    QueryHits *hits;
    GString *names;                 /* of images that are not the one asked for */
    unsigned n_names;
    EngramQueryReport *report;
    void *opaque;
    EngramQueryResult *result;
} Run;

EngramQuery *engram_query_new(const EngramQueryOptions *options)
{
    EngramQuery *q = g_new0(EngramQuery, 1);

    q->n_hits = options->hits;
    q->min_similarity = options->min_similarity;
    q->image = g_strdup(options->image);
    q->exact = options->exact;
    q->all = options->all;
    if (options->path) {
        q->paths = path_matcher_new();
        path_matcher_add(q->paths, options->path, 0);
    }
    q->sums = g_ptr_array_new_with_free_func(query_sum_free);
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
    tree_vectors_free(q->tree);
    g_free(q->entry);
    g_free(q);
}

static QuerySum *find_sum(const EngramQuery *q, const ChunkerParams *params)
{
    for (guint i = 0; i < q->sums->len; i++) {
        const ChunkerParams *p = &query_sum(q, i)->chunker.params;

        if (p->min_bytes == params->min_bytes &&
            p->average_bytes == params->average_bytes &&
            p->max_bytes == params->max_bytes) {
            return query_sum(q, i);
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
    QuerySum *sum = find_sum(q, &params);

    if (!sum) {
        Chunker chunker;

        if (!chunker_init(&chunker, &params, errp)) {
            g_prefix_error(errp, "%s: ", bdrv_filename(f->file));
            return false;
        }
        sum = g_new(QuerySum, 1);
        sum->chunker = chunker;
        sum->content = content_sum_new(&sum->chunker);
        g_ptr_array_add(q->sums, sum);
    }
    Searched searched = { f, sum };
    g_array_append_val(q->engrams, searched);
    return true;
}

void engram_query_result_clear(EngramQueryResult *result)
{
    g_clear_pointer(&result->hits, g_ptr_array_unref);
}

static bool check_vectors(const QueryScan *scan, const EngramManifestReader *m,
                          GError **errp)
{
    if (!m->n_vectors || (m->hypervector_dimension == VECTOR_DIMENSION &&
                          m->hypervector_encoding == HYPERVEC_ENCODING)) {
        return true;
    }
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                "%s: image '%s' has hypervectors of %" PRIu32
                " trits in encoding %" PRIu32
                ", which do not compare with those of %d trits in encoding %d",
                bdrv_filename(scan->file->file), scan->image->name,
                m->hypervector_dimension, m->hypervector_encoding, VECTOR_DIMENSION,
                HYPERVEC_ENCODING);
    return false;
}

static EngramManifestReader *coroutine_fn co_open_manifest(const QueryScan *scan,
                                                           GError **errp)
{
    if (engram_ref_is_none(&scan->image->manifest)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s: image '%s' has no manifest: nothing is known of its files",
                    bdrv_filename(scan->file->file), scan->image->name);
        return NULL;
    }
    g_autoptr(EngramManifestReader) m =
        engram_manifest_co_open(scan->file, scan->image, errp);
    return m && check_vectors(scan, m, errp) ? g_steal_pointer(&m) : NULL;
}

static bool coroutine_fn co_search_manifest(Run *run, GError **errp)
{
    const QueryScan *scan = &run->scan;
    g_autoptr(EngramManifestReader) m = co_open_manifest(scan, errp);

    if (!m) {
        return false;
    }
    bool indexed = !run->q->exact && !scan->paths &&
                   scan->n_hits <= ENGRAM_QUERY_INDEXED_MAX &&
                   engram_vector_index_is_there(scan->file, scan->image);
    return indexed ? query_co_search_index(scan, m, run->hits, errp)
                   : query_co_scan(scan, m, run->hits, errp);
}

/* Takes error. */
static void skip(Run *run, GError *error)
{
    run->result->skipped++;
    run->report(error, run->opaque);
    g_error_free(error);
}

static void add_name(Run *run, const char *name)
{
    if (run->n_names < NAMES_MAX) {
        g_string_append_printf(run->names, "%s'%s'", run->n_names ? ", " : "", name);
    } else if (run->n_names == NAMES_MAX) {
        g_string_append(run->names, " and others");
    }
    run->n_names++;
}

static void coroutine_fn co_search_image(Run *run, uint32_t index)
{
    GError *error = NULL;
    g_autoptr(EngramImage) image =
        engram_file_co_image(run->scan.file, index, &error);

    if (!image) {
        skip(run, error);
        return;
    }
    if (run->q->image && strcmp(run->q->image, image->name) != 0) {
        add_name(run, image->name);
        return;
    }
    run->scan.image = image;
    run->scan.image_index = index;
    if (co_search_manifest(run, &error)) {
        run->result->searched++;
    } else {
        skip(run, error);
    }
}

static void coroutine_fn co_search_engrams(Run *run)
{
    EngramQuery *q = run->q;

    for (guint i = 0; i < q->engrams->len; i++) {
        const Searched *searched = &g_array_index(q->engrams, Searched, i);

        run->scan.file = searched->file;
        run->scan.engram_index = i;
        run->scan.has_digest = query_digest(q, searched->sum, run->scan.digest);
        for (uint32_t j = 0; j < searched->file->n_images; j++) {
            co_search_image(run, j);
        }
    }
}

bool coroutine_fn engram_query_co_search(EngramQuery *q, EngramQueryReport *report,
                                         void *opaque, EngramQueryResult *result,
                                         GError **errp)
{
    g_autoptr(GString) names = g_string_new(NULL);
    Run run = {
        .q = q,
        .scan = {
            .vector = q->vector,
            .directories = query_is_directory(q),
            .n_hits = q->n_hits,
            .min_similarity = q->min_similarity,
            .paths = q->paths,
        },
        .names = names,
        .report = report,
        .opaque = opaque,
        .result = result,
    };

    *result = (EngramQueryResult){ 0 };
    if (!query_co_finish_content(q, errp)) {
        return false;
    }
    run.hits = query_hits_new(q->n_hits, !q->all);
    co_search_engrams(&run);
    result->hits = query_hits_take(run.hits);
    query_hits_free(run.hits);
    if (q->image && !result->searched && !result->skipped) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_NOT_FOUND,
                    "no image is named '%s'; there %s %s", q->image,
                    run.n_names == 1 ? "is" : "are",
                    run.n_names ? names->str : "none at all");
        engram_query_result_clear(result);
        return false;
    }
    return true;
}
