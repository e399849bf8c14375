/*
 * Queries against an engram: how long one takes, from opening the engram on, and what
 * the index of vectors finds of that which looking at all of them finds.
 *
 *     bench-query ENGRAM [QUERIES [VECTORS.engram]]
 *
 * A query is the vector of a file of the engram, or of another one (an older disk, say),
 * and finds the ten most similar files.  A vector that is there itself is not counted
 * as found.  Of each of the similarities the share of the best, and of the ten best,
 * that the index finds, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engram/query-scan.h"
#include "engram/vector-index.h"
#include "util/aio.h"

enum { HITS = 10, WORDS = HYPERVEC_WORDS(VECTOR_DIMENSION) };

static const double bounds[] = { 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.01 };
enum { BANDS = G_N_ELEMENTS(bounds) };

typedef struct Bench {
    const char *engram, *from;
    unsigned queries;
    GArray *vectors;                    /* of WORDS each */
    GArray *index_ms, *scan_ms;         /* of double */
    unsigned best[BANDS], best_found[BANDS];
    unsigned hits[BANDS], hits_found[BANDS];
} Bench;

static void G_GNUC_NORETURN die(const GError *error)
{
    fprintf(stderr, "bench-query: %s\n", error->message);
    exit(EXIT_FAILURE);
}

static EngramFile *coroutine_fn co_open(const char *name)
{
    GError *error = NULL;
    g_autoptr(BlockDriverState) file =
        bdrv_co_open_image(name, NULL, BDRV_O_PROTOCOL, &error);
    EngramFile *f = file ? engram_file_co_open(file, &error) : NULL;

    if (!f) {
        die(error);
    }
    return f;
}

/* Vectors of files, evenly spread over the image. */
static void coroutine_fn co_take_vectors(Bench *b)
{
    g_autoptr(EngramFile) f = co_open(b->from);
    GError *error = NULL;
    g_autoptr(EngramImage) image = engram_file_co_image(f, 0, &error);
    g_autoptr(EngramManifestReader) m =
        image ? engram_manifest_co_open(f, image, &error) : NULL;
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, WORDS * sizeof(uint64_t));
    g_auto(EngramVectorIter) vectors = { 0 };
    g_auto(EngramFileIter) files = { 0 };
    EngramVectorInfo v;
    EngramFileInfo file = { 0 };
    int ret;

    if (!m) {
        die(error);
    }
    engram_vector_iter_init(&vectors, m);
    engram_file_iter_init(&files, m, 0, UINT64_MAX);
    while ((ret = engram_vector_iter_co_next(&vectors, &v, &error)) > 0 &&
           v.entry != ENGRAM_VECTOR_OF_IMAGE) {
        uint64_t words[WORDS];

        do {
            ret = engram_file_iter_co_next(&files, &file, &error);
        } while (ret > 0 && file.number < v.entry);
        if (ret > 0 && S_ISREG(file.mode) &&
            hypervec_unpack(vector_space(), words, v.packed, v.bytes, NULL)) {
            g_array_append_vals(all, words, 1);
        }
    }
    if (ret < 0) {
        die(error);
    }
    printf("%u files with vectors in %s\n", all->len, b->from);
    for (unsigned i = 0; i < MIN(b->queries, all->len); i++) {
        uint64_t at = (uint64_t)i * all->len / b->queries;

        g_array_append_vals(b->vectors, all->data + at * WORDS * sizeof(uint64_t), 1);
    }
}

/* From opening the engram on.  Milliseconds. */
static double coroutine_fn co_query(const Bench *b, const uint64_t *vector, bool exact,
                                    GPtrArray **list)
{
    int64_t start = g_get_monotonic_time();
    g_autoptr(EngramFile) f = co_open(b->engram);
    GError *error = NULL;
    g_autoptr(EngramImage) image = engram_file_co_image(f, 0, &error);
    g_autoptr(EngramManifestReader) m =
        image ? engram_manifest_co_open(f, image, &error) : NULL;
    QueryScan scan = { .vector = vector, .n_hits = HITS + 1, .file = f, .image = image };
    QueryHits *hits = query_hits_new(HITS + 1, true);

    if (!m || !engram_vector_index_is_there(f, image)) {
        fprintf(stderr, "bench-query: %s has no index of vectors\n", b->engram);
        exit(EXIT_FAILURE);
    }
    if (!(exact ? query_co_scan : query_co_search_index)(&scan, m, hits, &error)) {
        die(error);
    }
    *list = query_hits_take(hits);
    query_hits_free(hits);
    return (g_get_monotonic_time() - start) / 1e3;
}

