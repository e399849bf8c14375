/*
 * Clusters taken and given back.
 *
 * What is counted here is in memory at first; qcow2-checkpoint.c has the order in which it
 * gets into the file.  A count may be written before there is a reference at any time; it
 * goes down only after the reference is gone for good.
 */
#include "qcow2-writer.h"

/* Looks at the counts from *cluster on, in one slice: how many are 0 in a row, at most n. */
static int coroutine_fn co_count_free(BlockDriverState *bs, uint64_t cluster, uint64_t n,
                                      uint64_t *free, uint64_t *seen)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    unsigned order = s->header.refcount_order;
    uint64_t per_slice = (uint64_t)qcow2_cache_slice_bytes(w->refcounts) * 8 >> order;
    uint64_t index;
    Qcow2Slice *slice;

    int ret = qcow2_co_get_refcount_slice(bs, cluster, &slice, &index);
    if (ret < 0) {
        return ret;
    }
    uint64_t i = index;
    while (i < per_slice && i - index < n &&
           qcow2_refcount_load(slice->data, order, i) == 0) {
        i++;
    }
    *free = i - index;
    while (*free == 0 && i < per_slice && qcow2_refcount_load(slice->data, order, i) != 0) {
        i++;
    }
    *seen = i - index;
    qcow2_cache_put(slice);
    return 0;
}

int coroutine_fn qcow2_co_find_free(BlockDriverState *bs, uint64_t n, uint64_t from,
                                    uint64_t avoid_start, uint64_t avoid_end,
                                    uint64_t *cluster)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    uint64_t per_block = UINT64_C(1) << w->block_bits;
    uint64_t limit = QCOW2_MAX_HOST_OFFSET >> s->header.cluster_bits;
    uint64_t start = from, pos = from;

    while (pos - start < n) {
        if (pos >= avoid_start && pos < avoid_end) {
            start = pos = avoid_end;
            continue;
        }
        uint64_t wanted = n - (pos - start);
        if (pos < avoid_start) {
            wanted = MIN(wanted, avoid_start - pos);
        }
        if (pos >= limit || wanted > limit - pos) {
            return -EFBIG;
        }
        if (!qcow2_refcount_block(w, pos)) {
            pos += MIN(wanted, per_block - (pos & (per_block - 1)));
            continue;
        }
        uint64_t free, seen;
        int ret = co_count_free(bs, pos, wanted, &free, &seen);
        if (ret < 0) {
            return ret;
        }
        pos += seen;
        if (free == 0) {
            start = pos;
        }
    }
    *cluster = start;
    return 0;
}

/* What is to happen to a count. */
typedef int ChangeFunc(uint64_t *refcount, int64_t value);

static int set_count(uint64_t *refcount, int64_t value)
{
    *refcount = value;
    return 0;
}

static int add_to_count(uint64_t *refcount, int64_t value)
{
    if (value < 0 ? *refcount < (uint64_t)-value : *refcount > UINT64_MAX - value) {
        return -ERANGE;
    }
    *refcount += value;
    return 0;
}

/* A cluster that nothing refers to any more. */
static void note_unused(BlockDriverState *bs, uint64_t cluster)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    uint64_t offset = cluster << s->header.cluster_bits;

    w->free_hint = MIN(w->free_hint, cluster);
    if (w->compressed_at >> s->header.cluster_bits == cluster) {
        w->compressed_at = 0;
    }
    if (g_hash_table_remove(w->tables, GSIZE_TO_POINTER(cluster))) {
        qcow2_cache_drop(s->l2_cache, offset, s->cluster_bytes);
        qcow2_cache_drop(w->refcounts, offset, s->cluster_bytes);
    }
}

