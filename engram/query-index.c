/*
 * The best of an image by its index: clusters that are most like the query, their
 * members by the first of their trits, the best of these by all of them, and at last
 * what is known of the files.
 */
#include "engram/query-scan.h"

#include <hypervec/search.h>
#include <math.h>

#include "block/workers.h"
#include "engram/vector-index.h"
#include "util/error.h"
#include "util/thread-pool.h"

enum {
    /* Members that are compared: so many times the root of their number.  What more
     * would find is in docs/hypervec.md. */
    MEMBERS_PER_ROOT  = 48,
    /* How many different similarities go on to be compared in full: more than there
     * are to be hits, as short vectors tell less; of equals, all up to NEAR_MAX. */
    COMPARED_MIN      = 128,
    COMPARED_PER_HIT  = 4,
    NEAR_MAX          = 4096,
    PAGES_PER_TURN    = 16,
};

/* Members [first, end) of a cluster. */
typedef struct Range {
    uint64_t first, end;
} Range;

/* A vector that was compared in full. */
typedef struct Found {
    double similarity;
    uint64_t entry;
} Found;

typedef struct Search {
    const QueryScan *opt;
    EngramManifestReader *m;
    EngramVectorIndex *index;
    uint64_t small[VECTOR_SHORT_WORDS];     /* of the query */
    GArray *ranges;                 /* of Range, in order: members to look at */
    GArray *pages;                  /* of uint32_t, in order: that hold them */
    HypervecTop near;
    GArray *vectors;                /* of uint64_t, in order: those to compare in full */
    GArray *found;                  /* of Found */
    guint next;                     /* of pages, then of vectors */
    GError *error;                  /* the first */
} Search;

/* Some pages that are compared in one go, in the thread pool. */
typedef struct Turn {
    Search *s;
    unsigned n;
    uint32_t pages[PAGES_PER_TURN];
    uint8_t *data[PAGES_PER_TURN];
    guint first, end;               /* of Search.vectors: in these pages */
    GArray *hits;                   /* of HypervecHit: members, or entries */
    GError *error;
} Turn;

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static int compare_ranges(const void *a, const void *b)
{
    return compare_numbers(&((const Range *)a)->first, &((const Range *)b)->first);
}

/* Pages that hold members of the range; those before are in the list already. */
static void add_pages(Search *s, const Range *range)
{
    uint32_t page, last;

    engram_vector_index_find_pages(s->index, range->first, range->end, &page, &last);
    for (; page <= last; page++) {
        if (!s->pages->len ||
            g_array_index(s->pages, uint32_t, s->pages->len - 1) != page) {
            g_array_append_val(s->pages, page);
        }
    }
}

/* The clusters that are most like the query, until they have members enough. */
static void choose_clusters(Search *s)
{
    const EngramVectorIndex *index = s->index;
    uint32_t first = s->opt->directories ? index->n_file_clusters : 0;
    uint32_t n = s->opt->directories ? index->n_clusters - first
                                     : index->n_file_clusters;
    uint64_t left = MEMBERS_PER_ROOT *
                    (uint64_t)ceil(sqrt(index->starts[first + n] - index->starts[first]));
    g_autofree HypervecHit *clusters = g_new(HypervecHit, n + 1);
    HypervecTop order;

    hypervec_top_init(&order, clusters, n + 1, -1);
    hypervec_top_scan(&index->space, &order, s->opt->vector,
                      index->centroids + first * hypervec_words(&index->space), n,
                      first);
    hypervec_top_sort(&order);
    for (uint32_t i = 0; i < n && left; i++) {
        uint32_t cluster = clusters[i].index;
        Range range = { index->starts[cluster], index->starts[cluster + 1] };

        if (range.first < range.end) {
            g_array_append_val(s->ranges, range);
            left -= MIN(left, range.end - range.first);
        }
    }
    g_array_sort(s->ranges, compare_ranges);
    for (guint i = 0; i < s->ranges->len; i++) {
        add_pages(s, &g_array_index(s->ranges, Range, i));
    }
}