static bool is_in(const GPtrArray *list, const EngramQueryHit *hit)
{
    for (guint i = 0; i < list->len; i++) {
        const EngramQueryHit *other = g_ptr_array_index(list, i);

        if (other->entry == hit->entry) {
            return true;
        }
    }
    return false;
}

static void compare(Bench *b, const GPtrArray *exact, const GPtrArray *found)
{
    bool first = true;

    for (guint i = 0; i < exact->len; i++) {
        const EngramQueryHit *hit = g_ptr_array_index(exact, i);
        bool both = is_in(found, hit);
        int band = 0;

        if (hit->similarity > 0.999999) {
            continue;
        }
        while (hit->similarity >= bounds[band]) {
            band++;
        }
        b->hits[band]++;
        b->hits_found[band] += both;
        b->best[band] += first;
        b->best_found[band] += first && both;
        first = false;
    }
}

static void coroutine_fn co_bench(void *opaque)
{
    Bench *b = opaque;

    co_take_vectors(b);
    for (guint i = 0; i < b->vectors->len; i++) {
        const uint64_t *vector = (const uint64_t *)b->vectors->data + (size_t)i * WORDS;
        g_autoptr(GPtrArray) found = NULL;
        g_autoptr(GPtrArray) exact = NULL;
        double index_ms = co_query(b, vector, false, &found);
        double scan_ms = co_query(b, vector, true, &exact);

        g_array_append_val(b->index_ms, index_ms);
        g_array_append_val(b->scan_ms, scan_ms);
        compare(b, exact, found);
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print_times(const char *what, GArray *times)
{
    g_array_sort(times, compare_doubles);
    printf("%-9s median %6.2f ms, 9 in 10 below %6.2f, least %6.2f\n", what,
           g_array_index(times, double, times->len / 2),
           g_array_index(times, double, times->len * 9 / 10),
           g_array_index(times, double, 0));
}

static double percent(unsigned part, unsigned all)
{
    return all ? 100.0 * part / all : 100;
}

int main(int argc, char **argv)
{
    Bench b = { .queries = 300 };

    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: bench-query ENGRAM [QUERIES [VECTORS.engram]]\n");
        return EXIT_FAILURE;
    }
    b.engram = argv[1];
    b.queries = argc > 2 ? MAX(strtoul(argv[2], NULL, 10), 1) : b.queries;
    b.from = argc > 3 ? argv[3] : b.engram;
    b.vectors = g_array_new(FALSE, FALSE, WORDS * sizeof(uint64_t));
    b.index_ms = g_array_new(FALSE, FALSE, sizeof(double));
    b.scan_ms = g_array_new(FALSE, FALSE, sizeof(double));

    g_autoptr(AioContext) ctx = aio_context_new(AIO_BACKEND_AUTO, NULL);
    aio_run(ctx, co_bench, &b);
    if (!b.index_ms->len) {
        return EXIT_FAILURE;
    }
    print_times("by index", b.index_ms);
    print_times("of all", b.scan_ms);
    for (int i = 0; i < BANDS; i++) {
        printf("similarity below %.2f: of the best %5.1f %% of %4u, of the ten best "
               "%5.1f %% of %5u\n",
               MIN(bounds[i], 1), percent(b.best_found[i], b.best[i]), b.best[i],
               percent(b.hits_found[i], b.hits[i]), b.hits[i]);
    }
    g_array_unref(b.vectors);
    g_array_unref(b.index_ms);
    g_array_unref(b.scan_ms);
    return EXIT_SUCCESS;
}
