/*
 * Changes of many tables that take effect at once: snapshots, other widths of refcounts.
 *
 * Refcount blocks and table, the L1 table, and of the L2 tables those that change are written
 * anew, where nothing was before; then the fields of the header change, which are in one
 * sector.  Until then the file is what it was, but for clusters that are set aside; afterwards
 * what the old tables were in is given back.
 *
 * Between begin and commit or abort no other request is under way.  Allocation goes on as
 * ever, on counts that only the new blocks have.  A count does not get 0 before the new
 * tables are in force, so nothing is written over what the old ones refer to.
 */
#include "qcow2-writer.h"

enum { SECTOR_BYTES = 512 };

static int coroutine_fn co_write_dirty(Qcow2Cache *cache, BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;
    GPtrArray *copies = qcow2_cache_take_dirty(cache);
    int ret = qcow2_cache_co_write_copies(cache, bs->file, copies);

    s->writer->unflushed = true;
    qcow2_cache_free_copies(cache, copies, ret >= 0);
    return ret;
}

static int coroutine_fn co_make_room(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    int ret = 0;

    if (qcow2_cache_is_crowded(s->l2_cache)) {
        ret = co_write_dirty(s->l2_cache, bs);
    }
    if (ret >= 0 && qcow2_cache_is_crowded(w->refcounts)) {
        ret = co_write_dirty(w->refcounts, bs);
    }
    return ret;
}

/* --- Begin --- */

static uint64_t count_blocks(const Qcow2Writer *w)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < w->refcount_entries; i++) {
        n += w->refcount_table[i] != 0;
    }
    return n;
}

/* The table does not have to grow while it is being replaced. */
static int coroutine_fn co_grow_table(BlockDriverState *bs, uint64_t clusters)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    int ret = 0;

    co_mutex_lock(&w->alloc_lock);
    while (ret >= 0) {
        uint64_t end = (w->alloc_end >> s->header.cluster_bits) + clusters + count_blocks(w) +
                       s->header.refcount_table_clusters;
        uint64_t index = (end + (end >> w->block_bits)) >> w->block_bits;
        if (index + 1 < w->refcount_entries) {
            break;
        }
        ret = qcow2_co_grow_refcount_table(bs, index + 2);
    }
    co_mutex_unlock(&w->alloc_lock);
    return ret;
}

/* Sets clusters aside for the new blocks and the new table. */
static int coroutine_fn co_reserve(Qcow2Switch *sw)
{
    BlockDriverState *bs = sw->bs;
    Qcow2State *s = bs->opaque;
    int64_t offset = qcow2_co_alloc(bs, s->header.refcount_table_clusters);

    if (offset < 0) {
        return offset;
    }
    sw->table_offset = offset;
    /* Allocation may have made new blocks. */
    while (sw->blocks->len < count_blocks(s->writer)) {
        offset = qcow2_co_alloc(bs, 1);
        if (offset < 0) {
            return offset;
        }
        g_array_append_val(sw->blocks, offset);
    }
    return qcow2_co_write_all(bs);
}

static int coroutine_fn co_copy_block(BlockDriverState *bs, uint64_t from, uint64_t to)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    size_t slice_bytes = qcow2_cache_slice_bytes(w->refcounts);
    int ret = 0;

    for (uint64_t done = 0; done < s->cluster_bytes && ret >= 0; done += slice_bytes) {
        Qcow2Slice *old, *slice;
        ret = qcow2_cache_co_get(w->refcounts, bs->file, from + done, &old);
        if (ret >= 0) {
            slice = qcow2_cache_new_slice(w->refcounts, to + done);
            memcpy(slice->data, old->data, slice_bytes);
            qcow2_cache_put(slice);
            qcow2_cache_put(old);
        }
    }
    return ret < 0 ? ret : co_make_room(bs);
}

