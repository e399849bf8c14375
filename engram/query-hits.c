/*
 * Best first.
 */
#include "engram/query-hits.h"

#include <string.h>

struct QueryHits {
    GPtrArray *list;                /* of EngramQueryHit *, in order of compare() */
    unsigned max;
    bool fold;
};

static void free_hit(gpointer data)
{
    engram_query_hit_free(data);
}

static GPtrArray *new_list(void)
{
    return g_ptr_array_new_with_free_func(free_hit);
}

QueryHits *query_hits_new(unsigned max, bool fold)
{
    QueryHits *h = g_new(QueryHits, 1);

    h->list = new_list();
    h->max = max;
    h->fold = fold;
    return h;
}

void query_hits_free(QueryHits *h)
{
    if (!h) {
        return;
    }
    g_ptr_array_unref(h->list);
    g_free(h);
}

void engram_query_hit_free(EngramQueryHit *hit)
{
    if (!hit) {
        return;
    }
    g_free(hit->engram);
    g_free(hit->image);
    g_free(hit->path);
    g_free(hit);
}

/* Which of two places comes first; no two hits are of one place. */
static int compare_places(const EngramQueryHit *a, const EngramQueryHit *b)
{
    if (a->engram_index != b->engram_index) {
        return a->engram_index < b->engram_index ? -1 : 1;
    }
    if (a->image_index != b->image_index) {
        return a->image_index < b->image_index ? -1 : 1;
    }
    return (a->entry > b->entry) - (a->entry < b->entry);
}

static int compare_contents(const EngramQueryHit *a, const EngramQueryHit *b)
{
    if (a->similarity != b->similarity) {
        return a->similarity > b->similarity ? -1 : 1;
    }
    return b->identical - a->identical;
}

/* Below 0: a is better. */
static int compare_hits(const EngramQueryHit *a, const EngramQueryHit *b)
{
    int order = compare_contents(a, b);

    return order ? order : compare_places(a, b);
}

/* The order in which hits are kept: where contents count but once, it has nothing to do
 * with where they are, so that none is let go of and comes again. */
static int compare(const QueryHits *h, const EngramQueryHit *a, const EngramQueryHit *b)
{
    int order = compare_contents(a, b);

    if (!order && h->fold && a->has_digest && b->has_digest) {
        order = memcmp(a->digest, b->digest, sizeof(a->digest));
    } else if (!order && h->fold) {
        order = b->has_digest - a->has_digest;
    }
    return order ? order : compare_places(a, b);
}

static bool is_same_content(const EngramQueryHit *a, const EngramQueryHit *b)
{
    return a->has_digest && b->has_digest && compare_contents(a, b) == 0 &&
           a->size == b->size && memcmp(a->digest, b->digest, sizeof(a->digest)) == 0;
}

static const EngramQueryHit *hit_at(const QueryHits *h, unsigned i)
{
    return g_ptr_array_index(h->list, i);
}

/* How many of those kept are better. */
static unsigned find_place(const QueryHits *h, const EngramQueryHit *hit)
{
    unsigned low = 0, high = h->list->len;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (compare(h, hit_at(h, middle), hit) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static EngramQueryHit *copy_hit(const EngramQueryHit *hit, uint64_t copies)
{
    EngramQueryHit *copy = g_memdup2(hit, sizeof(*hit));

    copy->copies = copies;
    copy->engram = g_strdup(hit->engram);
    copy->image = g_strdup(hit->image);
    copy->path = g_strdup(hit->path);
    return copy;
}

/* Where it comes before or after the one that is kept of the same content.  False: none
 * is. */
static bool fold_hit(QueryHits *h, unsigned place, const EngramQueryHit *hit)
{
    for (unsigned i = place ? place - 1 : 0; i <= place && i < h->list->len; i++) {
        EngramQueryHit *kept = g_ptr_array_index(h->list, i);

        if (!is_same_content(kept, hit)) {
            continue;
        }
        if (compare_places(hit, kept) < 0) {
            h->list->pdata[i] = copy_hit(hit, kept->copies + 1);
            engram_query_hit_free(kept);
        } else {
            kept->copies++;
        }
        return true;
    }
    return false;
}

void query_hits_add(QueryHits *h, const EngramQueryHit *hit)
{
    unsigned place = find_place(h, hit);

    if ((h->fold && fold_hit(h, place, hit)) || place == h->max) {
        return;
    }
    if (h->list->len == h->max) {
        g_ptr_array_remove_index(h->list, h->max - 1);
    }
    g_ptr_array_insert(h->list, place, copy_hit(hit, 0));
}

static int compare_pointers(const void *a, const void *b)
{
    const EngramQueryHit *const *x = a, *const *y = b;

    return compare_hits(*x, *y);
}

GPtrArray *query_hits_take(QueryHits *h)
{
    GPtrArray *list = h->list;

    h->list = new_list();
    g_ptr_array_sort(list, compare_pointers);
    return list;
}
