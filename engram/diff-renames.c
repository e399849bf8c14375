/*
 * Pairs of files: of equal digest first, then the most alike first.
 */
#include "engram/diff-renames.h"

#include <sys/stat.h>

#include "block/workers.h"
#include "util/thread-pool.h"
#include "util/units.h"

enum {
    TRIVIAL_BYTES = 32,         /* contents so short are found anywhere: names must be equal */
    LIKE_MAX      = 8,          /* of each that has gone, the most alike that are considered */
    BATCH         = 16,         /* of those that have gone, compared in one go */
};

/* A file that has gone or come. */
typedef struct Candidate {
    uint64_t record, size;
    uint64_t name_sum, folder_sum;
    uint32_t type;
    bool has_digest, paired;
    uint8_t digest[ENGRAM_DIGEST_BYTES];
} Candidate;

/* Two of them that may be one. */
typedef struct Pair {
    double score;               /* similarity, times the smaller size by the larger */
    double similarity;
    uint32_t gone, come;        /* indexes */
    bool same_name;
} Pair;

typedef struct Renames {
    const DiffRenames *opt;
    GArray *candidates[DIFF_SIDES];     /* of Candidate */
    /* By likeness. */
    GArray *like[DIFF_SIDES];           /* of guint: those that take part */
    uint64_t *vectors[DIFF_SIDES];      /* theirs */
    GArray *pairs;                      /* of Pair */
    guint next;                         /* in like[0] */
} Renames;

static Candidate *candidate_at(const Renames *r, unsigned side, guint i)
{
    return &g_array_index(r->candidates[side], Candidate, i);
}

static uint64_t folder_sum(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(folder);

    return engram_checksum(name, strlen(name));
}

static bool add_candidate(Renames *r, uint64_t i, const DiffRecord *record,
                          unsigned side, GError **errp)
{
    const DiffFile *f = &record->file[side];
    g_autofree char *path = diff_records_path(r->opt->records, f->path, errp);
    Candidate c = {
        .record = i,
        .size = f->size,
        .name_sum = f->name_sum,
        .type = f->mode & S_IFMT,
        .has_digest = f->has_digest,
    };

    if (!path) {
        return false;
    }
    c.folder_sum = folder_sum(path);
    memcpy(c.digest, f->digest, sizeof(c.digest));
    g_array_append_val(r->candidates[side], c);
    return true;
}

/* False: an error. Too many are none at all. */
static bool list_candidates(Renames *r, GError **errp)
{
    for (uint64_t i = 0; i < diff_records_count(r->opt->records); i++) {
        DiffRecord record;

        if (!diff_records_load(r->opt->records, i, &record, errp)) {
            return false;
        }
        unsigned side = record.kind == ENGRAM_DIFF_ADDED;
        uint32_t mode = record.file[side].mode;
        if (record.gone || record.has[!side] || !(S_ISREG(mode) || S_ISLNK(mode))) {
            continue;
        }
        if (r->candidates[side]->len == ENGRAM_DIFF_RENAMES_MAX) {
            *r->opt->shortened = g_strdup_printf(
                "more than %d files %s", ENGRAM_DIFF_RENAMES_MAX,
                side ? "are only in the second image" : "are only in the first image");
            g_array_set_size(r->candidates[0], 0);
            return true;
        }
        if (!add_candidate(r, i, &record, side, errp)) {
            return false;
        }
    }
    return true;
}

static bool pair_up(Renames *r, guint gone, guint come, bool has_similarity,
                    double similarity, GError **errp)
{
    Candidate *a = candidate_at(r, 0, gone), *b = candidate_at(r, 1, come);
    DiffRecord before, after;

    if (!diff_records_load(r->opt->records, a->record, &before, errp) ||
        !diff_records_load(r->opt->records, b->record, &after, errp)) {
        return false;
    }
    a->paired = b->paired = true;
    before.gone = true;
    after.has[0] = true;
    after.file[0] = before.file[0];
    diff_compare_pair(&after);
    after.has_similarity = has_similarity;
    after.similarity = similarity;
    return diff_records_store(r->opt->records, a->record, &before, errp) &&
           diff_records_store(r->opt->records, b->record, &after, errp);
}

/* By how much of the name has to be equal, too. */
typedef enum NamePass { NAME_AND_FOLDER, NAME_ONLY, ANY_NAME } NamePass;