/* Changes the counts of n clusters, slice by slice. *done: how many were. */
static int coroutine_fn co_change(BlockDriverState *bs, uint64_t first, uint64_t n,
                                  ChangeFunc *func, int64_t value, uint64_t *done)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    unsigned order = s->header.refcount_order;
    uint64_t max = qcow2_refcount_max(order);
    uint64_t per_slice = (uint64_t)qcow2_cache_slice_bytes(w->refcounts) * 8 >> order;

    for (*done = 0; *done < n;) {
        Qcow2Slice *slice;
        uint64_t index;
        int ret = qcow2_co_get_refcount_slice(bs, first + *done, &slice, &index);
        for (; ret >= 0 && index < per_slice && *done < n; index++, (*done)++) {
            uint64_t before = qcow2_refcount_load(slice->data, order, index);
            uint64_t count = before;
            ret = func(&count, value);
            if (ret < 0 || count > max) {
                ret = -ERANGE;
                break;
            }
            qcow2_refcount_store(slice->data, order, index, count);
            qcow2_cache_set_dirty(w->refcounts, slice);
            if (before && !count) {
                note_unused(bs, first + *done);
            }
        }
        if (ret < 0) {
            if (ret == -ERANGE) {
                qcow2_cache_put(slice);
            }
            return ret;
        }
        qcow2_cache_put(slice);
    }
    return 0;
}

int coroutine_fn qcow2_co_get_refcount(BlockDriverState *bs, uint64_t cluster,
                                       uint64_t *refcount)
{
    Qcow2State *s = bs->opaque;
    Qcow2Slice *slice;
    uint64_t index;

    *refcount = 0;
    if (!qcow2_refcount_block(s->writer, cluster)) {
        return 0;
    }
    int ret = qcow2_co_get_refcount_slice(bs, cluster, &slice, &index);
    if (ret >= 0) {
        *refcount = qcow2_refcount_load(slice->data, s->header.refcount_order, index);
        qcow2_cache_put(slice);
    }
    return ret;
}

int coroutine_fn qcow2_co_set_refcount(BlockDriverState *bs, uint64_t cluster,
                                       uint64_t refcount)
{
    Qcow2State *s = bs->opaque;
    uint64_t done;

    if (!qcow2_refcount_block(s->writer, cluster)) {
        int ret = refcount ? qcow2_co_need_blocks(bs, cluster, 1) : 0;
        if (ret < 0 || !refcount) {
            return ret;
        }
    }
    return co_change(bs, cluster, 1, set_count, refcount, &done);
}

/* The first cluster, and the number, that the bytes touch. */
static uint64_t touched(const Qcow2State *s, uint64_t offset, uint64_t bytes, uint64_t *n)
{
    uint64_t first = offset >> s->header.cluster_bits;
    *n = bytes ? ((offset + bytes - 1) >> s->header.cluster_bits) - first + 1 : 0;
    return first;
}

/* All or nothing, unless the file cannot be read. */
int coroutine_fn qcow2_co_add_refcount(BlockDriverState *bs, uint64_t offset, uint64_t bytes,
                                       int64_t change)
{
    Qcow2State *s = bs->opaque;
    uint64_t n, done;
    uint64_t first = touched(s, offset, bytes, &n);

    int ret = co_change(bs, first, n, add_to_count, change, &done);
    if (ret == -ERANGE && change > 0) {
        bdrv_note_error(bs, g_error_new(EMBR_ERROR, EMBR_ERROR_LIMIT,
                                        "%s: the refcount of cluster %" PRIu64
                                        " would be more than refcounts of %u bits can tell",
                                        bdrv_filename(bs), first + done,
                                        1u << s->header.refcount_order));
    }
    if (ret < 0 && done) {
        uint64_t undone;
        co_change(bs, first, done, add_to_count, -change, &undone);
    }
    return ret;
}

