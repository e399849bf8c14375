/*
 * The refcount table: blocks are added to it where clusters are first used, and it grows.
 */
#include "qcow2-writer.h"

enum { SECTOR_BYTES = 512 };

uint64_t qcow2_refcount_block(const Qcow2Writer *w, uint64_t cluster)
{
    uint64_t index = cluster >> w->block_bits;
    return index < w->refcount_entries
               ? w->refcount_table[index] & ~QCOW2_REFCOUNT_TABLE_RESERVED
               : 0;
}

int coroutine_fn qcow2_co_get_refcount_slice(BlockDriverState *bs, uint64_t cluster,
                                             Qcow2Slice **slice, uint64_t *index)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    uint64_t block = qcow2_refcount_block(w, cluster);
    size_t slice_bytes = qcow2_cache_slice_bytes(w->refcounts);
    uint64_t per_slice = (uint64_t)slice_bytes * 8 >> s->header.refcount_order;
    uint64_t in_block = cluster & ((UINT64_C(1) << w->block_bits) - 1);

    if ((block & (s->cluster_bytes - 1)) || block >= qcow2_file_end(bs)) {
        return qcow2_refuse(bs, "refcount block %" PRIu64 " at offset 0x%" PRIx64
                            " is not aligned to clusters, or past the end of the file",
                            cluster >> w->block_bits, block);
    }
    *index = in_block % per_slice;
    return qcow2_cache_co_get(w->refcounts, bs->file,
                              block + in_block / per_slice * slice_bytes, slice);
}

static void set_table_entry(Qcow2Writer *w, uint64_t index, uint64_t block)
{
    w->refcount_table[index] = block;
    w->refcount_table_dirty[index * 8 / SECTOR_BYTES] = true;
}

/* An empty block at that cluster, which counts itself if it is among those it counts. */
static void add_block(BlockDriverState *bs, uint64_t index, uint64_t at)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    size_t slice_bytes = qcow2_cache_slice_bytes(w->refcounts);
    uint64_t offset = at << s->header.cluster_bits;
    uint64_t per_slice = (uint64_t)slice_bytes * 8 >> s->header.refcount_order;
    uint64_t own = at & ((UINT64_C(1) << w->block_bits) - 1);

    for (uint64_t done = 0; done < s->cluster_bytes; done += slice_bytes) {
        Qcow2Slice *slice = qcow2_cache_new_slice(w->refcounts, offset + done);
        if (at >> w->block_bits == index && own / per_slice == done / slice_bytes) {
            qcow2_refcount_store(slice->data, s->header.refcount_order, own % per_slice, 1);
        }
        qcow2_cache_put(slice);
    }
    w->alloc_end = MAX(w->alloc_end, offset + s->cluster_bytes);
    g_hash_table_add(w->tables, GSIZE_TO_POINTER(at));
    set_table_entry(w, index, offset);
}

/* A new table where nothing was ever counted, with the blocks that count the new ones. */
typedef struct NewTable {
    uint64_t first;                 /* cluster of the table; blocks follow it */
    uint64_t table_clusters;
    uint64_t blocks;
} NewTable;

static NewTable plan_table(const Qcow2State *s, uint64_t entries)
{
    const Qcow2Writer *w = s->writer;
    unsigned bits = w->block_bits;
    NewTable t = { .first = MAX(w->refcount_entries << bits,
                                qcow2_clusters(s, w->alloc_end)) };
    uint64_t first_block = t.first >> bits, blocks = 1;

    entries = MAX(entries, w->refcount_entries + w->refcount_entries / 2);
    /* More blocks may need a larger table, and so on; it ends soon. */
    while (blocks != t.blocks) {
        t.blocks = blocks;
        entries = MAX(entries, first_block + blocks);
        t.table_clusters = div_round_up(entries * 8, s->cluster_bytes);
        uint64_t end = t.first + t.table_clusters + t.blocks;
        blocks = MAX(blocks, ((end - 1) >> bits) - first_block + 1);
    }
    return t;
}

