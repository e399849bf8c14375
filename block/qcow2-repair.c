/*
 * Repairs: stored reference counts become what was counted, and the copied flags of the
 * active disk fit them.
 */
#include "qcow2-check.h"
#include "qcow2-writer.h"

/* --- Counts one by one --- */

/* Those that are too high only: the blocks stay where they are. */
static int coroutine_fn co_lower_counts(BlockDriverState *bs, const Qcow2RefCounts *counts)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    uint64_t per_block = UINT64_C(1) << w->block_bits;
    int ret = 0;

    co_mutex_lock(&w->alloc_lock);
    for (uint64_t c = 0; c < qcow2_ref_counts_clusters(counts) && ret >= 0; c++) {
        uint64_t stored;
        if (!qcow2_refcount_block(w, c)) {
            c |= per_block - 1;
            continue;
        }
        ret = qcow2_co_get_refcount(bs, c, &stored);
        if (ret >= 0 && stored > qcow2_ref_counts_get(counts, c)) {
            ret = qcow2_co_set_refcount(bs, c, qcow2_ref_counts_get(counts, c));
        }
    }
    co_mutex_unlock(&w->alloc_lock);
    return ret < 0 ? ret : qcow2_co_write_all(bs);
}

/* --- All counts anew --- */

/* Table and blocks behind all that is in the file. */
typedef struct Rebuild {
    BlockDriverState *bs;
    const Qcow2RefCounts *counts;
    unsigned block_bits;
    uint64_t first;                 /* cluster of the table; the blocks follow it */
    uint64_t table_clusters;
    uint64_t blocks;
    GArray *indexes;                /* of uint64_t: of the blocks that are needed */
} Rebuild;

static uint64_t new_count(const Rebuild *r, uint64_t cluster)
{
    uint64_t end = r->first + r->table_clusters + r->blocks;
    return cluster >= r->first && cluster < end ? 1 : qcow2_ref_counts_get(r->counts, cluster);
}

static bool block_is_needed(const Rebuild *r, uint64_t index)
{
    uint64_t first = index << r->block_bits;

    for (uint64_t c = first; c < first + (UINT64_C(1) << r->block_bits); c++) {
        if (new_count(r, c)) {
            return true;
        }
    }
    return false;
}

static void find_blocks(Rebuild *r)
{
    uint64_t end = r->first + r->table_clusters + r->blocks;

    g_array_set_size(r->indexes, 0);
    for (uint64_t index = 0; index << r->block_bits < end; index++) {
        if (block_is_needed(r, index)) {
            g_array_append_val(r->indexes, index);
        }
    }
}

/* The table and the blocks count themselves, too: until that is so. */
static void plan(Rebuild *r)
{
    Qcow2State *s = r->bs->opaque;

    r->first = MAX(qcow2_ref_counts_clusters(r->counts),
                   qcow2_clusters(s, bdrv_length(r->bs->file)));
    for (;;) {
        uint64_t end = r->first + r->table_clusters + r->blocks;
        uint64_t entries = (end >> r->block_bits) + 1;
        uint64_t clusters = div_round_up(entries * 8, s->cluster_bytes);

        find_blocks(r);
        if (clusters <= r->table_clusters && r->indexes->len <= r->blocks) {
            r->blocks = r->indexes->len;
            return;
        }
        r->table_clusters = MAX(r->table_clusters, clusters);
        r->blocks = MAX(r->blocks, r->indexes->len);
    }
}

