/*
 * Block status: what is where, in one layer and over a chain.
 */
#include "block/block-int.h"

/* What the driver says, with the bits added that follow from it. */
static int coroutine_fn driver_status(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                      int64_t *pnum, int64_t *map, BlockDriverState **file)
{
    uint32_t align = bs->limits.request_alignment;
    int64_t start = round_down_pow2(offset, align);
    int64_t end = round_up_pow2(offset + bytes, align);

    *pnum = bytes;
    if (!bs->drv->bdrv_co_block_status) {
        if (!bs->drv->is_protocol) {
            return BDRV_BLOCK_DATA;
        }
        *map = offset;
        *file = bs;
        return BDRV_BLOCK_DATA | BDRV_BLOCK_OFFSET_VALID;
    }
    int64_t n = 0;
    int ret = bs->drv->bdrv_co_block_status(bs, start, end - start, &n, map, file);
    if (ret < 0) {
        return ret;
    }
    if (n <= offset - start) {
        return -EIO;
    }
    *pnum = MIN(n - (offset - start), bytes);
    if (ret & BDRV_BLOCK_OFFSET_VALID) {
        *map += offset - start;
    }
    return ret;
}

/* Where the data is a part of another node that reads as zeroes there. */
static int coroutine_fn look_into_file(BlockDriverState *file, int64_t map, int64_t *pnum)
{
    int64_t n = 0;
    int ret = bdrv_co_block_status(file, map, *pnum, &n, NULL, NULL);

    if (ret < 0) {
        return 0;
    }
    if ((ret & BDRV_BLOCK_EOF) && (n == 0 || (ret & BDRV_BLOCK_ZERO))) {
        return BDRV_BLOCK_ZERO;
    }
    *pnum = n;
    return ret & BDRV_BLOCK_ZERO;
}

static int add_unallocated_bits(BlockDriverState *bs, int64_t offset, int64_t *pnum)
{
    int64_t backing_end = bs->backing ? bs->backing->total_bytes : 0;

    if (offset >= backing_end) {
        return BDRV_BLOCK_ZERO;
    }
    *pnum = MIN(*pnum, backing_end - offset);
    return 0;
}

static int coroutine_fn layer_status(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                     int64_t *pnum, int64_t *map, BlockDriverState **file)
{
    *map = 0;
    *file = NULL;
    *pnum = 0;
    if (offset < 0 || bytes < 0 || bytes > G_MAXINT64 - offset) {
        return -EINVAL;
    }
    if (offset >= bs->total_bytes) {
        return BDRV_BLOCK_EOF;
    }
    bytes = MIN(bytes, bs->total_bytes - offset);
    if (bytes == 0) {
        return 0;
    }

    int ret = driver_status(bs, offset, bytes, pnum, map, file);
    if (ret < 0) {
        return ret;
    }
    if (ret & BDRV_BLOCK_RAW) {
        int64_t end = offset + *pnum;
        int64_t below = *map, asked = *pnum;
        BlockDriverState *child = *file;
        ret = layer_status(child, below, asked, pnum, map, file);
        if (ret >= 0 && *pnum == 0) {
            *pnum = asked;
            *map = below;
            *file = child;
            ret = BDRV_BLOCK_ZERO | BDRV_BLOCK_OFFSET_VALID | BDRV_BLOCK_ALLOCATED;
        }
        if (ret >= 0 && offset + *pnum != end) {
            ret &= ~BDRV_BLOCK_EOF;
        }
    } else {
        if (ret & (BDRV_BLOCK_DATA | BDRV_BLOCK_ZERO)) {
            ret |= BDRV_BLOCK_ALLOCATED;
        } else if (!(ret & BDRV_BLOCK_ALLOCATED)) {
            ret |= add_unallocated_bits(bs, offset, pnum);
        }
        const int wanted = BDRV_BLOCK_DATA | BDRV_BLOCK_OFFSET_VALID | BDRV_BLOCK_RECURSE;
        if ((ret & wanted) == wanted && !(ret & BDRV_BLOCK_ZERO) && *file && *file != bs) {
            ret |= look_into_file(*file, *map, pnum);
        }
    }
    if (ret < 0) {
        return ret;
    }
    ret &= ~(BDRV_BLOCK_EOF | BDRV_BLOCK_RECURSE);
    return offset + *pnum == bs->total_bytes ? ret | BDRV_BLOCK_EOF : ret;
}

int coroutine_fn bdrv_co_block_status(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                      int64_t *pnum, int64_t *map, BlockDriverState **file)
{
    int64_t local_map;
    BlockDriverState *local_file;

    return layer_status(bs, offset, bytes, pnum, map ? map : &local_map,
                        file ? file : &local_file);
}

int coroutine_fn bdrv_co_block_status_above(BlockDriverState *bs, BlockDriverState *base,
                                            int64_t offset, int64_t bytes, int64_t *pnum,
                                            int64_t *map, BlockDriverState **file,
                                            int *depth)
{
    int64_t local_map;
    BlockDriverState *local_file;
    BlockDriverState *p = bs;
    int layers = 0;
    int ret;

    map = map ? map : &local_map;
    file = file ? file : &local_file;
    ret = layer_status(p, offset, bytes, pnum, map, file);
    if (ret >= 0 && *pnum == 0) {
        bytes = 0;
    }
    while (ret >= 0 && bytes > 0 && !(ret & BDRV_BLOCK_ALLOCATED) && p->backing &&
           p->backing != base) {
        bytes = *pnum;
        p = p->backing;
        layers++;
        ret = layer_status(p, offset, bytes, pnum, map, file);
        if (ret >= 0 && *pnum == 0) {
            /* The layers above are longer: what they take from here are zeroes. */
            *pnum = bytes;
            *file = p;
            ret = BDRV_BLOCK_ZERO | BDRV_BLOCK_ALLOCATED;
        }
    }
    if (depth) {
        *depth = layers;
    }
    if (ret < 0) {
        return ret;
    }
    ret &= ~BDRV_BLOCK_EOF;
    return offset + *pnum >= bs->total_bytes ? ret | BDRV_BLOCK_EOF : ret;
}
