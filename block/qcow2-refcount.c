/*
 * Reference counts as they are stored.
 */
#include "qcow2.h"

bool coroutine_fn qcow2_refcount_reader_co_init(Qcow2RefcountReader *reader,
                                                BlockDriverState *bs, GError **errp)
{
    Qcow2State *s = bs->opaque;
    uint64_t bytes = (uint64_t)s->header.refcount_table_clusters << s->header.cluster_bits;

    *reader = (Qcow2RefcountReader){
        .bs = bs,
        .table_entries = bytes / 8,
        .block_bits = s->header.cluster_bits + 3 - s->header.refcount_order,
        .loaded = UINT64_MAX,
    };
    reader->table = qcow2_co_read_table(bs, s->header.refcount_table_offset,
                                        reader->table_entries, "refcount table", errp);
    reader->block = g_malloc(s->cluster_bytes);
    return reader->table != NULL;
}

void qcow2_refcount_reader_clear(Qcow2RefcountReader *reader)
{
    g_clear_pointer(&reader->table, g_free);
    g_clear_pointer(&reader->block, g_free);
}

bool qcow2_refcount_block_usable(const Qcow2RefcountReader *reader, uint64_t index)
{
    Qcow2State *s = reader->bs->opaque;

    if (index >= reader->table_entries) {
        return false;
    }
    uint64_t offset = reader->table[index] & ~QCOW2_REFCOUNT_TABLE_RESERVED;
    return offset != 0 && (offset & (s->cluster_bytes - 1)) == 0 &&
           offset < (uint64_t)bdrv_length(reader->bs->file);
}

int coroutine_fn qcow2_refcount_co_load(Qcow2RefcountReader *reader, uint64_t index)
{
    Qcow2State *s = reader->bs->opaque;

    if (reader->loaded == index) {
        return 0;
    }
    reader->loaded = UINT64_MAX;
    int ret = bdrv_co_pread(reader->bs->file,
                            reader->table[index] & ~QCOW2_REFCOUNT_TABLE_RESERVED,
                            s->cluster_bytes, reader->block, BDRV_REQ_NONE);
    if (ret >= 0) {
        reader->loaded = index;
    }
    return ret;
}

uint64_t qcow2_refcount_get(const Qcow2RefcountReader *reader, uint64_t i)
{
    Qcow2State *s = reader->bs->opaque;
    const uint8_t *block = reader->block;
    unsigned order = s->header.refcount_order;

    switch (order) {
    case 6:
        return be64_load(block + i * 8);
    case 5:
        return be32_load(block + i * 4);
    case 4:
        return be16_load(block + i * 2);
    case 3:
        return block[i];
    default: {
        unsigned per_byte_bits = 3 - order;
        unsigned shift = (i & ((1u << per_byte_bits) - 1)) << order;
        return block[i >> per_byte_bits] >> shift & ((1u << (1u << order)) - 1);
    }
    }
}
