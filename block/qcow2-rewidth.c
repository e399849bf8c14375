/*
 * Refcounts of another width: all blocks and the table anew behind the end of the file; one
 * write of the header puts them in force, and the old ones are given back.
 */
#include "qcow2-writer.h"

#include <errno.h>

typedef struct Rewidth {
    BlockDriverState *bs;
    unsigned order;
    unsigned block_bits;            /* of new blocks */
    uint64_t first;                 /* cluster of the new table; its blocks follow it */
    uint64_t table_clusters;
    uint64_t blocks;
} Rewidth;

static uint64_t end_of(const Rewidth *r)
{
    return r->first + r->table_clusters + r->blocks;
}

/* There is a block for everything, and these count themselves, too: until that is so. */
static void plan(Rewidth *r)
{
    Qcow2State *s = r->bs->opaque;

    r->first = qcow2_clusters(s, qcow2_file_end(r->bs));
    for (uint64_t before = 0; before != end_of(r);) {
        before = end_of(r);
        r->blocks = ((before - 1) >> r->block_bits) + 1;
        r->table_clusters = div_round_up(r->blocks * 8, s->cluster_bytes);
    }
}

static int coroutine_fn co_count(const Rewidth *r, uint64_t cluster, uint64_t *count)
{
    Qcow2State *s = r->bs->opaque;

    if (cluster >= r->first) {
        *count = cluster < end_of(r);
        return 0;
    }
    co_mutex_lock(&s->writer->alloc_lock);
    int ret = qcow2_co_get_refcount(r->bs, cluster, count);
    co_mutex_unlock(&s->writer->alloc_lock);
    return ret;
}

static int refuse(const Rewidth *r, uint64_t cluster, uint64_t count, GError **errp)
{
    Qcow2State *s = r->bs->opaque;

    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                "Cannot decrease refcount entry width to %u bits: Cluster at offset 0x%" PRIx64
                " has a refcount of %" PRIu64, 1u << r->order,
                cluster << s->header.cluster_bits, count);
    return -EINVAL;
}

static int coroutine_fn co_write_block(const Rewidth *r, uint64_t index, uint8_t *block,
                                       GError **errp)
{
    BlockDriverState *bs = r->bs;
    Qcow2State *s = bs->opaque;
    uint64_t begin = index << r->block_bits, count;
    int ret = 0;

    memset(block, 0, s->cluster_bytes);
    for (uint64_t i = 0; i >> r->block_bits == 0 && begin + i < end_of(r); i++) {
        ret = co_count(r, begin + i, &count);
        if (ret < 0) {
            return qcow2_fail(bs, ret, "cannot read refcounts", errp);
        }
        if (count > qcow2_refcount_max(r->order)) {
            return refuse(r, begin + i, count, errp);
        }
        qcow2_refcount_store(block, r->order, i, count);
    }
    uint64_t at = r->first + r->table_clusters + index;
    ret = bdrv_co_pwrite(bs->file, at << s->header.cluster_bits, s->cluster_bytes, block, 0);
    return ret < 0 ? qcow2_fail(bs, ret, "cannot write refcounts", errp) : 0;
}

static int coroutine_fn co_write_table(const Rewidth *r)
{
    Qcow2State *s = r->bs->opaque;
    uint64_t bytes = r->table_clusters << s->header.cluster_bits;
    g_autofree uint8_t *table = g_malloc0(bytes);

    for (uint64_t i = 0; i < r->blocks; i++) {
        be64_store(table + i * 8, (r->first + r->table_clusters + i) << s->header.cluster_bits);
    }
    s->writer->unflushed = true;
    return bdrv_co_pwrite(r->bs->file, r->first << s->header.cluster_bits, bytes, table, 0);
}

/* What the old blocks and the old table were in. */
static GArray *old_places(const Qcow2State *s)
{
    const Qcow2Writer *w = s->writer;
    GArray *places = g_array_new(FALSE, FALSE, sizeof(Qcow2Free));
    Qcow2Free table = { s->header.refcount_table_offset, s->header.refcount_table_clusters };

    g_array_append_val(places, table);
    for (uint64_t i = 0; i < w->refcount_entries; i++) {
        Qcow2Free block = { w->refcount_table[i] & ~QCOW2_REFCOUNT_TABLE_RESERVED, 1 };
        if (block.offset) {
            g_array_append_val(places, block);
        }
    }
    return places;
}

static int coroutine_fn co_switch(const Rewidth *r, GError **errp)
{
    BlockDriverState *bs = r->bs;
    Qcow2State *s = bs->opaque;
    g_autoptr(GArray) old = old_places(s);
    g_auto(Qcow2Header) header = { 0 };

    qcow2_header_copy(&header, &s->header);
    header.refcount_order = r->order;
    header.refcount_table_offset = r->first << s->header.cluster_bits;
    header.refcount_table_clusters = r->table_clusters;
    int ret = co_write_table(r);
    ret = ret < 0 ? ret : qcow2_co_replace_fields(bs, &header);
    if (ret < 0) {
        return qcow2_fail(bs, ret, "cannot change the width of refcounts", errp);
    }
    s->writer->block_bits = r->block_bits;
    ret = qcow2_co_reload_refcounts(bs, errp);
    if (ret < 0) {
        return ret;
    }
    for (unsigned i = 0; i < old->len; i++) {
        const Qcow2Free *f = &g_array_index(old, Qcow2Free, i);
        qcow2_free_later(bs, f->offset, f->clusters << s->header.cluster_bits);
    }
    ret = qcow2_co_write_all(bs);
    return ret < 0 ? qcow2_fail(bs, ret, "cannot give back clusters", errp) : 0;
}

int coroutine_fn qcow2_co_set_refcount_order(BlockDriverState *bs, unsigned order,
                                             Progress *progress, GError **errp)
{
    Qcow2State *s = bs->opaque;
    Rewidth r = { .bs = bs, .order = order, .block_bits = s->header.cluster_bits + 3 - order };
    g_autofree uint8_t *block = g_malloc(s->cluster_bytes);

    int ret = qcow2_co_begin_change(bs);
    ret = ret < 0 ? ret : qcow2_co_write_all(bs);
    if (ret < 0) {
        return qcow2_fail(bs, ret, "cannot write what is in memory", errp);
    }
    plan(&r);
    if (r.table_clusters << s->header.cluster_bits > QCOW2_MAX_REFCOUNT_TABLE_BYTES) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%s: the refcount table cannot be larger than %d bytes",
                    bdrv_filename(bs), QCOW2_MAX_REFCOUNT_TABLE_BYTES);
        return -EFBIG;
    }
    progress_phase(progress, "refcounts", r.blocks * s->cluster_bytes);
    for (uint64_t i = 0; i < r.blocks && ret >= 0; i++) {
        ret = co_write_block(&r, i, block, errp);
        progress_add(progress, s->cluster_bytes);
    }
    return ret < 0 ? ret : co_switch(&r, errp);
}
