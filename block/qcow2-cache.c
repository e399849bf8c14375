/*
 * Tables in memory, in slices.  Clean ones that were not used for long go first; dirty ones
 * stay until they are written (qcow2-checkpoint.c).
 */
#include "qcow2.h"

struct Qcow2Cache {
    BlkdebugEvent load_event;
    BlkdebugEvent update_event;
    size_t slice_bytes;
    size_t max_slices;
    GHashTable *slices;             /* &slice->offset -> slice */
    GQueue clean;                   /* of link; the head was used last */
    GQueue dirty;
};

Qcow2Cache *qcow2_cache_new(size_t slice_bytes, uint64_t max_bytes, BlkdebugEvent load,
                            BlkdebugEvent update)
{
    Qcow2Cache *cache = g_new0(Qcow2Cache, 1);
    cache->slice_bytes = slice_bytes;
    cache->max_slices = MAX(2, max_bytes / slice_bytes);
    cache->load_event = load;
    cache->update_event = update;
    cache->slices = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_queue_init(&cache->clean);
    g_queue_init(&cache->dirty);
    return cache;
}

static GQueue *queue_of(Qcow2Cache *cache, const Qcow2Slice *slice)
{
    return slice->dirty ? &cache->dirty : &cache->clean;
}

static void release(Qcow2Slice *slice)
{
    if (slice->dropped && slice->pins == 0) {
        g_free(slice);
    }
}

/* The memory goes with the last pin. */
static void drop(Qcow2Cache *cache, Qcow2Slice *slice)
{
    g_hash_table_remove(cache->slices, &slice->offset);
    g_queue_unlink(queue_of(cache, slice), &slice->link);
    slice->dropped = true;
}

static void drop_all(Qcow2Cache *cache, GQueue *queue)
{
    while (!g_queue_is_empty(queue)) {
        Qcow2Slice *slice = g_queue_peek_head(queue);
        drop(cache, slice);
        release(slice);
    }
}

void qcow2_cache_clear(Qcow2Cache *cache)
{
    drop_all(cache, &cache->clean);
    drop_all(cache, &cache->dirty);
}

void qcow2_cache_free(Qcow2Cache *cache)
{
    if (!cache) {
        return;
    }
    qcow2_cache_clear(cache);
    g_hash_table_unref(cache->slices);
    g_free(cache);
}

size_t qcow2_cache_slice_bytes(const Qcow2Cache *cache)
{
    return cache->slice_bytes;
}

/* Memory for one more slice: the oldest unused one's, if the cache is full. Slices
 * that are in use or dirty may put it over its bound for a while. */
static Qcow2Slice *make_room(Qcow2Cache *cache)
{
    Qcow2Slice *spare = NULL;
    GList *link = cache->clean.tail;

    while (link && g_hash_table_size(cache->slices) >= cache->max_slices) {
        Qcow2Slice *slice = link->data;
        link = link->prev;
        if (slice->pins == 0) {
            drop(cache, slice);
            g_free(spare);
            spare = slice;
        }
    }
    return spare ? spare : g_malloc(sizeof(*spare) + cache->slice_bytes);
}

static Qcow2Slice *add_slice(Qcow2Cache *cache, uint64_t offset, bool dirty)
{
    Qcow2Slice *slice = make_room(cache);

    *slice = (Qcow2Slice){ .offset = offset, .pins = 1, .dirty = dirty };
    slice->link.data = slice;
    co_queue_init(&slice->waiters);
    g_hash_table_insert(cache->slices, &slice->offset, slice);
    g_queue_push_head_link(queue_of(cache, slice), &slice->link);
    return slice;
}

static void touch(Qcow2Cache *cache, Qcow2Slice *slice)
{
    if (!slice->dirty && cache->clean.head != &slice->link) {
        g_queue_unlink(&cache->clean, &slice->link);
        g_queue_push_head_link(&cache->clean, &slice->link);
    }
}

int coroutine_fn qcow2_cache_co_get(Qcow2Cache *cache, BlockDriverState *file,
                                    uint64_t offset, Qcow2Slice **result)
{
    Qcow2Slice *slice = g_hash_table_lookup(cache->slices, &offset);

    if (slice) {
        slice->pins++;
        touch(cache, slice);
        while (slice->loading) {
            co_queue_wait(&slice->waiters);
        }
    } else {
        slice = add_slice(cache, offset, false);
        slice->loading = true;
        bdrv_co_debug_event(file, cache->load_event);
        slice->ret = bdrv_co_pread(file, offset, cache->slice_bytes, slice->data, 0);
        slice->loading = false;
        if (slice->ret < 0 && !slice->dropped) {
            drop(cache, slice);
        }
        co_queue_all(&slice->waiters);
    }

    if (slice->ret < 0) {
        int ret = slice->ret;
        qcow2_cache_put(slice);
        return ret;
    }
    *result = slice;
    return 0;
}

