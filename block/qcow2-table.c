/*
 * L2 tables that may be changed: those that only the active disk refers to.
 */
#include "qcow2-writer.h"

enum { SECTOR_BYTES = 512 };

void qcow2_l1_set(Qcow2State *s, uint64_t index, uint64_t entry)
{
    s->l1_table[index] = entry;
    s->writer->l1_dirty[index * 8 / SECTOR_BYTES] = true;
}

/* Fills a new table's slice from the table it takes the place of. */
static int coroutine_fn co_copy_slice(BlockDriverState *bs, uint64_t from, Qcow2Slice *to)
{
    Qcow2State *s = bs->opaque;
    Qcow2Slice *slice;

    bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_L2_ALLOC_COW_READ);
    int ret = qcow2_cache_co_get(s->l2_cache, bs->file, from, &slice);
    if (ret >= 0) {
        memcpy(to->data, slice->data, qcow2_cache_slice_bytes(s->l2_cache));
        qcow2_cache_put(slice);
    }
    return ret;
}

/* A table at offset; empty, or as the one at old (0: none). */
static int coroutine_fn co_make_table(BlockDriverState *bs, uint64_t offset, uint64_t old)
{
    Qcow2State *s = bs->opaque;
    size_t slice_bytes = qcow2_cache_slice_bytes(s->l2_cache);
    int ret = 0;

    for (uint64_t done = 0; done < s->cluster_bytes && ret >= 0; done += slice_bytes) {
        Qcow2Slice *slice = qcow2_cache_new_slice(s->l2_cache, offset + done);
        ret = old ? co_copy_slice(bs, old + done, slice) : 0;
        qcow2_cache_put(slice);
    }
    return ret;
}

/* With table_lock. */
static int coroutine_fn co_replace_table(BlockDriverState *bs, uint64_t l1_index,
                                         uint64_t guest_offset)
{
    Qcow2State *s = bs->opaque;
    uint64_t entry = s->l1_table[l1_index];
    uint64_t old = entry & QCOW2_OFFSET_MASK;
    int ret = entry ? qcow2_check_l1_entry(bs, l1_index, entry, guest_offset) : 0;

    if (ret < 0) {
        return ret;
    }
    bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_L2_ALLOC_WRITE);
    int64_t offset = qcow2_co_alloc(bs, 1);
    if (offset < 0) {
        return offset;
    }
    ret = co_make_table(bs, offset, old);
    if (ret < 0) {
        qcow2_cache_drop(s->l2_cache, offset, s->cluster_bytes);
        qcow2_free_later(bs, offset, s->cluster_bytes);
        return ret;
    }
    g_hash_table_add(s->writer->tables,
                     GSIZE_TO_POINTER((uint64_t)offset >> s->header.cluster_bits));
    qcow2_l1_set(s, l1_index, offset | QCOW2_COPIED);
    if (old) {
        qcow2_free_later(bs, old, s->cluster_bytes);
    }
    return 0;
}

int coroutine_fn qcow2_co_own_table(BlockDriverState *bs, uint64_t offset)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    uint64_t l1_index = offset >> (s->l2_bits + s->header.cluster_bits);
    int ret = 0;

    if (s->l1_table[l1_index] & QCOW2_COPIED) {
        return 0;
    }
    co_mutex_lock(&w->table_lock);
    if (!(s->l1_table[l1_index] & QCOW2_COPIED)) {
        ret = co_replace_table(bs, l1_index, offset);
    }
    co_mutex_unlock(&w->table_lock);
    return ret;
}

int coroutine_fn qcow2_co_get_entries(BlockDriverState *bs, uint64_t offset,
                                      Qcow2Entries *entries)
{
    Qcow2State *s = bs->opaque;
    uint64_t l1_index = offset >> (s->l2_bits + s->header.cluster_bits);
    uint64_t l1_entry = s->l1_table[l1_index];
    size_t slice_bytes = qcow2_cache_slice_bytes(s->l2_cache);
    uint64_t per_slice = slice_bytes / s->l2_entry_bytes;
    uint64_t l2_index = offset >> s->header.cluster_bits & ((UINT64_C(1) << s->l2_bits) - 1);

    int ret = qcow2_check_l1_entry(bs, l1_index, l1_entry, offset);
    if (ret < 0) {
        return ret;
    }
    *entries = (Qcow2Entries){
        .guest_offset = round_down_pow2(offset, s->cluster_bytes),
        .index = l2_index % per_slice,
        .count = per_slice - l2_index % per_slice,
    };
    return qcow2_cache_co_get(s->l2_cache, bs->file,
                              (l1_entry & QCOW2_OFFSET_MASK) +
                                  l2_index / per_slice * slice_bytes,
                              &entries->slice);
}

void qcow2_put_entries(Qcow2Entries *entries)
{
    qcow2_cache_put(entries->slice);
}

uint64_t qcow2_entry(const Qcow2State *s, const Qcow2Entries *entries, unsigned i,
                     uint64_t *bitmap)
{
    const uint8_t *p = entries->slice->data + (size_t)(entries->index + i) * s->l2_entry_bytes;
    *bitmap = qcow2_has_extended_l2(s) ? be64_load(p + 8) : 0;
    return be64_load(p);
}

void qcow2_set_entry(Qcow2State *s, const Qcow2Entries *entries, unsigned i, uint64_t entry,
                     uint64_t bitmap)
{
    uint8_t *p = entries->slice->data + (size_t)(entries->index + i) * s->l2_entry_bytes;

    be64_store(p, entry);
    if (qcow2_has_extended_l2(s)) {
        be64_store(p + 8, bitmap);
    }
    qcow2_cache_set_dirty(s->l2_cache, entries->slice);
}

void qcow2_free_entry(BlockDriverState *bs, uint64_t entry)
{
    Qcow2State *s = bs->opaque;
    Qcow2Extent extent;
    unsigned count;

    if (qcow2_has_data_file(s)) {
        return;
    }
    if (entry & QCOW2_L2_COMPRESSED) {
        qcow2_decode_entry(bs, 0, entry, 0, 0, &extent, &count);
        if (extent.type == QCOW2_EXTENT_COMPRESSED) {
            qcow2_free_later(bs, extent.host_offset, extent.compressed_bytes);
        }
    } else if (entry & QCOW2_OFFSET_MASK) {
        qcow2_free_later(bs, entry & QCOW2_OFFSET_MASK, s->cluster_bytes);
    }
}