static bool is_trivial(const Candidate *c)
{
    return c->type != S_IFREG || c->size < TRIVIAL_BYTES;
}

/* What pairs have in common: a key of a hash table. */
static GBytes *make_key(const Candidate *c, NamePass pass)
{
    struct {
        uint8_t digest[ENGRAM_DIGEST_BYTES];
        uint64_t name, folder;
        uint32_t type, reserved;
    } key = { .type = c->type };

    memcpy(key.digest, c->digest, sizeof(key.digest));
    key.name = pass == ANY_NAME ? 0 : c->name_sum;
    key.folder = pass == NAME_AND_FOLDER ? c->folder_sum : 0;
    return g_bytes_new(&key, sizeof(key));
}

static bool takes_part(const Candidate *c, NamePass pass)
{
    return c->has_digest && !c->paired && !(pass == ANY_NAME && is_trivial(c));
}

static void free_queue(gpointer queue)
{
    g_queue_free(queue);
}

static bool pair_identical(Renames *r, NamePass pass, GError **errp)
{
    g_autoptr(GHashTable) gone = g_hash_table_new_full(
        g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, free_queue);

    for (guint i = 0; i < r->candidates[0]->len; i++) {
        const Candidate *c = candidate_at(r, 0, i);

        if (!takes_part(c, pass)) {
            continue;
        }
        g_autoptr(GBytes) key = make_key(c, pass);
        GQueue *queue = g_hash_table_lookup(gone, key);
        if (!queue) {
            queue = g_queue_new();
            g_hash_table_insert(gone, g_steal_pointer(&key), queue);
        }
        g_queue_push_tail(queue, GUINT_TO_POINTER(i));
    }
    for (guint i = 0; i < r->candidates[1]->len; i++) {
        const Candidate *c = candidate_at(r, 1, i);

        if (!takes_part(c, pass)) {
            continue;
        }
        g_autoptr(GBytes) key = make_key(c, pass);
        GQueue *queue = g_hash_table_lookup(gone, key);
        if (queue && !g_queue_is_empty(queue) &&
            !pair_up(r, GPOINTER_TO_UINT(g_queue_pop_head(queue)), i,
                     c->type == S_IFREG, 1, errp)) {
            return false;
        }
    }
    return true;
}

static uint64_t *vector_at(const Renames *r, unsigned side, guint i)
{
    return r->vectors[side] + (size_t)i * HYPERVEC_WORDS(VECTOR_DIMENSION);
}

/* Those that are not paired and have a vector, with their vectors.  At most
 * ENGRAM_DIFF_LIKENESS_MAX + 1. */
static bool load_vectors(Renames *r, unsigned side, GError **errp)
{
    const HypervecSpace *space = vector_space();
    GArray *vectors = g_array_new(FALSE, FALSE, sizeof(DiffVector));
    bool ok = true;

    for (guint i = 0; ok && i < r->candidates[side]->len &&
                      r->like[side]->len <= ENGRAM_DIFF_LIKENESS_MAX; i++) {
        const Candidate *c = candidate_at(r, side, i);
        DiffVector vector;

        if (c->paired || c->type != S_IFREG) {
            continue;
        }
        ok = diff_records_vector(r->opt->records, c->record, side, vector, errp);
        if (ok && hypervec_active(space, vector)) {
            g_array_append_val(r->like[side], i);
            g_array_append_vals(vectors, vector, 1);
        }
    }
    r->vectors[side] = (uint64_t *)g_array_free(vectors, FALSE);
    return ok;
}

/* Some of those that have gone, compared with all that have come. */
typedef struct Batch {
    const Renames *r;
    guint first, n;
    double *similarities;
    GArray *pairs;
} Batch;

static gint compare_pairs(gconstpointer a, gconstpointer b)
{
    const Pair *pa = a, *pb = b;

    if (pa->score != pb->score) {
        return pa->score < pb->score ? 1 : -1;
    }
    if (pa->same_name != pb->same_name) {
        return pb->same_name - pa->same_name;
    }
    if (pa->gone != pb->gone) {
        return pa->gone > pb->gone ? 1 : -1;
    }
    return (pa->come > pb->come) - (pa->come < pb->come);
}