void qcow2_cache_put(Qcow2Slice *slice)
{
    slice->pins--;
    release(slice);
}

Qcow2Slice *qcow2_cache_new_slice(Qcow2Cache *cache, uint64_t offset)
{
    Qcow2Slice *old = g_hash_table_lookup(cache->slices, &offset);

    if (old) {
        drop(cache, old);
        release(old);
    }
    Qcow2Slice *slice = add_slice(cache, offset, true);
    memset(slice->data, 0, cache->slice_bytes);
    return slice;
}

void qcow2_cache_set_dirty(Qcow2Cache *cache, Qcow2Slice *slice)
{
    if (!slice->dirty && !slice->dropped) {
        g_queue_unlink(&cache->clean, &slice->link);
        slice->dirty = true;
        g_queue_push_head_link(&cache->dirty, &slice->link);
    }
}

static void set_clean(Qcow2Cache *cache, Qcow2Slice *slice)
{
    g_queue_unlink(&cache->dirty, &slice->link);
    slice->dirty = false;
    g_queue_push_head_link(&cache->clean, &slice->link);
}

void qcow2_cache_drop(Qcow2Cache *cache, uint64_t offset, uint64_t bytes)
{
    for (uint64_t end = offset + bytes; offset < end; offset += cache->slice_bytes) {
        Qcow2Slice *slice = g_hash_table_lookup(cache->slices, &offset);
        if (slice) {
            drop(cache, slice);
            release(slice);
        }
    }
}

bool qcow2_cache_is_clean(const Qcow2Cache *cache)
{
    return cache->dirty.length == 0;
}

bool qcow2_cache_is_crowded(const Qcow2Cache *cache)
{
    return cache->dirty.length > cache->max_slices / 2;
}

static int compare_offsets(gconstpointer a, gconstpointer b)
{
    const Qcow2SliceCopy *x = *(Qcow2SliceCopy *const *)a, *y = *(Qcow2SliceCopy *const *)b;
    return x->slice->offset < y->slice->offset ? -1 : x->slice->offset > y->slice->offset;
}

GPtrArray *qcow2_cache_take_dirty(Qcow2Cache *cache)
{
    GPtrArray *copies = g_ptr_array_new_with_free_func(g_free);

    while (!g_queue_is_empty(&cache->dirty)) {
        Qcow2Slice *slice = g_queue_peek_head(&cache->dirty);
        Qcow2SliceCopy *copy = g_malloc(sizeof(*copy) + cache->slice_bytes);
        copy->slice = slice;
        memcpy(copy->data, slice->data, cache->slice_bytes);
        slice->pins++;
        set_clean(cache, slice);
        g_ptr_array_add(copies, copy);
    }
    g_ptr_array_sort(copies, compare_offsets);
    return copies;
}

/* Copies from index on that follow each other in the file, written at once. */
static int coroutine_fn co_write_run(const Qcow2Cache *cache, BlockDriverState *file,
                                     const GPtrArray *copies, unsigned *index)
{
    const Qcow2SliceCopy *first = copies->pdata[*index];
    uint64_t next = first->slice->offset;
    g_auto(IOVector) iov = { 0 };

    iovector_init(&iov, 4);
    for (; *index < copies->len; (*index)++) {
        Qcow2SliceCopy *copy = copies->pdata[*index];
        if (copy->slice->offset != next) {
            break;
        }
        iovector_add(&iov, copy->data, cache->slice_bytes);
        next += cache->slice_bytes;
    }
    bdrv_co_debug_event(file, cache->update_event);
    return bdrv_co_pwritev(file, first->slice->offset, iov.size, &iov, 0, 0);
}

int coroutine_fn qcow2_cache_co_write_copies(const Qcow2Cache *cache, BlockDriverState *file,
                                             const GPtrArray *copies)
{
    int ret = 0;

    for (unsigned i = 0; i < copies->len && ret >= 0;) {
        ret = co_write_run(cache, file, copies, &i);
    }
    return ret;
}

void qcow2_cache_free_copies(Qcow2Cache *cache, GPtrArray *copies, bool written)
{
    for (unsigned i = 0; i < copies->len; i++) {
        Qcow2Slice *slice = ((Qcow2SliceCopy *)copies->pdata[i])->slice;
        if (!written) {
            qcow2_cache_set_dirty(cache, slice);
        }
        qcow2_cache_put(slice);
    }
    g_ptr_array_unref(copies);
}