/* From now on counts change in the new blocks. */
static int coroutine_fn co_copy_blocks(Qcow2Switch *sw)
{
    BlockDriverState *bs = sw->bs;
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    uint64_t *table = g_new0(uint64_t, w->refcount_entries);
    unsigned used = 0;
    int ret = 0;

    for (uint64_t i = 0; i < w->refcount_entries && ret >= 0; i++) {
        uint64_t old = w->refcount_table[i] & ~QCOW2_REFCOUNT_TABLE_RESERVED;
        if (!old) {
            continue;
        }
        table[i] = g_array_index(sw->blocks, int64_t, used++);
        ret = (old & (s->cluster_bytes - 1)) || old >= qcow2_file_end(bs)
                  ? qcow2_refuse(bs, "refcount block %" PRIu64 " at offset 0x%" PRIx64
                                 " is not aligned to clusters, or past the end of the file",
                                 i, old)
                  : co_copy_block(bs, old, table[i]);
    }
    sw->old_table = g_steal_pointer(&w->refcount_table);
    w->refcount_table = table;
    return ret;
}

int coroutine_fn qcow2_co_switch_begin(Qcow2Switch *sw, BlockDriverState *bs, uint64_t clusters)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;

    *sw = (Qcow2Switch){ .bs = bs, .blocks = g_array_new(FALSE, FALSE, sizeof(int64_t)) };
    int ret = qcow2_co_begin_change(bs);
    ret = ret < 0 ? ret : qcow2_co_write_all(bs);
    ret = ret < 0 ? ret : co_grow_table(bs, clusters);
    ret = ret < 0 ? ret : qcow2_co_write_all(bs);
    ret = ret < 0 ? ret : co_reserve(sw);
    if (ret < 0) {
        return ret;
    }
    sw->l1_size = s->l1_size;
    sw->l1 = g_memdup2(s->l1_table, MAX(s->l1_size, 1) * sizeof(uint64_t));
    qcow2_header_copy(&sw->header, &s->header);
    w->switching = true;
    return co_copy_blocks(sw);
}

/* --- References --- */