/* Writes blocks that count all that is new, the table's clusters and their own. */
static int coroutine_fn co_write_new_blocks(BlockDriverState *bs, const NewTable *t)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    uint64_t per_block = UINT64_C(1) << w->block_bits;
    uint64_t end = t->first + t->table_clusters + t->blocks;
    g_autofree uint8_t *block = g_malloc(s->cluster_bytes);
    int ret = 0;

    for (uint64_t i = 0; i < t->blocks && ret >= 0; i++) {
        uint64_t begin = ((t->first >> w->block_bits) + i) << w->block_bits;
        memset(block, 0, s->cluster_bytes);
        for (uint64_t c = MAX(begin, t->first); c < MIN(begin + per_block, end); c++) {
            qcow2_refcount_store(block, s->header.refcount_order, c - begin, 1);
        }
        bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_REFBLOCK_ALLOC_WRITE_BLOCKS);
        ret = bdrv_co_pwrite(bs->file,
                             (t->first + t->table_clusters + i) << s->header.cluster_bits,
                             s->cluster_bytes, block, 0);
    }
    return ret;
}

static int coroutine_fn co_write_new_table(BlockDriverState *bs, const NewTable *t,
                                           const uint64_t *table)
{
    Qcow2State *s = bs->opaque;
    uint64_t bytes = t->table_clusters << s->header.cluster_bits;
    g_autofree uint8_t *buf = g_malloc(bytes);

    for (uint64_t i = 0; i < bytes / 8; i++) {
        be64_store(buf + i * 8, table[i]);
    }
    bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_REFBLOCK_ALLOC_WRITE_TABLE);
    return bdrv_co_pwrite(bs->file, t->first << s->header.cluster_bits, bytes, buf, 0);
}

static int coroutine_fn co_use_new_table(BlockDriverState *bs, const NewTable *t,
                                         uint64_t *table)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    Qcow2Header *h = &s->header;
    uint64_t old_offset = h->refcount_table_offset;
    uint64_t old_bytes = (uint64_t)h->refcount_table_clusters << h->cluster_bits;
    struct {
        be64_t offset;
        be32_t clusters;
    } __attribute__((packed)) fields = {
        be64_make(t->first << h->cluster_bits),
        be32_make(t->table_clusters),
    };

    int ret = qcow2_co_write_header(bs, offsetof(Qcow2DiskHeader, refcount_table_offset),
                                    &fields, sizeof(fields));
    if (ret < 0) {
        return ret;
    }
    h->refcount_table_offset = t->first << h->cluster_bits;
    h->refcount_table_clusters = t->table_clusters;
    g_free(w->refcount_table);
    g_free(w->refcount_table_dirty);
    w->refcount_table = table;
    w->refcount_entries = (t->table_clusters << h->cluster_bits) / 8;
    w->refcount_table_dirty = g_new0(bool, w->refcount_entries * 8 / SECTOR_BYTES);
    for (uint64_t i = 0; i < t->blocks; i++) {
        uint64_t at = t->first + t->table_clusters + i;
        qcow2_cache_drop(w->refcounts, at << h->cluster_bits, s->cluster_bytes);
        g_hash_table_add(w->tables, GSIZE_TO_POINTER(at));
    }
    w->alloc_end = MAX(w->alloc_end, (t->first + t->table_clusters + t->blocks)
                                         << h->cluster_bits);
    qcow2_free_later(bs, old_offset, old_bytes);
    return 0;
}

int coroutine_fn qcow2_co_grow_refcount_table(BlockDriverState *bs, uint64_t needed_entries)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    g_return_val_if_fail(!w->switching, -EFBIG);
    NewTable t = plan_table(s, needed_entries);
    uint64_t entries = (t.table_clusters << s->header.cluster_bits) / 8;

    if (entries * 8 > QCOW2_MAX_REFCOUNT_TABLE_BYTES) {
        bdrv_note_error(bs, g_error_new(EMBR_ERROR, EMBR_ERROR_LIMIT,
                                        "%s: the refcount table cannot be larger than %d bytes",
                                        bdrv_filename(bs), QCOW2_MAX_REFCOUNT_TABLE_BYTES));
        return -EFBIG;
    }
    g_autofree uint64_t *table = g_new0(uint64_t, entries);
    /* The new table is complete: what it refers to must be there before it is. */
    int ret = qcow2_co_write_refcounts(bs);
    memcpy(table, w->refcount_table, w->refcount_entries * 8);
    for (uint64_t i = 0; i < t.blocks; i++) {
        table[(t.first >> w->block_bits) + i] = (t.first + t.table_clusters + i)
                                                << s->header.cluster_bits;
    }
    if (ret >= 0) {
        ret = co_write_new_blocks(bs, &t);
    }
    if (ret >= 0) {
        ret = co_write_new_table(bs, &t, table);
    }
    if (ret >= 0) {
        w->unflushed = true;
        ret = co_use_new_table(bs, &t, table);
    }
    if (ret < 0) {
        return ret;
    }
    table = NULL;
    return 0;
}

