/*
 * Vectors and files of a manifest side by side, compared in blocks.
 */
#include "engram/query-scan.h"

#include <sys/stat.h>

#include "block/workers.h"
#include "util/co-lock.h"
#include "util/error.h"
#include "util/thread-pool.h"

enum {
    BLOCK_VECTORS = 512,
    VECTOR_WORDS  = HYPERVEC_WORDS(VECTOR_DIMENSION),
};

/* A file that may be a hit. */
typedef struct Candidate {
    EngramQueryHit hit;
    uint64_t page_offset;           /* of the page of vectors, for errors */
    guint path;                     /* where it starts in Block.paths */
    guint packed;                   /* and in Block.packed */
    uint32_t packed_bytes;
} Candidate;

/* Candidates that are compared in one go, in the thread pool. */
typedef struct Block {
    const uint64_t *query;
    GArray *candidates;             /* of Candidate */
    GByteArray *packed;
    GString *paths;                 /* each with a NUL */
    uint64_t *vectors;
    double *similarities;
    guint n_good;                   /* the one after these is damaged, by reason */
    const char *reason;
} Block;

typedef struct Scan {
    const QueryScan *opt;
    QueryHits *hits;
    EngramManifestReader *manifest;
    CoMutex turn;                   /* to go on with what follows */
    EngramVectorIter vectors;
    EngramFileIter files;
    EngramFileInfo file;            /* the one that files came to last */
    bool has_file;
    uint64_t next_entry;            /* the next vector belongs to it or a later one */
    GString *path;
    bool ended;
    GError *error;                  /* the first */
} Scan;

static void block_init(Block *b, const uint64_t *query)
{
    *b = (Block){
        .query = query,
        .candidates = g_array_new(FALSE, FALSE, sizeof(Candidate)),
        .packed = g_byte_array_new(),
        .paths = g_string_new(NULL),
        .vectors = g_new(uint64_t, BLOCK_VECTORS * VECTOR_WORDS),
        .similarities = g_new(double, BLOCK_VECTORS),
    };
}

static void block_clear(Block *b)
{
    g_array_unref(b->candidates);
    g_byte_array_unref(b->packed);
    g_string_free(b->paths, TRUE);
    g_free(b->vectors);
    g_free(b->similarities);
}

static const Candidate *candidate_at(const Block *b, guint i)
{
    return &g_array_index(b->candidates, Candidate, i);
}

/* In the thread pool. */
static int compare_block(void *opaque)
{
    const HypervecSpace *space = vector_space();
    Block *b = opaque;

    for (b->n_good = 0; b->n_good < b->candidates->len; b->n_good++) {
        const Candidate *c = candidate_at(b, b->n_good);

        if (!hypervec_unpack(space, b->vectors + b->n_good * VECTOR_WORDS,
                             b->packed->data + c->packed, c->packed_bytes,
                             &b->reason)) {
            break;
        }
    }
    hypervec_similarities(space, b->similarities, b->query, b->vectors, b->n_good);
    return 0;
}

static void stop(Scan *s, GError *error)
{
    s->ended = true;
    if (s->error) {
        g_clear_error(&error);
    } else {
        s->error = error;
    }
}

static GError *corrupt(const Scan *s, uint64_t page_offset, const char *text)
{
    return g_error_new(EMBR_ERROR, EMBR_ERROR_CORRUPT,
                       "%s: page of vectors at offset 0x%" PRIx64 ": %s",
                       bdrv_filename(s->opt->file->file), page_offset, text);
}

bool query_is_kind(const QueryScan *scan, uint32_t mode)
{
    return scan->directories ? S_ISDIR(mode) : S_ISREG(mode);
}

void query_set_path(GString *path, const EngramManifestReader *m,
                    const EngramFileInfo *file)
{
    const char *folder = g_ptr_array_index(m->folders, file->volume);

    g_string_truncate(path, 0);
    if (*folder) {
        g_string_append_c(path, '/');
        g_string_append(path, folder);
    }
    if (!*folder || file->path_bytes) {
        g_string_append_c(path, '/');
    }
    g_string_append_len(path, file->path, file->path_bytes);
}

EngramQueryHit query_make_hit(const QueryScan *scan, const EngramFileInfo *file)
{
    EngramQueryHit hit = {
        .engram = (char *)bdrv_filename(scan->file->file),
        .image = scan->image->name,
        .engram_index = scan->engram_index,
        .image_index = scan->image_index,
        .entry = file->number,
        .size = file->size,
        .has_digest = file->digest != NULL,
    };

    if (hit.has_digest) {
        memcpy(hit.digest, file->digest, sizeof(hit.digest));
        hit.identical = scan->has_digest &&
                        memcmp(hit.digest, scan->digest, sizeof(hit.digest)) == 0;
    }
    return hit;
}

