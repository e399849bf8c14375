/*
 * Version 2 has no clusters that are marked as zeroes.  Those of the disk become unallocated
 * or, over a backing image, are written; those that only snapshots have are changed in their
 * L2 tables.  What is read stays the same at any time.
 */
#include "qcow2-writer.h"

#include <errno.h>

enum { ZEROES_BYTES = 1 << 20 };

/* --- Of the disk --- */

static int coroutine_fn co_write_zeroes(BlockDriverState *bs, uint64_t pos, uint64_t bytes)
{
    g_autofree uint8_t *zeroes = g_malloc0(MIN(bytes, ZEROES_BYTES));
    IOVector iov;
    int ret = 0;

    for (uint64_t done = 0; done < bytes && ret >= 0; done += iov.size) {
        iovector_init_buf(&iov, zeroes, MIN(bytes - done, ZEROES_BYTES));
        ret = qcow2_co_pwritev(bs, pos + done, iov.size, &iov, 0, BDRV_REQ_NONE);
    }
    return ret;
}

static int coroutine_fn co_expand_disk(BlockDriverState *bs, Progress *progress)
{
    Qcow2State *s = bs->opaque;
    uint64_t end = bs->total_bytes;
    int ret = 0;

    for (uint64_t pos = 0; pos < end && ret >= 0;) {
        Qcow2Extent extent;
        ret = qcow2_co_get_extent(bs, pos, end - pos, &extent);
        if (ret < 0) {
            break;
        }
        if (extent.type == QCOW2_EXTENT_ZERO) {
            ret = s->header.backing_file
                      ? co_write_zeroes(bs, pos, extent.bytes)
                      : qcow2_co_forget(bs, pos, round_up_pow2(extent.bytes, s->cluster_bytes));
        }
        pos += extent.bytes;
        progress_add(progress, extent.bytes);
    }
    return ret;
}

/* --- Of snapshots --- */

/* An L2 table, and how many L1 tables have it. */
typedef struct Table {
    uint64_t offset;
    uint64_t refs;
} Table;

static int coroutine_fn co_zero_host(BlockDriverState *bs, uint64_t offset)
{
    Qcow2State *s = bs->opaque;

    s->writer->unflushed = true;
    return bdrv_co_pwrite_zeroes(bs->file, offset, s->cluster_bytes, BDRV_REQ_NONE);
}

static int coroutine_fn co_new_zeroes(BlockDriverState *bs, uint64_t refs, uint64_t *entry)
{
    Qcow2State *s = bs->opaque;
    int64_t offset = qcow2_co_alloc(bs, 1);

    if (offset < 0) {
        return offset;
    }
    int ret = co_zero_host(bs, offset);
    if (ret >= 0 && refs > 1) {
        co_mutex_lock(&s->writer->alloc_lock);
        ret = qcow2_co_add_refcount(bs, offset, 1, refs - 1);
        co_mutex_unlock(&s->writer->alloc_lock);
    }
    if (ret < 0) {
        qcow2_free_later(bs, offset, s->cluster_bytes);
    }
    *entry = offset;
    return ret;
}

/* What an entry with the mark becomes. */
static int coroutine_fn co_expand_entry(BlockDriverState *bs, const Table *table,
                                        uint64_t *entry)
{
    Qcow2State *s = bs->opaque;
    uint64_t host = *entry & QCOW2_OFFSET_MASK;

    if (!s->header.backing_file) {
        for (uint64_t i = 0; host && i < table->refs; i++) {
            qcow2_free_later(bs, host, s->cluster_bytes);
        }
        *entry = 0;
        return 0;
    }
    if (!host) {
        return co_new_zeroes(bs, table->refs, entry);
    }
    *entry &= ~QCOW2_L2_ZERO;
    return co_zero_host(bs, host);
}