static int coroutine_fn co_write_blocks(const Rebuild *r)
{
    BlockDriverState *bs = r->bs;
    Qcow2State *s = bs->opaque;
    unsigned order = s->header.refcount_order;
    uint64_t per_block = UINT64_C(1) << r->block_bits;
    uint64_t max = qcow2_refcount_max(order);
    g_autofree uint8_t *block = g_malloc(s->cluster_bytes);
    int ret = 0;

    for (unsigned i = 0; i < r->indexes->len && ret >= 0; i++) {
        uint64_t begin = g_array_index(r->indexes, uint64_t, i) << r->block_bits;
        memset(block, 0, s->cluster_bytes);
        for (uint64_t j = 0; j < per_block; j++) {
            qcow2_refcount_store(block, order, j, MIN(new_count(r, begin + j), max));
        }
        ret = bdrv_co_pwrite(bs->file, (r->first + r->table_clusters + i)
                                           << s->header.cluster_bits,
                             s->cluster_bytes, block, BDRV_REQ_NONE);
    }
    return ret;
}

static int coroutine_fn co_write_table(const Rebuild *r)
{
    Qcow2State *s = r->bs->opaque;
    uint64_t bytes = r->table_clusters << s->header.cluster_bits;
    g_autofree uint8_t *table = g_malloc0(bytes);

    for (unsigned i = 0; i < r->indexes->len; i++) {
        be64_store(table + g_array_index(r->indexes, uint64_t, i) * 8,
                   (r->first + r->table_clusters + i) << s->header.cluster_bits);
    }
    return bdrv_co_pwrite(r->bs->file, r->first << s->header.cluster_bits, bytes, table,
                          BDRV_REQ_NONE);
}

static int coroutine_fn co_write_place(const Rebuild *r)
{
    Qcow2State *s = r->bs->opaque;
    struct {
        be64_t offset;
        be32_t clusters;
    } __attribute__((packed)) fields = {
        be64_make(r->first << s->header.cluster_bits),
        be32_make(r->table_clusters),
    };

    s->writer->unflushed = true;
    int ret = qcow2_co_write_header(r->bs, offsetof(Qcow2DiskHeader, refcount_table_offset),
                                    &fields, sizeof(fields));
    if (ret >= 0) {
        s->header.refcount_table_offset = r->first << s->header.cluster_bits;
        s->header.refcount_table_clusters = r->table_clusters;
    }
    return ret;
}

static int coroutine_fn co_rebuild(BlockDriverState *bs, Qcow2RefCounts *counts,
                                   GError **errp)
{
    Qcow2State *s = bs->opaque;
    g_autoptr(GArray) indexes = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    Rebuild r = { .bs = bs, .counts = counts, .block_bits = s->writer->block_bits,
                  .indexes = indexes };

    qcow2_ref_counts_forget_refcounts(counts);
    plan(&r);
    if (r.table_clusters << s->header.cluster_bits > QCOW2_MAX_REFCOUNT_TABLE_BYTES) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%s: the refcount table cannot be larger than %d bytes",
                    bdrv_filename(bs), QCOW2_MAX_REFCOUNT_TABLE_BYTES);
        return -EFBIG;
    }
    int ret = co_write_blocks(&r);
    ret = ret < 0 ? ret : co_write_table(&r);
    ret = ret < 0 ? ret : co_write_place(&r);
    return ret < 0 ? ret : qcow2_co_reload_refcounts(bs, errp);
}

/* --- Copied flags --- */

static int coroutine_fn co_stored_is_one(BlockDriverState *bs, uint64_t offset, bool *one)
{
    Qcow2State *s = bs->opaque;
    uint64_t refcount;

    int ret = qcow2_co_get_refcount(bs, offset >> s->header.cluster_bits, &refcount);
    *one = ret >= 0 && refcount == 1;
    return ret;
}

/* What the flag of an entry should be. */
static int coroutine_fn co_fix_entry(BlockDriverState *bs, uint64_t *entry)
{
    Qcow2State *s = bs->opaque;
    uint64_t offset = *entry & QCOW2_OFFSET_MASK;
    bool one = false;

    if (*entry & QCOW2_L2_COMPRESSED) {
        *entry &= ~QCOW2_COPIED;
        return 0;
    }
    if (qcow2_has_data_file(s) || !offset || (offset & (s->cluster_bytes - 1))) {
        return 0;
    }
    int ret = co_stored_is_one(bs, offset, &one);
    *entry = one ? *entry | QCOW2_COPIED : *entry & ~QCOW2_COPIED;
    return ret;
}

