/*
 * Vectors into clusters, clusters into pages.
 */
#include "engram/vector-index-writer.h"

#include <hypervec/search.h>

#include "block/workers.h"
#include "engram/vector.h"
#include "util/error.h"
#include "util/record-sorter.h"
#include "util/spool.h"
#include "util/thread-pool.h"

enum {
    VECTORS_MIN        = 2048,          /* what is less is scanned in no time */
    CLUSTERS_PER_ROOT  = 4,             /* clusters: so many times sqrt(vectors) */
    CLUSTERS_MAX       = 2048,
    SAMPLES_PER_CLUSTER = 8,
    ROUNDS             = 3,
    BATCH_VECTORS      = 512,
    STREAM_BYTES       = 256 << 10,
    SORTER_BYTES       = 8 << 20,
    MEMBERS_PAGE_BYTES = (16 << 10) - 256,  /* with one more still decoded inline */
    WORDS              = HYPERVEC_WORDS(VECTOR_DIMENSION),
};

/* How a vector waits: this, then its bytes. */
typedef struct SpooledVector {
    uint32_t number;
    uint32_t bytes;
} SpooledVector;

/* Vectors of files, or of directories. */
typedef struct Kind {
    Spool *spool;
    uint64_t count;
} Kind;

enum { FILES, DIRECTORIES, KINDS };

/* A vector that has found its cluster: a record to sort. */
typedef struct Placed {
    uint32_t cluster;
    uint32_t vector;
    uint8_t bytes;
    uint8_t packed[VECTOR_SHORT_PACKED_BYTES_MAX];
} Placed;

struct VectorIndexWriter {
    const char *spool_dir;
    Kind kinds[KINDS];
    uint64_t count;
    /* While finishing. */
    RecordSorter *placed;
    GArray *members;                /* of le32_t: of each cluster */
    GArray *centroids;              /* of le64_t */
    GArray *pages;                  /* of EngramManifestPage */
    uint32_t n_file_clusters;
};

/* Goes over the vectors of a kind. */
typedef struct Stream {
    const Kind *kind;
    uint64_t offset;                /* in the spool, of what is read next */
    uint8_t *data;
    size_t size, pos;
} Stream;

VectorIndexWriter *vector_index_writer_new(const char *spool_dir, GError **errp)
{
    g_autoptr(VectorIndexWriter) w = g_new0(VectorIndexWriter, 1);

    w->spool_dir = spool_dir;
    w->members = g_array_new(FALSE, FALSE, sizeof(le32_t));
    w->centroids = g_array_new(FALSE, FALSE, sizeof(le64_t));
    w->pages = g_array_new(FALSE, FALSE, sizeof(EngramManifestPage));
    for (int i = 0; i < KINDS; i++) {
        w->kinds[i].spool = spool_new(spool_dir, errp);
        if (!w->kinds[i].spool) {
            return NULL;
        }
    }
    return g_steal_pointer(&w);
}

void vector_index_writer_free(VectorIndexWriter *w)
{
    if (!w) {
        return;
    }
    for (int i = 0; i < KINDS; i++) {
        spool_free(w->kinds[i].spool);
    }
    record_sorter_free(w->placed);
    g_array_unref(w->members);
    g_array_unref(w->centroids);
    g_array_unref(w->pages);
    g_free(w);
}

bool vector_index_writer_add(VectorIndexWriter *w, bool is_directory,
                             const uint8_t *packed, size_t bytes, GError **errp)
{
    Kind *kind = &w->kinds[is_directory ? DIRECTORIES : FILES];
    SpooledVector head = { .number = (uint32_t)w->count, .bytes = bytes };

    g_assert(bytes <= VECTOR_PACKED_BYTES_MAX);
    w->count++;
    kind->count++;
    return spool_append(kind->spool, &head, sizeof(head), NULL, errp) &&
           spool_append(kind->spool, packed, bytes, NULL, errp);
}

static void stream_init(Stream *s, const Kind *kind)
{
    *s = (Stream){ .kind = kind, .data = g_malloc(STREAM_BYTES) };
}