int coroutine_fn qcow2_co_drop_refcount(BlockDriverState *bs, uint64_t offset, uint64_t bytes)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    unsigned order = s->header.refcount_order;
    uint64_t per_slice = (uint64_t)qcow2_cache_slice_bytes(w->refcounts) * 8 >> order;
    uint64_t n, index = 0;
    uint64_t first = touched(s, offset, bytes, &n);
    Qcow2Slice *slice = NULL;

    for (uint64_t i = 0; i < n; i++, index++) {
        if (!slice || index == per_slice) {
            g_clear_pointer(&slice, qcow2_cache_put);
            int ret = qcow2_refcount_block(w, first + i)
                          ? qcow2_co_get_refcount_slice(bs, first + i, &slice, &index)
                          : qcow2_refuse(bs, "cluster %" PRIu64 " is in use, but its refcount "
                                         "is 0", first + i);
            if (ret < 0) {
                return ret;
            }
        }
        uint64_t count = qcow2_refcount_load(slice->data, order, index);
        if (count > 1) {
            qcow2_refcount_store(slice->data, order, index, count - 1);
            qcow2_cache_set_dirty(w->refcounts, slice);
        } else if (count == 1) {
            qcow2_free_later(bs, (first + i) << s->header.cluster_bits, s->cluster_bytes);
        } else {
            qcow2_cache_put(slice);
            return qcow2_refuse(bs, "cluster %" PRIu64 " is in use, but its refcount is 0",
                                first + i);
        }
    }
    g_clear_pointer(&slice, qcow2_cache_put);
    return 0;
}

int coroutine_fn qcow2_co_apply_free(BlockDriverState *bs, const Qcow2Free *f)
{
    Qcow2State *s = bs->opaque;
    uint64_t done;
    uint64_t first = f->offset >> s->header.cluster_bits;

    for (uint64_t i = 0; i < f->clusters; i++) {
        if (!qcow2_refcount_block(s->writer, first + i)) {
            return qcow2_refuse(bs, "cluster %" PRIu64 " is in use, but its refcount is 0",
                                first + i);
        }
    }
    int ret = co_change(bs, first, f->clusters, add_to_count, -1, &done);
    if (ret == -ERANGE) {
        return qcow2_refuse(bs, "cluster %" PRIu64 " is in use, but its refcount is 0",
                            first + done);
    }
    if (s->compressed) {
        qcow2_compressed_cache_drop(s->compressed, f->offset,
                                    f->clusters << s->header.cluster_bits);
    }
    if (ret >= 0 && (bs->open_flags & BDRV_O_UNMAP)) {
        for (uint64_t i = 0; i < f->clusters; i++) {
            uint64_t refcount;
            if (qcow2_co_get_refcount(bs, first + i, &refcount) >= 0 && refcount == 0) {
                bdrv_co_pdiscard(bs->file, (first + i) << s->header.cluster_bits,
                                 s->cluster_bytes);
            }
        }
    }
    return ret;
}

void qcow2_free_later(BlockDriverState *bs, uint64_t offset, uint64_t bytes)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    uint64_t n;
    uint64_t first = touched(s, offset, bytes, &n);
    Qcow2Free f = { .offset = first << s->header.cluster_bits, .clusters = n };

    w->free_clusters += n;
    if (w->frees->len) {
        Qcow2Free *last = &g_array_index(w->frees, Qcow2Free, w->frees->len - 1);
        if (last->offset + (last->clusters << s->header.cluster_bits) == f.offset) {
            last->clusters += n;
            return;
        }
    }
    g_array_append_val(w->frees, f);
}

/* None of the clusters may be one of the tables. */
static int check_unused(BlockDriverState *bs, uint64_t first, uint64_t n)
{
    Qcow2State *s = bs->opaque;
    const char *what = qcow2_metadata_at(bs, first << s->header.cluster_bits,
                                         n << s->header.cluster_bits);
    if (what) {
        return qcow2_refuse(bs, "clusters %" PRIu64 " to %" PRIu64
                            " have refcount 0, but the %s is there", first, first + n - 1,
                            what);
    }
    return 0;
}