static int coroutine_fn co_fix_slice(BlockDriverState *bs, uint64_t offset)
{
    Qcow2State *s = bs->opaque;
    size_t slice_bytes = qcow2_cache_slice_bytes(s->l2_cache);
    Qcow2Slice *slice;

    int ret = qcow2_cache_co_get(s->l2_cache, bs->file, offset, &slice);
    if (ret < 0) {
        return ret;
    }
    for (size_t at = 0; at < slice_bytes && ret >= 0; at += s->l2_entry_bytes) {
        uint64_t before = be64_load(slice->data + at), entry = before;
        ret = co_fix_entry(bs, &entry);
        if (entry != before) {
            be64_store(slice->data + at, entry);
            qcow2_cache_set_dirty(s->l2_cache, slice);
        }
    }
    qcow2_cache_put(slice);
    return ret;
}

static int coroutine_fn co_fix_table(BlockDriverState *bs, uint64_t l1_index)
{
    Qcow2State *s = bs->opaque;
    uint64_t entry = s->l1_table[l1_index];
    uint64_t offset = entry & QCOW2_OFFSET_MASK;
    bool one;

    if (!offset || (offset & (s->cluster_bytes - 1)) ||
        offset >= (uint64_t)bdrv_length(bs->file)) {
        return 0;
    }
    int ret = co_stored_is_one(bs, offset, &one);
    uint64_t fixed = one ? entry | QCOW2_COPIED : entry & ~QCOW2_COPIED;
    if (ret >= 0 && fixed != entry) {
        qcow2_l1_set(s, l1_index, fixed);
    }
    for (uint64_t at = 0; at < s->cluster_bytes && ret >= 0;
         at += qcow2_cache_slice_bytes(s->l2_cache)) {
        ret = co_fix_slice(bs, offset + at);
    }
    if (ret >= 0 && (qcow2_cache_is_crowded(s->l2_cache))) {
        ret = qcow2_co_checkpoint(bs);
    }
    return ret;
}

int coroutine_fn qcow2_co_fix_copied(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;
    int ret = 0;

    qcow2_cache_clear(s->l2_cache);
    for (uint64_t i = 0; i < s->l1_size && ret >= 0; i++) {
        ret = co_fix_table(bs, i);
    }
    return ret < 0 ? ret : qcow2_co_write_all(bs);
}

int coroutine_fn qcow2_co_repair(BlockDriverState *bs, Qcow2RefCounts *counts, unsigned fix,
                                 bool corrupt, GError **errp)
{
    int ret = 0;

    if (corrupt && (fix & BDRV_CHECK_FIX_ERRORS)) {
        ret = co_rebuild(bs, counts, errp);
        ret = ret < 0 ? ret : qcow2_co_fix_copied(bs);
    } else if (fix & BDRV_CHECK_FIX_LEAKS) {
        ret = co_lower_counts(bs, counts);
    }
    if (ret < 0 && errp && !*errp) {
        error_set_errno(errp, -ret, "%s: cannot be repaired", bdrv_filename(bs));
    }
    return ret;
}

int coroutine_fn qcow2_co_mark_sound(BlockDriverState *bs, GError **errp)
{
    Qcow2State *s = bs->opaque;
    uint64_t before = s->header.incompatible_features;

    s->header.incompatible_features &=
        ~(uint64_t)(QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT);
    if (s->header.incompatible_features == before) {
        return 0;
    }
    int ret = qcow2_co_write_features(bs);
    if (ret < 0) {
        s->header.incompatible_features = before;
        error_set_errno(errp, -ret, "%s: cannot write the header", bdrv_filename(bs));
        return ret;
    }
    s->writer->dirty = s->writer->corrupt = s->writer->corrupt_marked = false;
    return 0;
}
