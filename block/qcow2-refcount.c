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
    return qcow2_refcount_load(reader->block, s->header.refcount_order, i);
}

/* Where count i, of fewer than 8 bits, is in its byte. */
static unsigned bit_shift(unsigned order, uint64_t i)
{
    return (i & ((1u << (3 - order)) - 1)) << order;
}

static unsigned bit_mask(unsigned order)
{
    return (1u << (1u << order)) - 1;
}

uint64_t qcow2_refcount_load(const uint8_t *block, unsigned order, uint64_t i)
{
    switch (order) {
    case 6:
        return be64_load(block + i * 8);
    case 5:
        return be32_load(block + i * 4);
    case 4:
        return be16_load(block + i * 2);
    case 3:
        return block[i];
    default:
        return block[i >> (3 - order)] >> bit_shift(order, i) & bit_mask(order);
    }
}

void qcow2_refcount_store(uint8_t *block, unsigned order, uint64_t i, uint64_t value)
{
    switch (order) {
    case 6:
        be64_store(block + i * 8, value);
        break;
    case 5:
        be32_store(block + i * 4, value);
        break;
    case 4:
        be16_store(block + i * 2, value);
        break;
    case 3:
        block[i] = value;
        break;
    default: {
        uint8_t *byte = block + (i >> (3 - order));
        unsigned shift = bit_shift(order, i);
        *byte = (*byte & ~(bit_mask(order) << shift)) | value << shift;
    }
    }
}

uint64_t qcow2_refcount_max(unsigned order)
{
    return order == 6 ? UINT64_MAX : (UINT64_C(1) << (1u << order)) - 1;
}
