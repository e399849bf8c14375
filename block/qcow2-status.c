/*
 * Block status.
 */
#include "qcow2.h"

/*
 * An image may have been made with all its clusters in place and nothing in
 * them; the file is then full of holes.  Only in such an image is it worth asking
 * the file what is really there.  It shows: clearly more clusters are in use than
 * the file has space on the host.
 */
static Qcow2Preallocated coroutine_fn co_detect_preallocation(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;
    g_auto(Qcow2RefcountReader) reader = { 0 };
    int64_t on_host =
        bs->file->drv->bdrv_co_allocated_size ? bs->file->drv->bdrv_co_allocated_size(bs->file)
                                              : -1;

    if (on_host < 0 || !qcow2_refcount_reader_co_init(&reader, bs, NULL)) {
        return QCOW2_PREALLOCATED_NO;
    }
    uint64_t host_clusters = on_host >> s->header.cluster_bits;
    uint64_t threshold = MAX(host_clusters + host_clusters / 9, host_clusters + 2);
    uint64_t clusters = div_round_up(bdrv_length(bs->file), s->cluster_bytes);
    uint64_t used = 0;

    for (uint64_t index = 0; index << reader.block_bits < clusters; index++) {
        if (!qcow2_refcount_block_usable(&reader, index)) {
            continue;
        }
        if (qcow2_refcount_co_load(&reader, index) < 0) {
            return QCOW2_PREALLOCATED_NO;
        }
        uint64_t first = index << reader.block_bits;
        uint64_t count = MIN(UINT64_C(1) << reader.block_bits, clusters - first);
        for (uint64_t i = 0; i < count; i++) {
            used += qcow2_refcount_get(&reader, i) != 0;
        }
        if (used >= threshold) {
            return QCOW2_PREALLOCATED_YES;
        }
    }
    return QCOW2_PREALLOCATED_NO;
}

int coroutine_fn qcow2_co_block_status(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                       int64_t *pnum, int64_t *map, BlockDriverState **file)
{
    Qcow2State *s = bs->opaque;
    Qcow2Extent extent;

    int ret = qcow2_co_get_extent(bs, offset, bytes, &extent);
    if (ret < 0) {
        return ret;
    }
    *pnum = extent.bytes;
    if (extent.type == QCOW2_EXTENT_COMPRESSED) {
        return BDRV_BLOCK_DATA | BDRV_BLOCK_COMPRESSED;
    }
    int status = 0;
    if (extent.has_host) {
        *map = extent.host_offset;
        *file = qcow2_data_node(bs);
        status |= BDRV_BLOCK_OFFSET_VALID;
    }
    if (extent.type == QCOW2_EXTENT_ZERO) {
        status |= BDRV_BLOCK_ZERO;
    } else if (extent.type == QCOW2_EXTENT_DATA) {
        if (s->preallocated == QCOW2_PREALLOCATED_UNKNOWN) {
            s->preallocated = co_detect_preallocation(bs);
        }
        status |= BDRV_BLOCK_DATA;
        if (s->preallocated == QCOW2_PREALLOCATED_YES) {
            status |= BDRV_BLOCK_RECURSE;
        }
    }
    return status;
}