static void fail(Search *s, GError *error)
{
    if (s->error) {
        g_error_free(error);
    } else {
        s->error = error;
    }
}

static GError *bad_vector(const Search *s, const EngramRef *page, uint64_t vector,
                          const char *reason)
{
    return g_error_new(EMBR_ERROR, EMBR_ERROR_CORRUPT,
                       "%s: page of vectors at offset 0x%" PRIx64 ": vector %" PRIu64
                       ": %s", bdrv_filename(s->opt->file->file),
                       le64_get(page->offset), vector, reason);
}

/* A page of members: how similar are those in the ranges? */
static bool compare_members(Turn *t, uint32_t page, const uint8_t *data, guint *range)
{
    const Search *s = t->s;
    const HypervecSpace *space = vector_short_space();
    EngramMemberIter it;
    EngramMemberInfo member;
    int ret;

    engram_member_iter_init(&it, s->index, page, data);
    while ((ret = engram_member_iter_next(&it, &member, &t->error)) > 0) {
        uint64_t v[VECTOR_SHORT_WORDS];
        const char *reason;

        while (*range < s->ranges->len &&
               g_array_index(s->ranges, Range, *range).end <= member.number) {
            ++*range;
        }
        if (*range == s->ranges->len) {
            break;
        }
        if (g_array_index(s->ranges, Range, *range).first > member.number) {
            continue;
        }
        if (!hypervec_unpack(space, v, member.packed, member.bytes, &reason)) {
            t->error = bad_vector(s, &s->index->pages[page].ref, member.vector, reason);
            return false;
        }
        HypervecHit hit = { hypervec_similarity(space, s->small, v), member.vector };
        g_array_append_val(t->hits, hit);
    }
    return ret >= 0;
}

static int compare_member_pages(void *opaque)
{
    Turn *t = opaque;
    guint range = 0;

    for (unsigned i = 0; i < t->n; i++) {
        if (!compare_members(t, t->pages[i], t->data[i], &range)) {
            return -EIO;
        }
    }
    return 0;
}

/* A page of vectors: how similar are those that are wanted? */
static bool compare_vectors(Turn *t, uint32_t page, const uint8_t *data, guint *next)
{
    const Search *s = t->s;
    const EngramManifestPage *p = &s->m->vector_pages[page];
    uint64_t number = le64_get(p->first), end = number + le32_get(p->entries);
    size_t pos = 0;

    for (; number < end && *next < t->end; number++) {
        uint64_t v[HYPERVEC_WORDS(VECTOR_DIMENSION)];
        EngramVectorInfo info;
        const char *reason;

        if (!engram_manifest_take_vector(s->m, page, data, le32_get(p->ref.raw), &pos,
                                         &info, &t->error)) {
            return false;
        }
        if (g_array_index(s->vectors, uint64_t, *next) != number) {
            continue;
        }
        ++*next;
        if (!hypervec_unpack(vector_space(), v, info.packed, info.bytes, &reason)) {
            t->error = bad_vector(s, &p->ref, number, reason);
            return false;
        }
        HypervecHit hit = { hypervec_similarity(vector_space(), s->opt->vector, v),
                            info.entry };
        g_array_append_val(t->hits, hit);
    }
    return true;
}

static int compare_vector_pages(void *opaque)
{
    Turn *t = opaque;
    guint next = t->first;

    for (unsigned i = 0; i < t->n; i++) {
        if (!compare_vectors(t, t->pages[i], t->data[i], &next)) {
            return -EIO;
        }
    }
    return 0;
}

static void turn_init(Turn *t, Search *s)
{
    *t = (Turn){ .s = s };
    t->hits = g_array_new(FALSE, FALSE, sizeof(HypervecHit));
}

static void turn_reset(Turn *t)
{
    for (unsigned i = 0; i < t->n; i++) {
        g_clear_pointer(&t->data[i], g_free);
    }
    t->n = 0;
    g_array_set_size(t->hits, 0);
}

static void turn_clear(Turn *t)
{
    turn_reset(t);
    g_array_unref(t->hits);
}

