/*
 * copy-on-read: what is read from the backing image is stored in the image.
 */
#include <stdlib.h>
#include <string.h>
#include "block/block-int.h"

enum { COPY_BYTES_MAX = 1 << 20 };

typedef struct CorState {
    CoRwlock copying;               /* held for writing by who copies, else by who writes */
} CorState;

static int coroutine_fn cor_co_open(BlockDriverState *bs, const BlockdevOptions *options,
                                    int flags, GError **errp)
{
    CorState *s = bs->opaque;

    co_rwlock_init(&s->copying);
    bs->total_bytes = bdrv_length(bs->file);
    bs->limits.opt_transfer = bs->file->limits.opt_transfer;
    return 0;
}

/* Reads what is of one kind into buf, whole clusters if it is to be stored. */
static int coroutine_fn co_read_and_store(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                          void *buf)
{
    int ret = bdrv_co_pread(bs->file, offset, bytes, buf, BDRV_REQ_NONE);

    if (ret < 0) {
        return ret;
    }
    bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_COR_WRITE);
    return buffer_is_zero(buf, bytes)
               ? bdrv_co_pwrite_zeroes(bs->file, offset, bytes, BDRV_REQ_NONE)
               : bdrv_co_pwrite(bs->file, offset, bytes, buf, BDRV_REQ_NONE);
}

/* Stores the clusters around what is missing of [offset, offset + bytes). */
static int coroutine_fn co_store(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    int64_t cluster = MAX(bs->limits.opt_transfer, INT64_C(1));
    int64_t end = MIN((offset + bytes + cluster - 1) / cluster * cluster, bs->total_bytes);
    int ret = 0;

    offset = offset / cluster * cluster;
    g_autofree uint8_t *buf = g_malloc(MAX(cluster, (int64_t)COPY_BYTES_MAX));
    while (ret >= 0 && offset < end) {
        int64_t n = 0;
        int64_t asked = MIN(end - offset, MAX(cluster, (int64_t)COPY_BYTES_MAX));
        ret = bdrv_co_block_status(bs->file, offset, asked, &n, NULL, NULL);
        if (ret >= 0 && n == 0) {
            break;
        }
        if (ret >= 0 && !(ret & BDRV_BLOCK_ALLOCATED)) {
            ret = co_read_and_store(bs, offset, n, buf);
        }
        offset += n;
    }
    return MIN(ret, 0);
}

static int coroutine_fn cor_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                      const IOVector *iov, size_t iov_offset,
                                      BdrvRequestFlags flags)
{
    CorState *s = bs->opaque;
    int ret = 0;

    if (!bdrv_is_read_only(bs->file)) {
        co_rwlock_wrlock(&s->copying);
        ret = co_store(bs, offset, bytes);
        co_rwlock_unlock(&s->copying);
    }
    return ret < 0 ? ret : bdrv_co_preadv(bs->file, offset, bytes, iov, iov_offset, flags);
}

static int coroutine_fn cor_co_pwritev(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                       const IOVector *iov, size_t iov_offset,
                                       BdrvRequestFlags flags)
{
    CorState *s = bs->opaque;

    co_rwlock_rdlock(&s->copying);
    int ret = bdrv_co_pwritev(bs->file, offset, bytes, iov, iov_offset, flags);
    co_rwlock_unlock(&s->copying);
    return ret;
}

static int coroutine_fn cor_co_pwritev_compressed(BlockDriverState *bs, int64_t offset,
                                                  int64_t bytes, const IOVector *iov,
                                                  size_t iov_offset, BdrvRequestFlags flags)
{
    return cor_co_pwritev(bs, offset, bytes, iov, iov_offset,
                          flags | BDRV_REQ_WRITE_COMPRESSED);
}

static int coroutine_fn cor_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset,
                                             int64_t bytes, BdrvRequestFlags flags)
{
    CorState *s = bs->opaque;

    co_rwlock_rdlock(&s->copying);
    int ret = bdrv_co_pwrite_zeroes(bs->file, offset, bytes, flags);
    co_rwlock_unlock(&s->copying);
    return ret;
}

static int coroutine_fn cor_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    CorState *s = bs->opaque;

    co_rwlock_rdlock(&s->copying);
    int ret = bdrv_co_pdiscard(bs->file, offset, bytes);
    co_rwlock_unlock(&s->copying);
    return ret;
}

static int coroutine_fn cor_co_truncate(BlockDriverState *bs, int64_t length,
                                        PreallocMode preallocation, GError **errp)
{
    return bdrv_co_truncate(bs->file, length, preallocation, errp);
}

static int coroutine_fn cor_co_block_status(BlockDriverState *bs, int64_t offset,
                                            int64_t bytes, int64_t *pnum, int64_t *map,
                                            BlockDriverState **file)
{
    *pnum = bytes;
    *map = offset;
    *file = bs->file;
    return BDRV_BLOCK_RAW | BDRV_BLOCK_OFFSET_VALID;
}

static BlockDriver bdrv_copy_on_read = {
    .format_name          = "copy-on-read",
    .instance_size        = sizeof(CorState),
    .bdrv_co_open         = cor_co_open,
    .bdrv_co_preadv       = cor_co_preadv,
    .bdrv_co_pwritev      = cor_co_pwritev,
    .bdrv_co_pwritev_compressed = cor_co_pwritev_compressed,
    .bdrv_co_pwrite_zeroes = cor_co_pwrite_zeroes,
    .bdrv_co_pdiscard     = cor_co_pdiscard,
    .bdrv_co_truncate     = cor_co_truncate,
    .bdrv_co_block_status = cor_co_block_status,
};
block_init(bdrv_copy_on_read)

BlockDriverState *coroutine_fn bdrv_co_open_copy_on_read(BlockDriverState *bs, GError **errp)
{
    BlockDriverState *filter = bdrv_new_node(&bdrv_copy_on_read, bs->filename, bs->open_flags,
                                             bdrv_ref(bs));
    cor_co_open(filter, NULL, bs->open_flags, errp);
    return filter;
}