/* Counts clusters that are free; with the lock. */
static int coroutine_fn co_take(BlockDriverState *bs, uint64_t first, uint64_t n)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    uint64_t done = 0;

    int ret = check_unused(bs, first, n);
    if (ret < 0) {
        return ret;
    }
    /* Whoever else needs a place now is to look behind these. */
    w->alloc_end = MAX(w->alloc_end, (first + n) << s->header.cluster_bits);
    ret = qcow2_co_need_blocks(bs, first, n);
    if (ret >= 0) {
        ret = co_change(bs, first, n, set_count, 1, &done);
    }
    if (ret < 0 && done) {
        qcow2_free_later(bs, first << s->header.cluster_bits,
                         done << s->header.cluster_bits);
    }
    return ret;
}

int64_t coroutine_fn qcow2_co_alloc(BlockDriverState *bs, uint64_t clusters)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    uint64_t first;

    bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_CLUSTER_ALLOC);
    co_mutex_lock(&w->alloc_lock);
    int ret = qcow2_co_find_free(bs, clusters, w->free_hint, 0, 0, &first);
    if (ret >= 0) {
        ret = co_take(bs, first, clusters);
    }
    if (ret >= 0) {
        w->free_hint = first + clusters;
    }
    co_mutex_unlock(&w->alloc_lock);
    return ret < 0 ? ret : (int64_t)(first << s->header.cluster_bits);
}

/* Where compressed data of that size goes: behind the last one if there is room. */
static int coroutine_fn co_place_bytes(BlockDriverState *bs, uint32_t size, uint64_t *offset)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    uint64_t in_cluster = w->compressed_at & (s->cluster_bytes - 1);
    uint64_t left = w->compressed_at && in_cluster ? s->cluster_bytes - in_cluster : 0;
    uint64_t refcount = UINT64_MAX, first;
    int ret = 0;

    if (left) {
        ret = qcow2_co_get_refcount(bs, w->compressed_at >> s->header.cluster_bits, &refcount);
        if (ret < 0) {
            return ret;
        }
    }
    bool shares = left && refcount && refcount < qcow2_refcount_max(s->header.refcount_order);
    if (shares && size <= left) {
        *offset = w->compressed_at;
        return qcow2_co_add_refcount(bs, *offset, size, 1);
    }
    uint64_t n = qcow2_clusters(s, shares ? size - left : size);
    ret = qcow2_co_find_free(bs, n, w->free_hint, 0, 0, &first);
    uint64_t next = (w->compressed_at >> s->header.cluster_bits) + 1;
    if (ret >= 0 && shares && first != next) {
        shares = false;
        n = qcow2_clusters(s, size);
        ret = qcow2_co_find_free(bs, n, w->free_hint, 0, 0, &first);
    }
    if (ret >= 0) {
        ret = co_take(bs, first, n);
    }
    if (ret < 0) {
        return ret;
    }
    w->free_hint = first + n;
    if (!shares) {
        *offset = first << s->header.cluster_bits;
        return 0;
    }
    *offset = w->compressed_at;
    ret = qcow2_co_add_refcount(bs, *offset, 1, 1);
    if (ret < 0) {
        qcow2_free_later(bs, first << s->header.cluster_bits, n << s->header.cluster_bits);
    }
    return ret;
}

int coroutine_fn qcow2_co_alloc_bytes(BlockDriverState *bs, const uint32_t *sizes,
                                      unsigned n, uint64_t *offsets)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    int ret = 0;
    unsigned i;

    bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_CLUSTER_ALLOC_BYTES);
    co_mutex_lock(&w->alloc_lock);
    for (i = 0; i < n && ret >= 0; i++) {
        ret = co_place_bytes(bs, sizes[i], &offsets[i]);
        if (ret >= 0) {
            w->compressed_at = offsets[i] + sizes[i];
        }
    }
    for (unsigned j = 0; ret < 0 && j + 1 < i; j++) {
        qcow2_free_later(bs, offsets[j], sizes[j]);
    }
    co_mutex_unlock(&w->alloc_lock);
    return ret;
}