static int compare_u64(gconstpointer a, gconstpointer b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The L2 tables of an L1 table, in the order of the file.  Each can be there only once: so
 * the work is no more than what is in the file. */
static int collect_tables(BlockDriverState *bs, const uint64_t *l1, uint32_t l1_size,
                          GArray *tables)
{
    Qcow2State *s = bs->opaque;
    unsigned shift = s->l2_bits + s->header.cluster_bits;

    for (uint32_t i = 0; i < l1_size; i++) {
        uint64_t offset = l1[i] & QCOW2_OFFSET_MASK;
        int ret = l1[i] ? qcow2_check_l1_entry(bs, i, l1[i], (uint64_t)i << shift) : 0;
        if (ret < 0) {
            return ret;
        }
        if (l1[i]) {
            g_array_append_val(tables, offset);
        }
    }
    g_array_sort(tables, compare_u64);
    for (unsigned i = 1; i < tables->len; i++) {
        uint64_t offset = g_array_index(tables, uint64_t, i);
        if (offset == g_array_index(tables, uint64_t, i - 1)) {
            return qcow2_refuse(bs, "the L2 table at offset 0x%" PRIx64 " is in an L1 table "
                                "more than once", offset);
        }
    }
    return 0;
}

/* Clusters that follow each other, whose counts change together. */
typedef struct Run {
    uint64_t offset, bytes;
} Run;

static int coroutine_fn co_end_run(BlockDriverState *bs, Run *run, int change)
{
    Qcow2State *s = bs->opaque;
    int ret = 0;

    if (run->bytes) {
        co_mutex_lock(&s->writer->alloc_lock);
        ret = change > 0 ? qcow2_co_add_refcount(bs, run->offset, run->bytes, change)
                         : qcow2_co_drop_refcount(bs, run->offset, run->bytes);
        co_mutex_unlock(&s->writer->alloc_lock);
    }
    run->bytes = 0;
    return ret;
}

static int coroutine_fn co_change_entry(BlockDriverState *bs, uint64_t entry, int change,
                                        Run *run)
{
    Qcow2State *s = bs->opaque;
    uint64_t offset = entry & QCOW2_OFFSET_MASK;
    Qcow2Extent extent;
    unsigned count;

    if (entry & QCOW2_L2_COMPRESSED) {
        const char *reason = qcow2_decode_entry(bs, 0, entry, 0, 0, &extent, &count);
        if (reason) {
            return qcow2_refuse(bs, "L2 entry 0x%016" PRIx64 ": %s", entry, reason);
        }
        int ret = co_end_run(bs, run, change);
        *run = (Run){ extent.host_offset, extent.compressed_bytes };
        return ret < 0 ? ret : co_end_run(bs, run, change);
    }
    if (!offset) {
        return 0;
    }
    if ((offset & (s->cluster_bytes - 1)) || offset >= qcow2_file_end(bs)) {
        return qcow2_refuse(bs, "L2 entry 0x%016" PRIx64 ": the host offset is not aligned to "
                            "clusters, or past the end of the file", entry);
    }
    if (run->bytes && run->offset + run->bytes == offset) {
        run->bytes += s->cluster_bytes;
        return 0;
    }
    int ret = co_end_run(bs, run, change);
    *run = (Run){ offset, s->cluster_bytes };
    return ret;
}

static int coroutine_fn co_change_table(BlockDriverState *bs, uint64_t table, int change)
{
    Qcow2State *s = bs->opaque;
    size_t slice_bytes = qcow2_cache_slice_bytes(s->l2_cache);
    Run run = { 0 };
    int ret = 0;

    for (uint64_t at = 0; at < s->cluster_bytes && ret >= 0; at += slice_bytes) {
        Qcow2Slice *slice;
        ret = qcow2_cache_co_get(s->l2_cache, bs->file, table + at, &slice);
        if (ret < 0) {
            break;
        }
        for (size_t i = 0; i < slice_bytes && ret >= 0; i += s->l2_entry_bytes) {
            ret = co_change_entry(bs, be64_load(slice->data + i), change, &run);
        }
        qcow2_cache_put(slice);
    }
    ret = ret < 0 ? ret : co_end_run(bs, &run, change);
    run = (Run){ table, s->cluster_bytes };
    ret = ret < 0 ? ret : co_end_run(bs, &run, change);
    return ret < 0 ? ret : co_make_room(bs);
}

static int coroutine_fn co_change_refs(Qcow2Switch *sw, const uint64_t *l1, uint32_t l1_size,
                                       int change)
{
    g_autoptr(GArray) tables = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    int ret = collect_tables(sw->bs, l1, l1_size, tables);

    for (unsigned i = 0; i < tables->len && ret >= 0; i++) {
        ret = co_change_table(sw->bs, g_array_index(tables, uint64_t, i), change);
    }
    return ret;
}

int coroutine_fn qcow2_co_switch_ref(Qcow2Switch *sw, const uint64_t *l1, uint32_t l1_size)
{
    return co_change_refs(sw, l1, l1_size, 1);
}

int coroutine_fn qcow2_co_switch_unref(Qcow2Switch *sw, const uint64_t *l1, uint32_t l1_size)
{
    return co_change_refs(sw, l1, l1_size, -1);
}

void qcow2_switch_set_l1(Qcow2Switch *sw, const uint64_t *l1, uint32_t l1_size)
{
    g_free(sw->l1);
    sw->l1 = g_memdup2(l1, MAX(l1_size, 1) * sizeof(uint64_t));
    sw->l1_size = l1_size;
}

/* --- Copied flags --- */

static int coroutine_fn co_is_one(BlockDriverState *bs, uint64_t offset, bool *one)
{
    Qcow2State *s = bs->opaque;
    uint64_t refcount;

    co_mutex_lock(&s->writer->alloc_lock);
    int ret = qcow2_co_get_refcount(bs, offset >> s->header.cluster_bits, &refcount);
    co_mutex_unlock(&s->writer->alloc_lock);
    *one = ret >= 0 && refcount == 1;
    return ret;
}

/* Makes flags of the entries fit. *changed: some did not. */
static int coroutine_fn co_fix_entries(BlockDriverState *bs, uint8_t *data, bool *changed)
{
    Qcow2State *s = bs->opaque;
    size_t bytes = qcow2_cache_slice_bytes(s->l2_cache);
    int ret = 0;

    for (size_t i = 0; i < bytes && ret >= 0; i += s->l2_entry_bytes) {
        uint64_t entry = be64_load(data + i);
        uint64_t offset = entry & QCOW2_OFFSET_MASK;
        bool one = false;
        if ((entry & QCOW2_L2_COMPRESSED) || !offset) {
            continue;
        }
        ret = co_is_one(bs, offset, &one);
        if (one != ((entry & QCOW2_COPIED) != 0)) {
            be64_store(data + i, entry ^ QCOW2_COPIED);
            *changed = true;
        }
    }
    return ret;
}

/* The table with flags that fit, in memory. */
static int coroutine_fn co_load_fixed(BlockDriverState *bs, uint64_t table, uint8_t *buf,
                                      bool *changed)
{
    Qcow2State *s = bs->opaque;
    size_t slice_bytes = qcow2_cache_slice_bytes(s->l2_cache);
    int ret = 0;

    for (uint64_t at = 0; at < s->cluster_bytes && ret >= 0; at += slice_bytes) {
        Qcow2Slice *slice;
        ret = qcow2_cache_co_get(s->l2_cache, bs->file, table + at, &slice);
        if (ret >= 0) {
            memcpy(buf + at, slice->data, slice_bytes);
            qcow2_cache_put(slice);
            ret = co_fix_entries(bs, buf + at, changed);
        }
    }
    return ret;
}

/* A table that is the active disk's own takes the place of the one at *table. */
static int coroutine_fn co_replace_table(BlockDriverState *bs, const uint8_t *buf,
                                         uint64_t *table)
{
    Qcow2State *s = bs->opaque;
    size_t slice_bytes = qcow2_cache_slice_bytes(s->l2_cache);
    int64_t offset = qcow2_co_alloc(bs, 1);

    if (offset < 0) {
        return offset;
    }
    for (uint64_t at = 0; at < s->cluster_bytes; at += slice_bytes) {
        Qcow2Slice *slice = qcow2_cache_new_slice(s->l2_cache, offset + at);
        memcpy(slice->data, buf + at, slice_bytes);
        qcow2_cache_put(slice);
    }
    Run run = { *table, s->cluster_bytes };
    *table = offset;
    return co_end_run(bs, &run, -1);
}

static int coroutine_fn co_fix_table(BlockDriverState *bs, uint64_t *entry, uint8_t *buf)
{
    uint64_t table = *entry & QCOW2_OFFSET_MASK;
    bool changed = false, one = false;

    int ret = co_load_fixed(bs, table, buf, &changed);
    if (ret >= 0 && changed) {
        ret = co_replace_table(bs, buf, &table);
    }
    ret = ret < 0 ? ret : co_is_one(bs, table, &one);
    *entry = table | (one ? QCOW2_COPIED : 0);
    return ret < 0 ? ret : co_make_room(bs);
}

int coroutine_fn qcow2_co_switch_fix_copied(Qcow2Switch *sw)
{
    Qcow2State *s = sw->bs->opaque;
    g_autofree uint8_t *buf = g_malloc(s->cluster_bytes);
    int ret = 0;

    for (uint32_t i = 0; i < sw->l1_size && ret >= 0; i++) {
        ret = sw->l1[i] ? co_fix_table(sw->bs, &sw->l1[i], buf) : 0;
    }
    return ret;
}

/* --- Commit --- */

static int coroutine_fn co_write_table(BlockDriverState *bs, uint64_t offset,
                                       const uint64_t *table, uint64_t entries)
{
    Qcow2State *s = bs->opaque;
    g_autofree uint8_t *buf = g_malloc(MAX(entries * 8, 1));

    for (uint64_t i = 0; i < entries; i++) {
        be64_store(buf + i * 8, table[i]);
    }
    s->writer->unflushed = true;
    return bdrv_co_pwrite(bs->file, offset, entries * 8, buf, BDRV_REQ_NONE);
}

/* The active L1 table; one without entries is nowhere. */
static int coroutine_fn co_write_l1(Qcow2Switch *sw)
{
    BlockDriverState *bs = sw->bs;
    Qcow2State *s = bs->opaque;
    Qcow2Header *h = &sw->header;

    h->l1_size = sw->l1_size;
    h->l1_table_offset = 0;
    if (!sw->l1_size) {
        return 0;
    }
    int64_t offset = qcow2_co_alloc(bs, qcow2_clusters(s, (uint64_t)sw->l1_size * 8));
    if (offset < 0) {
        return offset;
    }
    h->l1_table_offset = offset;
    return co_write_table(bs, offset, sw->l1, sw->l1_size);
}

static int coroutine_fn co_write_new(Qcow2Switch *sw)
{
    BlockDriverState *bs = sw->bs;
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;

    sw->header.refcount_table_offset = sw->table_offset;
    int ret = co_write_l1(sw);
    ret = ret < 0 ? ret : co_write_dirty(s->l2_cache, bs);
    ret = ret < 0 ? ret : co_write_dirty(w->refcounts, bs);
    return ret < 0 ? ret
                   : co_write_table(bs, sw->table_offset, w->refcount_table,
                                    w->refcount_entries);
}

/* What only the old tables were in. */
static void free_old(Qcow2Switch *sw, const Qcow2Header *old)
{
    BlockDriverState *bs = sw->bs;
    Qcow2State *s = bs->opaque;

    for (uint64_t i = 0; i < s->writer->refcount_entries; i++) {
        uint64_t block = sw->old_table[i] & ~QCOW2_REFCOUNT_TABLE_RESERVED;
        if (block) {
            qcow2_free_later(bs, block, s->cluster_bytes);
        }
    }
    qcow2_free_later(bs, old->refcount_table_offset,
                     (uint64_t)old->refcount_table_clusters << old->cluster_bits);
    if (old->l1_size && !sw->keeps_l1) {
        qcow2_free_later(bs, old->l1_table_offset, (uint64_t)old->l1_size * 8);
    }
}

/* What is in memory follows the header. */
static void take_over(Qcow2Switch *sw)
{
    BlockDriverState *bs = sw->bs;
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;

    w->switching = false;
    memset(w->refcount_table_dirty, 0, w->refcount_entries * 8 / SECTOR_BYTES * sizeof(bool));
    g_free(s->l1_table);
    s->l1_table = g_steal_pointer(&sw->l1);
    s->l1_size = sw->l1_size;
    g_free(w->l1_dirty);
    w->l1_dirty = g_new0(bool, div_round_up((uint64_t)s->l1_size * 8, SECTOR_BYTES) + 1);
    s->preallocated = QCOW2_PREALLOCATED_UNKNOWN;
    bs->total_bytes = s->header.size;
    qcow2_note_tables(s);
}

static void clear(Qcow2Switch *sw)
{
    g_clear_pointer(&sw->blocks, g_array_unref);
    g_clear_pointer(&sw->old_table, g_free);
    g_clear_pointer(&sw->l1, g_free);
    qcow2_header_clear(&sw->header);
}

int coroutine_fn qcow2_co_switch_commit(Qcow2Switch *sw)
{
    BlockDriverState *bs = sw->bs;

    int ret = co_write_new(sw);
    ret = ret < 0 ? ret : qcow2_co_replace_fields(bs, &sw->header);
    if (ret < 0) {
        return ret;
    }
    take_over(sw);
    free_old(sw, &sw->header);
    clear(sw);
    return qcow2_co_write_all(bs);
}

/* What was set aside is free again. */
static void free_reserved(Qcow2Switch *sw)
{
    BlockDriverState *bs = sw->bs;
    Qcow2State *s = bs->opaque;

    for (unsigned i = 0; i < sw->blocks->len; i++) {
        qcow2_free_later(bs, g_array_index(sw->blocks, int64_t, i), s->cluster_bytes);
    }
    if (sw->table_offset) {
        qcow2_free_later(bs, sw->table_offset,
                         (uint64_t)s->header.refcount_table_clusters << s->header.cluster_bits);
    }
}

void coroutine_fn qcow2_co_switch_abort(Qcow2Switch *sw)
{
    if (!sw->blocks) {
        return;
    }
    BlockDriverState *bs = sw->bs;
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;

    if (w->switching) {
        w->switching = false;
        qcow2_cache_clear(s->l2_cache);
        g_array_set_size(w->frees, 0);
        w->free_clusters = 0;
        if (qcow2_co_reload_refcounts(bs, NULL) < 0) {
            /* Nothing is wrong with the file, but its counts are not known any more. */
            w->corrupt = w->corrupt_marked = true;
        }
    }
    free_reserved(sw);
    clear(sw);
}