static void find_alike(Batch *batch, guint i)
{
    const Renames *r = batch->r;
    guint gone = g_array_index(r->like[0], guint, i), start = batch->pairs->len;
    const Candidate *a = candidate_at(r, 0, gone);

    hypervec_similarities(vector_space(), batch->similarities, vector_at(r, 0, i),
                          r->vectors[1], r->like[1]->len);
    for (guint j = 0; j < r->like[1]->len; j++) {
        guint come = g_array_index(r->like[1], guint, j);
        const Candidate *b = candidate_at(r, 1, come);
        Pair pair = {
            .score = batch->similarities[j] * MIN(a->size, b->size) / MAX(a->size, b->size),
            .similarity = batch->similarities[j],
            .gone = gone,
            .come = come,
            .same_name = a->name_sum == b->name_sum,
        };

        if (pair.score >= r->opt->min_similarity && pair.score > 0) {
            g_array_append_val(batch->pairs, pair);
        }
    }
    guint found = batch->pairs->len - start;
    if (found > LIKE_MAX) {
        qsort(&g_array_index(batch->pairs, Pair, start), found, sizeof(Pair),
              compare_pairs);
        g_array_set_size(batch->pairs, start + LIKE_MAX);
    }
}

/* In the thread pool. */
static int find_batch(void *opaque)
{
    Batch *batch = opaque;

    for (guint i = 0; i < batch->n; i++) {
        find_alike(batch, batch->first + i);
    }
    return 0;
}

/* One of several coroutines. */
static void coroutine_fn co_find_batches(void *opaque)
{
    Renames *r = opaque;
    Batch batch = {
        .r = r,
        .similarities = g_new(double, r->like[1]->len),
        .pairs = g_array_new(FALSE, FALSE, sizeof(Pair)),
    };

    while (r->next < r->like[0]->len) {
        batch.first = r->next;
        batch.n = MIN(BATCH, r->like[0]->len - r->next);
        r->next += batch.n;
        thread_pool_co_run(thread_pool_cpu(), find_batch, &batch);
    }
    g_array_append_vals(r->pairs, batch.pairs->data, batch.pairs->len);
    g_array_unref(batch.pairs);
    g_free(batch.similarities);
}

static bool too_many(const Renames *r)
{
    return r->like[0]->len > ENGRAM_DIFF_LIKENESS_MAX ||
           r->like[1]->len > ENGRAM_DIFF_LIKENESS_MAX ||
           (uint64_t)r->like[0]->len * r->like[1]->len > ENGRAM_DIFF_PAIRS_MAX;
}

static bool coroutine_fn co_pair_alike(Renames *r, GError **errp)
{
    if (!load_vectors(r, 0, errp) || !load_vectors(r, 1, errp)) {
        return false;
    }
    if (too_many(r)) {
        *r->opt->shortened = g_strdup(
            "too many files are in one image only to be compared by likeness");
        return true;
    }
    co_run_workers(thread_pool_max_threads(thread_pool_cpu()), co_find_batches, r);
    g_array_sort(r->pairs, compare_pairs);
    for (guint i = 0; i < r->pairs->len; i++) {
        const Pair *pair = &g_array_index(r->pairs, Pair, i);

        if (!candidate_at(r, 0, pair->gone)->paired &&
            !candidate_at(r, 1, pair->come)->paired &&
            !pair_up(r, pair->gone, pair->come, true, pair->similarity, errp)) {
            return false;
        }
    }
    return true;
}

bool coroutine_fn diff_renames_co_find(const DiffRenames *opt, GError **errp)
{
    Renames r = { .opt = opt };

    for (unsigned i = 0; i < DIFF_SIDES; i++) {
        r.candidates[i] = g_array_new(FALSE, FALSE, sizeof(Candidate));
        r.like[i] = g_array_new(FALSE, FALSE, sizeof(guint));
    }
    r.pairs = g_array_new(FALSE, FALSE, sizeof(Pair));
    bool ok = list_candidates(&r, errp) && pair_identical(&r, NAME_AND_FOLDER, errp) &&
              pair_identical(&r, NAME_ONLY, errp) && pair_identical(&r, ANY_NAME, errp) &&
              (!opt->by_likeness || co_pair_alike(&r, errp));
    for (unsigned i = 0; i < DIFF_SIDES; i++) {
        g_array_unref(r.candidates[i]);
        g_array_unref(r.like[i]);
        g_free(r.vectors[i]);
    }
    g_array_unref(r.pairs);
    return ok;
}