static void stream_clear(Stream *s)
{
    g_clear_pointer(&s->data, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Stream, stream_clear)

/* Has at least one whole vector in memory, if there is one. */
static bool stream_fill(Stream *s, GError **errp)
{
    size_t rest = s->size - s->pos;
    uint64_t left = spool_size(s->kind->spool) - s->offset;
    size_t more;

    if (rest >= sizeof(SpooledVector) + VECTOR_PACKED_BYTES_MAX || !left) {
        return true;
    }
    memmove(s->data, s->data + s->pos, rest);
    more = MIN(left, STREAM_BYTES - rest);
    s->pos = 0;
    s->size = rest + more;
    if (!spool_read(s->kind->spool, s->offset, s->data + rest, more, errp)) {
        return false;
    }
    s->offset += more;
    return true;
}

/* 1 and a vector, whose bytes are valid until the next call; 0 at the end; -1. */
static int stream_next(Stream *s, SpooledVector *head, const uint8_t **packed,
                       GError **errp)
{
    if (!stream_fill(s, errp)) {
        return -1;
    }
    if (s->pos == s->size) {
        return 0;
    }
    memcpy(head, s->data + s->pos, sizeof(*head));
    *packed = s->data + s->pos + sizeof(*head);
    s->pos += sizeof(*head) + head->bytes;
    return 1;
}

/* What was spooled is what was packed. */
static void unpack(uint64_t *v, const uint8_t *packed, size_t bytes)
{
    bool ok = hypervec_unpack(vector_space(), v, packed, bytes, NULL);

    g_assert(ok);
}

/* The clusters of one kind, while they are found. */
typedef struct Clusters {
    const Kind *kind;
    uint32_t first;                 /* number of the first one among those of all kinds */
    uint32_t n;
    uint64_t *centroids;
    double *weights;
    uint64_t *samples;
    uint32_t n_samples;
    uint32_t *assigned;             /* of each sample */
} Clusters;

static void clusters_clear(Clusters *c)
{
    g_free(c->centroids);
    g_free(c->weights);
    g_free(c->samples);
    g_free(c->assigned);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Clusters, clusters_clear)

static uint32_t square_root(uint64_t n)
{
    uint32_t root = 0;

    for (uint32_t bit = UINT32_C(1) << 31; bit; bit >>= 1) {
        uint64_t more = (uint64_t)root + bit;

        if (more * more <= n) {
            root = more;
        }
    }
    return root;
}

static void clusters_init(Clusters *c, const Kind *kind, uint32_t first)
{
    uint64_t n = MIN((uint64_t)CLUSTERS_PER_ROOT * square_root(kind->count),
                     CLUSTERS_MAX);

    *c = (Clusters){ .kind = kind, .first = first };
    c->n = MIN(n, kind->count);
    c->n_samples = MIN((uint64_t)SAMPLES_PER_CLUSTER * c->n, kind->count);
    c->centroids = g_new(uint64_t, (size_t)c->n * WORDS);
    c->weights = g_new(double, c->n);
    c->samples = g_new(uint64_t, (size_t)c->n_samples * WORDS);
    c->assigned = g_new(uint32_t, c->n_samples);
}

/* Work in the thread pool that may fail. */
typedef struct ClustersJob {
    Clusters *clusters;
    GError *error;
} ClustersJob;

/* In the thread pool: samples at even distances, and centroids to start from. */
static int take_samples(void *opaque)
{
    ClustersJob *job = opaque;
    Clusters *c = job->clusters;
    uint64_t count = c->kind->count;
    g_auto(Stream) stream;
    SpooledVector head;
    const uint8_t *packed;
    uint32_t taken = 0;
    int ret = 1;

    stream_init(&stream, c->kind);
    for (uint64_t i = 0; taken < c->n_samples; i++) {
        ret = stream_next(&stream, &head, &packed, &job->error);
        if (ret < 0) {
            return -EIO;
        }
        g_assert(ret);
        if (i == (uint64_t)taken * count / c->n_samples) {
            unpack(c->samples + (size_t)taken++ * WORDS, packed, head.bytes);
        }
    }
    for (uint32_t i = 0; i < c->n; i++) {
        uint64_t sample = (2 * (uint64_t)i + 1) * c->n_samples / (2 * (uint64_t)c->n);

        memcpy(c->centroids + (size_t)i * WORDS, c->samples + sample * WORDS,
               WORDS * sizeof(uint64_t));
    }
    return 0;
}

/* Samples that are looked at by several at once. */
typedef struct Assignment {
    Clusters *clusters;
    uint32_t next;
} Assignment;

typedef struct AssignmentPart {
    Clusters *clusters;
    uint32_t first, n;
} AssignmentPart;

static int assign_samples(void *opaque)
{
    const AssignmentPart *part = opaque;
    const Clusters *c = part->clusters;

    for (uint32_t i = part->first; i < part->first + part->n; i++) {
        c->assigned[i] = hypervec_nearest(vector_space(), c->samples + (size_t)i * WORDS,
                                          c->centroids, c->weights, c->n);
    }
    return 0;
}

static void coroutine_fn co_assign_samples(void *opaque)
{
    Assignment *a = opaque;

    while (a->next < a->clusters->n_samples) {
        AssignmentPart part = { a->clusters, a->next,
                                MIN(BATCH_VECTORS, a->clusters->n_samples - a->next) };

        a->next += part.n;
        thread_pool_co_run(thread_pool_cpu(), assign_samples, &part);
    }
}

static int update_centroids(void *opaque)
{
    const Clusters *c = opaque;
    g_autofree VectorCounts *counts = g_new(VectorCounts, 1);

    hypervec_clusters_update(vector_space(), c->centroids, c->n, c->samples,
                             c->assigned, c->n_samples, counts->trits);
    hypervec_weights(vector_space(), c->weights, c->centroids, c->n);
    return 0;
}

static unsigned n_workers(void)
{
    return thread_pool_max_threads(thread_pool_cpu()) + 1;
}

static bool coroutine_fn co_find_clusters(Clusters *c, GError **errp)
{
    ClustersJob job = { .clusters = c };

    if (thread_pool_co_run(thread_pool_cpu(), take_samples, &job) < 0) {
        g_propagate_error(errp, job.error);
        return false;
    }
    hypervec_weights(vector_space(), c->weights, c->centroids, c->n);
    for (int round = 0; round < ROUNDS; round++) {
        Assignment assignment = { .clusters = c };

        co_run_workers(n_workers(), co_assign_samples, &assignment);
        thread_pool_co_run(thread_pool_cpu(), update_centroids, c);
    }
    return true;
}

/* All vectors of a kind on their way to their clusters. */
typedef struct Placing {
    VectorIndexWriter *w;
    const Clusters *clusters;
    Stream stream;
    GError *error;                  /* the first */
} Placing;

typedef struct Batch {
    const Clusters *clusters;
    uint32_t n;
    uint32_t bytes[BATCH_VECTORS];
    uint8_t packed[BATCH_VECTORS][VECTOR_PACKED_BYTES_MAX];
    Placed placed[BATCH_VECTORS];
} Batch;

static int place_batch(void *opaque)
{
    Batch *b = opaque;
    const Clusters *c = b->clusters;
    uint64_t v[WORDS], small[VECTOR_SHORT_WORDS];

    for (uint32_t i = 0; i < b->n; i++) {
        Placed *placed = &b->placed[i];

        unpack(v, b->packed[i], b->bytes[i]);
        placed->cluster = c->first + hypervec_nearest(vector_space(), v, c->centroids,
                                                      c->weights, c->n);
        vector_shorten(vector_space(), small, v);
        placed->bytes = hypervec_pack(vector_short_space(), placed->packed, small);
    }
    return 0;
}

static void placing_fail(Placing *p, GError *error)
{
    if (p->error) {
        g_error_free(error);
    } else {
        p->error = error;
    }
}

/* False: there is nothing more. */
static bool fill_batch(Placing *p, Batch *b)
{
    SpooledVector head;
    const uint8_t *packed;
    GError *error = NULL;
    int ret = 1;

    for (b->n = 0; !p->error && b->n < BATCH_VECTORS; b->n++) {
        ret = stream_next(&p->stream, &head, &packed, &error);
        if (ret <= 0) {
            break;
        }
        b->placed[b->n].vector = head.number;
        b->bytes[b->n] = head.bytes;
        memcpy(b->packed[b->n], packed, head.bytes);
    }
    if (ret < 0) {
        placing_fail(p, error);
    }
    return b->n && !p->error;
}

static void coroutine_fn co_place_batches(void *opaque)
{
    Placing *p = opaque;
    g_autofree Batch *b = g_new0(Batch, 1);
    GError *error = NULL;

    b->clusters = p->clusters;
    while (fill_batch(p, b)) {
        thread_pool_co_run(thread_pool_cpu(), place_batch, b);
        for (uint32_t i = 0; i < b->n && !p->error; i++) {
            if (!record_sorter_add(p->w->placed, &b->placed[i], &error)) {
                placing_fail(p, error);
            }
        }
    }
}

static bool coroutine_fn co_place_vectors(VectorIndexWriter *w, const Clusters *c,
                                          GError **errp)
{
    Placing p = { .w = w, .clusters = c };

    stream_init(&p.stream, c->kind);
    co_run_workers(n_workers(), co_place_batches, &p);
    stream_clear(&p.stream);
    if (p.error) {
        g_propagate_error(errp, p.error);
        return false;
    }
    return true;
}

static bool coroutine_fn co_cluster_kind(VectorIndexWriter *w, const Kind *kind,
                                         GError **errp)
{
    g_auto(Clusters) c = { 0 };

    clusters_init(&c, kind, w->members->len);
    if (!c.n) {
        return true;
    }
    if (!co_find_clusters(&c, errp) || !co_place_vectors(w, &c, errp)) {
        return false;
    }
    g_array_set_size(w->members, w->members->len + c.n);
    for (size_t i = 0; i < (size_t)c.n * WORDS; i++) {
        le64_t word = le64_make(c.centroids[i]);

        g_array_append_val(w->centroids, word);
    }
    return true;
}

static int compare_placed(const void *a, const void *b)
{
    const Placed *x = a, *y = b;

    if (x->cluster != y->cluster) {
        return x->cluster < y->cluster ? -1 : 1;
    }
    return (x->vector > y->vector) - (x->vector < y->vector);
}

static bool coroutine_fn co_end_page(VectorIndexWriter *w, ObjectWriter *out,
                                     GByteArray *raw, EngramManifestPage *page,
                                     GError **errp)
{
    uint64_t next = le64_get(page->first) + le32_get(page->entries);

    if (!raw->len) {
        return true;
    }
    if (!object_writer_co_append(out, ENGRAM_OBJECT_MEMBERS, ENGRAM_LEVEL_STORE,
                                 raw->data, raw->len, &page->ref, errp)) {
        return false;
    }
    g_array_append_val(w->pages, *page);
    g_byte_array_set_size(raw, 0);
    *page = (EngramManifestPage){ .first = le64_make(next) };
    return true;
}

static bool coroutine_fn co_write_members(VectorIndexWriter *w, ObjectWriter *out,
                                          GError **errp)
{
    g_autoptr(GByteArray) raw = g_byte_array_new();
    g_autofree uint32_t *counts = g_new0(uint32_t, w->members->len);
    EngramManifestPage page = { 0 };
    Placed placed;
    int ret;

    if (!record_sorter_finish(w->placed, errp)) {
        return false;
    }
    while ((ret = record_sorter_next(w->placed, &placed, errp)) > 0) {
        EngramMember member = { le32_make(placed.vector), placed.bytes };

        g_byte_array_append(raw, (const uint8_t *)&member, sizeof(member));
        g_byte_array_append(raw, placed.packed, placed.bytes);
        page.entries = le32_make(le32_get(page.entries) + 1);
        counts[placed.cluster]++;
        if (raw->len >= MEMBERS_PAGE_BYTES &&
            !co_end_page(w, out, raw, &page, errp)) {
            return false;
        }
    }
    if (ret < 0 || !co_end_page(w, out, raw, &page, errp)) {
        return false;
    }
    for (guint i = 0; i < w->members->len; i++) {
        g_array_index(w->members, le32_t, i) = le32_make(counts[i]);
    }
    return true;
}

static bool coroutine_fn co_write_root(VectorIndexWriter *w, ObjectWriter *out,
                                       EngramRef *ref, GError **errp)
{
    g_autoptr(GByteArray) raw = g_byte_array_new();
    EngramVectorIndexRoot root = {
        .vectors = le64_make(w->count),
        .dimension = le32_make(VECTOR_DIMENSION),
        .short_dimension = le32_make(VECTOR_SHORT_DIMENSION),
        .clusters = le32_make(w->members->len),
        .file_clusters = le32_make(w->n_file_clusters),
        .pages = le32_make(w->pages->len),
    };

    g_byte_array_append(raw, (const uint8_t *)&root, sizeof(root));
    g_byte_array_append(raw, (const uint8_t *)w->pages->data,
                        w->pages->len * sizeof(EngramManifestPage));
    g_byte_array_append(raw, (const uint8_t *)w->members->data,
                        w->members->len * sizeof(le32_t));
    g_byte_array_append(raw, (const uint8_t *)w->centroids->data,
                        w->centroids->len * sizeof(le64_t));
    if (raw->len > ENGRAM_MAX_OBJECT_BYTES) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%" PRIu64 " vectors are too many for an index", w->count);
        return false;
    }
    return object_writer_co_append(out, ENGRAM_OBJECT_VECTOR_INDEX, ENGRAM_LEVEL_STORE,
                                   raw->data, raw->len, ref, errp);
}

bool coroutine_fn vector_index_writer_co_finish(VectorIndexWriter *w, ObjectWriter *out,
                                                EngramRef *ref, GError **errp)
{
    *ref = (EngramRef){ 0 };
    if (w->count < VECTORS_MIN || w->count > UINT32_MAX) {
        return true;
    }
    w->placed =
        record_sorter_new(sizeof(Placed), compare_placed, SORTER_BYTES, w->spool_dir);
    if (!co_cluster_kind(w, &w->kinds[FILES], errp)) {
        return false;
    }
    w->n_file_clusters = w->members->len;
    return co_cluster_kind(w, &w->kinds[DIRECTORIES], errp) &&
           co_write_members(w, out, errp) && co_write_root(w, out, ref, errp);
}
