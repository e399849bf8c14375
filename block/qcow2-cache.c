/*
 * L2 tables in memory, in slices, least recently used go first.
 */
#include "qcow2.h"

struct Qcow2L2Cache {
    size_t slice_bytes;
    size_t max_slices;
    GHashTable *slices;             /* &slice->offset -> slice */
    GQueue lru;                     /* of lru_link; the head was used last */
};

Qcow2L2Cache *qcow2_l2_cache_new(size_t slice_bytes, uint64_t max_bytes)
{
    Qcow2L2Cache *cache = g_new0(Qcow2L2Cache, 1);
    cache->slice_bytes = slice_bytes;
    cache->max_slices = MAX(2, max_bytes / slice_bytes);
    cache->slices = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_queue_init(&cache->lru);
    return cache;
}

static void drop(Qcow2L2Cache *cache, Qcow2L2Slice *slice)
{
    g_hash_table_remove(cache->slices, &slice->offset);
    g_queue_unlink(&cache->lru, &slice->lru_link);
}

void qcow2_l2_cache_free(Qcow2L2Cache *cache)
{
    if (!cache) {
        return;
    }
    while (!g_queue_is_empty(&cache->lru)) {
        Qcow2L2Slice *slice = g_queue_peek_head(&cache->lru);
        drop(cache, slice);
        g_free(slice);
    }
    g_hash_table_unref(cache->slices);
    g_free(cache);
}

size_t qcow2_l2_cache_slice_bytes(const Qcow2L2Cache *cache)
{
    return cache->slice_bytes;
}

/* Memory for one more slice: the oldest unused one's, if the cache is full. Slices
 * in use may put it over its bound for a while. */
static Qcow2L2Slice *make_room(Qcow2L2Cache *cache)
{
    Qcow2L2Slice *spare = NULL;
    GList *link = cache->lru.tail;

    while (link && cache->lru.length >= cache->max_slices) {
        Qcow2L2Slice *slice = link->data;
        link = link->prev;
        if (slice->pins == 0) {
            drop(cache, slice);
            g_free(spare);
            spare = slice;
        }
    }
    return spare ? spare : g_malloc(sizeof(*spare) + cache->slice_bytes);
}

int coroutine_fn qcow2_l2_cache_co_get(Qcow2L2Cache *cache, BlockDriverState *file,
                                       uint64_t offset, Qcow2L2Slice **result)
{
    Qcow2L2Slice *slice = g_hash_table_lookup(cache->slices, &offset);

    if (slice) {
        slice->pins++;
        if (cache->lru.head != &slice->lru_link) {
            g_queue_unlink(&cache->lru, &slice->lru_link);
            g_queue_push_head_link(&cache->lru, &slice->lru_link);
        }
        while (slice->loading) {
            co_queue_wait(&slice->waiters);
        }
    } else {
        slice = make_room(cache);
        *slice = (Qcow2L2Slice){ .offset = offset, .pins = 1, .loading = true };
        slice->lru_link.data = slice;
        co_queue_init(&slice->waiters);
        g_hash_table_insert(cache->slices, &slice->offset, slice);
        g_queue_push_head_link(&cache->lru, &slice->lru_link);

        slice->ret = bdrv_co_pread(file, offset, cache->slice_bytes, slice->data, 0);
        slice->loading = false;
        if (slice->ret < 0) {
            drop(cache, slice);
        }
        co_queue_all(&slice->waiters);
    }

    if (slice->ret < 0) {
        int ret = slice->ret;
        if (--slice->pins == 0) {
            g_free(slice);
        }
        return ret;
    }
    *result = slice;
    return 0;
}

void qcow2_l2_cache_put(Qcow2L2Cache *cache G_GNUC_UNUSED, Qcow2L2Slice *slice)
{
    slice->pins--;
}