/* The block of that index, for clusters of which those from first on are spoken for. */
static int coroutine_fn co_need_block(BlockDriverState *bs, uint64_t index, uint64_t first,
                                      uint64_t n)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;

    while (index >= w->refcount_entries || !w->refcount_table[index]) {
        uint64_t at;
        int ret = index >= w->refcount_entries ? qcow2_co_grow_refcount_table(bs, index + 1) : 0;
        if (ret < 0) {
            return ret;
        }
        if (w->refcount_table[index]) {
            continue;
        }
        ret = qcow2_co_find_free(bs, 1, w->free_hint, first, first + n, &at);
        if (ret < 0) {
            return ret;
        }
        if (at >> w->block_bits >= w->refcount_entries) {
            ret = qcow2_co_grow_refcount_table(bs, (at >> w->block_bits) + 1);
            if (ret < 0) {
                return ret;
            }
            continue;
        }
        if (qcow2_metadata_at(bs, at << s->header.cluster_bits, s->cluster_bytes)) {
            return qcow2_refuse(bs, "cluster %" PRIu64 " is in use, but its refcount is 0", at);
        }
        if (!qcow2_refcount_block(w, at)) {
            add_block(bs, at >> w->block_bits, at);
            continue;
        }
        ret = qcow2_co_set_refcount(bs, at, 1);
        if (ret < 0) {
            return ret;
        }
        add_block(bs, index, at);
    }
    return 0;
}

int coroutine_fn qcow2_co_need_blocks(BlockDriverState *bs, uint64_t first, uint64_t n)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    int ret = 0;

    for (uint64_t i = first >> w->block_bits;
         i <= (first + n - 1) >> w->block_bits && ret >= 0; i++) {
        ret = co_need_block(bs, i, first, n);
    }
    return ret;
}

/* A sector of the table as it is to be written. */
typedef struct TableSector {
    uint64_t offset;                /* in the file */
    uint64_t index;                 /* of the sector */
    uint8_t data[SECTOR_BYTES];
} TableSector;

static GArray *take_dirty_sectors(Qcow2State *s)
{
    Qcow2Writer *w = s->writer;
    GArray *sectors = g_array_new(FALSE, FALSE, sizeof(TableSector));

    for (uint64_t i = 0; !w->switching && i < w->refcount_entries * 8 / SECTOR_BYTES; i++) {
        if (!w->refcount_table_dirty[i]) {
            continue;
        }
        TableSector sector = { .offset = s->header.refcount_table_offset + i * SECTOR_BYTES,
                               .index = i };
        for (unsigned j = 0; j < SECTOR_BYTES / 8; j++) {
            be64_store(sector.data + j * 8, w->refcount_table[i * SECTOR_BYTES / 8 + j]);
        }
        w->refcount_table_dirty[i] = false;
        g_array_append_val(sectors, sector);
    }
    return sectors;
}

static int coroutine_fn co_write_sectors(BlockDriverState *bs, const GArray *sectors)
{
    int ret = 0;

    for (unsigned i = 0; i < sectors->len && ret >= 0; i++) {
        const TableSector *sector = &g_array_index(sectors, TableSector, i);
        bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_REFBLOCK_ALLOC_HOOKUP);
        ret = bdrv_co_pwrite(bs->file, sector->offset, SECTOR_BYTES, sector->data, 0);
    }
    return ret;
}

int coroutine_fn qcow2_co_write_refcounts(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;

    co_mutex_lock(&w->refcount_write_lock);
    GPtrArray *copies = qcow2_cache_take_dirty(w->refcounts);
    g_autoptr(GArray) sectors = take_dirty_sectors(s);

    int ret = qcow2_cache_co_write_copies(w->refcounts, bs->file, copies);
    w->unflushed = w->unflushed || copies->len;
    qcow2_cache_free_copies(w->refcounts, copies, ret >= 0);
    if (ret >= 0 && sectors->len) {
        ret = qcow2_co_barrier(bs);
        ret = ret < 0 ? ret : co_write_sectors(bs, sectors);
        w->unflushed = true;
    }
    for (unsigned i = 0; ret < 0 && i < sectors->len; i++) {
        w->refcount_table_dirty[g_array_index(sectors, TableSector, i).index] = true;
    }
    co_mutex_unlock(&w->refcount_write_lock);
    return ret;
}
