/*
 * null-co: a disk that stores nothing. Reads give zeroes.
 */
#include "block/block-int.h"

static int coroutine_fn null_co_open(BlockDriverState *bs, const BlockdevOptions *options,
                                     int flags, GError **errp)
{
    const BlockdevOptionsNull *o = options ? &options->u.null_co : NULL;
    uint64_t size = o && o->has_size ? o->size : GiB;

    if (size > G_MAXINT64) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID, "'size': %" G_GUINT64_FORMAT
                    " is too large", size);
        return -1;
    }
    bs->total_bytes = size;
    return 0;
}

static int coroutine_fn null_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                       const IOVector *iov, size_t iov_offset,
                                       BdrvRequestFlags flags)
{
    iovector_memset(iov, iov_offset, 0, bytes);
    return 0;
}

static int coroutine_fn null_co_pwritev(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                        const IOVector *iov, size_t iov_offset,
                                        BdrvRequestFlags flags)
{
    return 0;
}

static int coroutine_fn null_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset,
                                              int64_t bytes, BdrvRequestFlags flags)
{
    return 0;
}

static int coroutine_fn null_co_block_status(BlockDriverState *bs, int64_t offset,
                                             int64_t bytes, int64_t *pnum, int64_t *map,
                                             BlockDriverState **file)
{
    *pnum = bytes;
    *map = offset;
    *file = bs;
    return BDRV_BLOCK_ZERO | BDRV_BLOCK_OFFSET_VALID;
}

static int64_t coroutine_fn null_co_allocated_size(BlockDriverState *bs)
{
    return 0;
}

static BlockDriver bdrv_null_co = {
    .format_name            = "null-co",
    .is_protocol            = true,
    .bdrv_co_open           = null_co_open,
    .bdrv_co_preadv         = null_co_preadv,
    .bdrv_co_pwritev        = null_co_pwritev,
    .bdrv_co_pwrite_zeroes  = null_co_pwrite_zeroes,
    .bdrv_co_block_status   = null_co_block_status,
    .bdrv_co_allocated_size = null_co_allocated_size,
};
block_init(bdrv_null_co)
