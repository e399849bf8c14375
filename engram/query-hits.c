/*
 * Best first.
 */
#include "engram/query-hits.h"

struct QueryHits {
    GPtrArray *list;                /* of EngramQueryHit *, in order */
    unsigned max;
};

static void free_hit(gpointer data)
{
    engram_query_hit_free(data);
}

static GPtrArray *new_list(void)
{
    return g_ptr_array_new_with_free_func(free_hit);
}

QueryHits *query_hits_new(unsigned max)
{
    QueryHits *h = g_new(QueryHits, 1);

    h->list = new_list();
    h->max = max;
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

/* No two hits are of one place, so none are equal. */
static bool is_better(const EngramQueryHit *a, const EngramQueryHit *b)
{
    if (a->similarity != b->similarity) {
        return a->similarity > b->similarity;
    }
    if (a->identical != b->identical) {
        return a->identical;
    }
    if (a->engram_index != b->engram_index) {
        return a->engram_index < b->engram_index;
    }
    if (a->image_index != b->image_index) {
        return a->image_index < b->image_index;
    }
    return a->entry < b->entry;
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

        if (is_better(hit_at(h, middle), hit)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void query_hits_add(QueryHits *h, const EngramQueryHit *hit)
{
    bool full = h->list->len == h->max;

    if (full && !is_better(hit, hit_at(h, h->max - 1))) {
        return;
    }
    EngramQueryHit *copy = g_memdup2(hit, sizeof(*hit));
    copy->engram = g_strdup(hit->engram);
    copy->image = g_strdup(hit->image);
    copy->path = g_strdup(hit->path);
    if (full) {
        g_ptr_array_remove_index(h->list, h->max - 1);
    }
    g_ptr_array_insert(h->list, find_place(h, hit), copy);
}

GPtrArray *query_hits_take(QueryHits *h)
{
    GPtrArray *list = h->list;

    h->list = new_list();
    return list;
}