static int coroutine_fn co_expand_table(BlockDriverState *bs, const Table *table)
{
    Qcow2State *s = bs->opaque;
    size_t slice_bytes = qcow2_cache_slice_bytes(s->l2_cache);
    int ret = qcow2_co_begin_change(bs);

    for (uint64_t at = 0; at < s->cluster_bytes && ret >= 0; at += slice_bytes) {
        Qcow2Slice *slice;
        ret = qcow2_cache_co_get(s->l2_cache, bs->file, table->offset + at, &slice);
        if (ret < 0) {
            break;
        }
        for (size_t i = 0; i < slice_bytes && ret >= 0; i += s->l2_entry_bytes) {
            uint64_t entry = be64_load(slice->data + i);
            if ((entry & QCOW2_L2_COMPRESSED) || !(entry & QCOW2_L2_ZERO)) {
                continue;
            }
            ret = co_expand_entry(bs, table, &entry);
            if (ret >= 0) {
                be64_store(slice->data + i, entry);
                qcow2_cache_set_dirty(s->l2_cache, slice);
            }
        }
        qcow2_cache_put(slice);
    }
    return ret;
}

static int note_tables(BlockDriverState *bs, GHashTable *tables, const uint64_t *l1,
                       uint32_t l1_size)
{
    Qcow2State *s = bs->opaque;
    unsigned shift = s->l2_bits + s->header.cluster_bits;

    for (uint32_t i = 0; i < l1_size; i++) {
        uint64_t offset = l1[i] & QCOW2_OFFSET_MASK;
        int ret = l1[i] ? qcow2_check_l1_entry(bs, i, l1[i], (uint64_t)i << shift) : 0;
        if (ret < 0) {
            return ret;
        }
        Table *table = g_hash_table_lookup(tables, &offset);
        if (l1[i] && !table) {
            table = g_new0(Table, 1);
            table->offset = offset;
            g_hash_table_insert(tables, &table->offset, table);
        }
        if (l1[i]) {
            table->refs++;
        }
    }
    return 0;
}

static int coroutine_fn co_expand_snapshots(BlockDriverState *bs, GError **errp)
{
    Qcow2State *s = bs->opaque;
    g_autoptr(GHashTable) tables =
        g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    g_autoptr(GPtrArray) snapshots = qcow2_co_read_snapshots(bs, NULL, errp);
    int ret = snapshots ? note_tables(bs, tables, s->l1_table, s->l1_size) : -EINVAL;
    GHashTableIter iter;
    gpointer table;

    for (unsigned i = 0; ret >= 0 && i < snapshots->len; i++) {
        const Qcow2Snapshot *snapshot = snapshots->pdata[i];
        g_autofree uint64_t *l1 =
            qcow2_find_snapshot(bs, snapshots, snapshot->id, errp)
                ? qcow2_co_read_snapshot_l1(bs, snapshot, errp)
                : NULL;
        ret = l1 ? note_tables(bs, tables, l1, snapshot->l1_size) : -EINVAL;
    }
    g_hash_table_iter_init(&iter, tables);
    while (ret >= 0 && g_hash_table_iter_next(&iter, NULL, &table)) {
        ret = co_expand_table(bs, table);
    }
    return ret;
}

int coroutine_fn qcow2_co_expand_zeroes(BlockDriverState *bs, Progress *progress,
                                        GError **errp)
{
    Qcow2State *s = bs->opaque;

    progress_phase(progress, "zeroes", bs->total_bytes);
    int ret = co_expand_disk(bs, progress);
    /* Then the disk shares no table any more that has marks. */
    ret = ret < 0 ? ret : qcow2_co_write_all(bs);
    if (ret >= 0 && s->header.nb_snapshots) {
        ret = co_expand_snapshots(bs, errp);
        ret = ret < 0 ? ret : qcow2_co_write_all(bs);
    }
    if (ret < 0) {
        qcow2_co_mark_corrupt(bs);
        if (errp && !*errp) {
            qcow2_fail(bs, ret, "cannot write out zeroes", errp);
        }
    }
    return ret;
}