static bool is_wanted(Scan *s)
{
    if (!query_is_kind(s->opt, s->file.mode)) {
        return false;
    }
    query_set_path(s->path, s->manifest, &s->file);
    return !s->opt->paths || path_matcher_match(s->opt->paths, s->path->str) >= 0;
}

static void add_candidate(Scan *s, Block *b, const EngramVectorInfo *v,
                          uint64_t page_offset)
{
    Candidate c = {
        .hit = query_make_hit(s->opt, &s->file),
        .page_offset = page_offset,
        .path = b->paths->len,
        .packed = b->packed->len,
        .packed_bytes = v->bytes,
    };

    g_string_append_len(b->paths, s->path->str, s->path->len + 1);
    g_byte_array_append(b->packed, v->packed, v->bytes);
    g_array_append_val(b->candidates, c);
}

/* Goes on with files up to the one that the vector belongs to. */
static bool coroutine_fn co_find_file(Scan *s, uint64_t entry, GError **errp)
{
    while (!s->has_file || s->file.number < entry) {
        int ret = engram_file_iter_co_next(&s->files, &s->file, errp);

        if (ret <= 0) {
            g_assert(ret < 0);      /* the vectors' reader knows how many there are */
            return false;
        }
        s->has_file = true;
    }
    return true;
}

static void coroutine_fn co_take_vector(Scan *s, Block *b)
{
    GError *error = NULL;
    EngramVectorInfo v;
    int ret = engram_vector_iter_co_next(&s->vectors, &v, &error);

    if (ret <= 0) {
        stop(s, error);
        return;
    }
    uint64_t page_offset =
        le64_get(s->manifest->vector_pages[s->vectors.page].ref.offset);
    if (v.entry < s->next_entry) {
        stop(s, corrupt(s, page_offset, "its entries are not in order"));
        return;
    }
    if (v.entry == ENGRAM_VECTOR_OF_IMAGE) {
        return;
    }
    s->next_entry = v.entry + 1;
    if (!co_find_file(s, v.entry, &error)) {
        stop(s, error);
    } else if (is_wanted(s)) {
        add_candidate(s, b, &v, page_offset);
    }
}

/* Fills the block with what comes next.  False: there is nothing more. */
static bool coroutine_fn co_fill_block(Scan *s, Block *b)
{
    g_array_set_size(b->candidates, 0);
    g_byte_array_set_size(b->packed, 0);
    g_string_truncate(b->paths, 0);
    co_mutex_lock(&s->turn);
    while (!s->ended && b->candidates->len < BLOCK_VECTORS) {
        co_take_vector(s, b);
    }
    co_mutex_unlock(&s->turn);
    return b->candidates->len && !s->error;
}

static void take_hits(Scan *s, const Block *b)
{
    for (guint i = 0; i < b->n_good; i++) {
        const Candidate *c = candidate_at(b, i);

        if (query_is_similar(s->opt, b->similarities[i])) {
            EngramQueryHit hit = c->hit;

            hit.similarity = b->similarities[i];
            hit.path = b->paths->str + c->path;
            query_hits_add(s->hits, &hit);
        }
    }
}

/* One of several coroutines: while one reads, others compare. */
static void coroutine_fn co_scan_blocks(void *opaque)
{
    Scan *s = opaque;
    Block b;

    block_init(&b, s->opt->vector);
    while (co_fill_block(s, &b)) {
        thread_pool_co_run(thread_pool_cpu(), compare_block, &b);
        if (b.n_good < b.candidates->len) {
            const Candidate *c = candidate_at(&b, b.n_good);
            g_autofree char *text = g_strdup_printf(
                "hypervector of '%s': %s", b.paths->str + c->path, b.reason);

            stop(s, corrupt(s, c->page_offset, text));
        } else {
            take_hits(s, &b);
        }
    }
    block_clear(&b);
}

bool coroutine_fn query_co_scan(const QueryScan *opt, EngramManifestReader *m,
                                QueryHits *hits, GError **errp)
{
    Scan s = { .opt = opt, .hits = hits, .manifest = m };

    co_mutex_init(&s.turn);
    s.path = g_string_new(NULL);
    engram_vector_iter_init(&s.vectors, m);
    engram_file_iter_init(&s.files, m, 0, m->n_entries);
    co_run_workers(thread_pool_max_threads(thread_pool_cpu()) + 1, co_scan_blocks, &s);
    engram_vector_iter_clear(&s.vectors);
    engram_file_iter_clear(&s.files);
    g_string_free(s.path, TRUE);
    if (s.error) {
        g_propagate_error(errp, s.error);
        return false;
    }
    return true;
}