/* Loads the pages, and compares what is in them.  False: it failed. */
static bool coroutine_fn co_run_turn(Turn *t, const EngramManifestPage *pages,
                                     EngramObjectType type, ThreadPoolFunc *compare)
{
    Search *s = t->s;
    unsigned n = t->n;

    for (t->n = 0; t->n < n; t->n++) {
        t->data[t->n] = engram_file_co_load(s->opt->file, &pages[t->pages[t->n]].ref,
                                            type, NULL, &t->error);
        if (!t->data[t->n]) {
            fail(s, g_steal_pointer(&t->error));
            return false;
        }
    }
    if (thread_pool_co_run(thread_pool_cpu(), compare, t) < 0) {
        fail(s, g_steal_pointer(&t->error));
        return false;
    }
    return true;
}

/* One of several coroutines: while one reads, others compare. */
static void coroutine_fn co_compare_members(void *opaque)
{
    Search *s = opaque;
    Turn t;

    turn_init(&t, s);
    while (s->next < s->pages->len && !s->error) {
        turn_reset(&t);
        while (t.n < PAGES_PER_TURN && s->next < s->pages->len) {
            t.pages[t.n++] = g_array_index(s->pages, uint32_t, s->next++);
        }
        if (!co_run_turn(&t, s->index->pages, ENGRAM_OBJECT_MEMBERS,
                         compare_member_pages)) {
            break;
        }
        for (guint i = 0; i < t.hits->len; i++) {
            const HypervecHit *hit = &g_array_index(t.hits, HypervecHit, i);

            hypervec_top_add(&s->near, hit->similarity, hit->index);
        }
    }
    turn_clear(&t);
}

/* The next vectors, those in up to PAGES_PER_TURN pages. */
static void take_vectors(Search *s, Turn *t)
{
    t->first = s->next;
    for (; s->next < s->vectors->len; s->next++) {
        uint64_t vector = g_array_index(s->vectors, uint64_t, s->next);
        uint32_t page = engram_manifest_find_vector_page(s->m, vector);

        if (!t->n || t->pages[t->n - 1] != page) {
            if (t->n == PAGES_PER_TURN) {
                break;
            }
            t->pages[t->n++] = page;
        }
    }
    t->end = s->next;
}

static void coroutine_fn co_compare_vectors(void *opaque)
{
    Search *s = opaque;
    Turn t;

    turn_init(&t, s);
    while (s->next < s->vectors->len && !s->error) {
        turn_reset(&t);
        take_vectors(s, &t);
        if (!co_run_turn(&t, s->m->vector_pages, ENGRAM_OBJECT_VECTORS,
                         compare_vector_pages)) {
            break;
        }
        for (guint i = 0; i < t.hits->len; i++) {
            const HypervecHit *hit = &g_array_index(t.hits, HypervecHit, i);
            Found found = { hit->similarity, hit->index };

            if (found.entry != ENGRAM_VECTOR_OF_IMAGE) {
                g_array_append_val(s->found, found);
            }
        }
    }
    turn_clear(&t);
}

static void coroutine_fn co_run(Search *s, CoroutineEntry *entry)
{
    s->next = 0;
    co_run_workers(thread_pool_max_threads(thread_pool_cpu()) + 1, entry, s);
}

/* The nearest members are to be compared in full, each once, in the order of pages. */
static void choose_vectors(Search *s)
{
    unsigned left = MAX(COMPARED_MIN, COMPARED_PER_HIT * s->opt->n_hits);
    guint n = 0;

    hypervec_top_sort(&s->near);
    for (size_t i = 0; i < s->near.n; i++) {
        const HypervecHit *hit = &s->near.hits[i];

        if ((i == 0 || hit[-1].similarity != hit->similarity) && left-- == 0) {
            break;
        }
        g_array_append_val(s->vectors, hit->index);
    }
    g_array_sort(s->vectors, compare_numbers);
    for (guint i = 0; i < s->vectors->len; i++) {
        uint64_t vector = g_array_index(s->vectors, uint64_t, i);

        if (n == 0 || g_array_index(s->vectors, uint64_t, n - 1) != vector) {
            g_array_index(s->vectors, uint64_t, n++) = vector;
        }
    }
    g_array_set_size(s->vectors, n);
}

static int compare_similarities(const void *a, const void *b)
{
    const Found *x = a, *y = b;

    return (x->similarity < y->similarity) - (x->similarity > y->similarity);
}

static int compare_entries(const void *a, const void *b)
{
    return compare_numbers(&((const Found *)a)->entry, &((const Found *)b)->entry);
}

/* Leaves what may be a hit, in the order of entries: as many different similarities as
 * there are to be hits, since those that are equal may be of one content. */
static void choose_found(Search *s)
{
    unsigned left = s->opt->n_hits;
    guint n = 0;

    g_array_sort(s->found, compare_similarities);
    for (; n < s->found->len; n++) {
        const Found *found = &g_array_index(s->found, Found, n);

        if (!query_is_similar(s->opt, found->similarity) ||
            ((n == 0 || found[-1].similarity != found->similarity) && left-- == 0)) {
            break;
        }
    }
    g_array_set_size(s->found, n);
    g_array_sort(s->found, compare_entries);
}

/* Goes to that entry, which is not before the one it is at. */
static int coroutine_fn co_go_to_entry(Search *s, EngramFileIter *it, uint64_t entry,
                                       EngramFileInfo *file, GError **errp)
{
    int ret;

    if (entry >= it->page_end) {
        engram_file_iter_clear(it);
        engram_file_iter_init(it, s->m, entry, UINT64_MAX);
    }
    do {
        ret = engram_file_iter_co_next(it, file, errp);
    } while (ret > 0 && file->number < entry);
    return ret;
}

static bool coroutine_fn co_add_hits(Search *s, QueryHits *hits, GError **errp)
{
    g_autoptr(GString) path = g_string_new(NULL);
    g_auto(EngramFileIter) it;
    EngramFileInfo file;

    engram_file_iter_init(&it, s->m, 0, UINT64_MAX);
    for (guint i = 0; i < s->found->len; i++) {
        const Found *found = &g_array_index(s->found, Found, i);
        int ret = co_go_to_entry(s, &it, found->entry, &file, errp);

        if (ret < 0) {
            return false;
        }
        if (ret > 0 && query_is_kind(s->opt, file.mode)) {
            EngramQueryHit hit = query_make_hit(s->opt, &file);

            query_set_path(path, s->m, &file);
            hit.similarity = found->similarity;
            hit.path = path->str;
            query_hits_add(hits, &hit);
        }
    }
    return true;
}

static bool coroutine_fn co_search(Search *s, QueryHits *hits, GError **errp)
{
    choose_clusters(s);
    co_run(s, co_compare_members);
    if (!s->error) {
        choose_vectors(s);
        co_run(s, co_compare_vectors);
    }
    if (s->error) {
        g_propagate_error(errp, s->error);
        return false;
    }
    choose_found(s);
    return co_add_hits(s, hits, errp);
}

bool coroutine_fn query_co_search_index(const QueryScan *opt, EngramManifestReader *m,
                                        QueryHits *hits, GError **errp)
{
    g_autoptr(EngramVectorIndex) index =
        engram_vector_index_co_open(m, opt->image, errp);
    g_autofree HypervecHit *near = index ? g_new(HypervecHit, NEAR_MAX) : NULL;
    Search s = { .opt = opt, .m = m, .index = index };

    if (!index) {
        return false;
    }
    vector_shorten(vector_space(), s.small, opt->vector);
    hypervec_top_init(&s.near, near, NEAR_MAX, -1);
    s.ranges = g_array_new(FALSE, FALSE, sizeof(Range));
    s.pages = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    s.vectors = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    s.found = g_array_new(FALSE, FALSE, sizeof(Found));
    bool ok = co_search(&s, hits, errp);
    g_array_unref(s.ranges);
    g_array_unref(s.pages);
    g_array_unref(s.vectors);
    g_array_unref(s.found);
    return ok;
}
