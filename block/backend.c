/*
 * BlockBackend: a disk, or a part of one, for those above the graph.
 */
#include <errno.h>
#include "block/block-backend.h"
#include "block/block-int.h"

struct BlockBackend {
    unsigned refcount;
    BlockDriverState *root;
    int64_t offset;         /* of byte 0 on root */
    int64_t length;
    BdrvRequestFlags write_flags;   /* of every write */
};

BlockBackend *blk_new(BlockDriverState *root)
{
    BlockBackend *blk = g_new0(BlockBackend, 1);

    blk->refcount = 1;
    blk->root = bdrv_ref(root);
    blk->length = bdrv_length(root);
    return blk;
}

BlockBackend *blk_new_slice(BlockBackend *blk, int64_t offset, int64_t length)
{
    BlockBackend *slice = blk_new(blk->root);

    g_assert(offset >= 0 && length >= 0);
    /* An offset beyond all disks stays beyond: every request there is refused. */
    slice->offset = offset > G_MAXINT64 - blk->offset ? G_MAXINT64 : blk->offset + offset;
    slice->length = length;
    return slice;
}

BlockBackend *blk_ref(BlockBackend *blk)
{
    blk->refcount++;
    return blk;
}

void blk_unref(BlockBackend *blk)
{
    if (blk && --blk->refcount == 0) {
        bdrv_unref(blk->root);
        g_free(blk);
    }
}

BlockDriverState *blk_bs(const BlockBackend *blk)
{
    return blk->root;
}

int64_t blk_offset(const BlockBackend *blk)
{
    return blk->offset;
}

int64_t blk_length(const BlockBackend *blk)
{
    return blk->length;
}

void blk_set_writethrough(BlockBackend *blk)
{
    blk->write_flags |= BDRV_REQ_FUA;
}

const char *blk_name(const BlockBackend *blk)
{
    return bdrv_filename(blk->root);
}

/* 0, or -EIO if the request reaches beyond the backend or the disk. */
static int check_request(const BlockBackend *blk, int64_t offset, int64_t bytes)
{
    if (offset < 0 || bytes < 0 || !range_fits(offset, bytes, blk->length) ||
        offset > G_MAXINT64 - blk->offset ||
        !range_fits(blk->offset + offset, bytes, bdrv_length(blk->root))) {
        return -EIO;
    }
    return 0;
}

int coroutine_fn blk_co_preadv(BlockBackend *blk, int64_t offset, int64_t bytes,
                               const IOVector *iov)
{
    int ret = check_request(blk, offset, bytes);
    return ret < 0 ? ret
                   : bdrv_co_preadv(blk->root, blk->offset + offset, bytes, iov, 0,
                                    BDRV_REQ_NONE);
}

int coroutine_fn blk_co_pread(BlockBackend *blk, int64_t offset, int64_t bytes, void *buf)
{
    int ret = check_request(blk, offset, bytes);
    return ret < 0 ? ret
                   : bdrv_co_pread(blk->root, blk->offset + offset, bytes, buf,
                                   BDRV_REQ_NONE);
}

int coroutine_fn blk_co_pin(BlockBackend *blk, int64_t offset, int64_t bytes, BdrvPin *pin)
{
    int ret = check_request(blk, offset, bytes);
    return ret < 0 ? ret : bdrv_co_pin(blk->root, blk->offset + offset, bytes, pin);
}

int coroutine_fn blk_co_pwritev(BlockBackend *blk, int64_t offset, int64_t bytes,
                                const IOVector *iov, size_t iov_offset,
                                BdrvRequestFlags flags)
{
    int ret = check_request(blk, offset, bytes);
    return ret < 0 ? ret
                   : bdrv_co_pwritev(blk->root, blk->offset + offset, bytes, iov,
                                     iov_offset, flags | blk->write_flags);
}

int coroutine_fn blk_co_pwrite(BlockBackend *blk, int64_t offset, int64_t bytes,
                               const void *buf, BdrvRequestFlags flags)
{
    int ret = check_request(blk, offset, bytes);
    return ret < 0 ? ret
                   : bdrv_co_pwrite(blk->root, blk->offset + offset, bytes, buf,
                                    flags | blk->write_flags);
}

int coroutine_fn blk_co_pwrite_zeroes(BlockBackend *blk, int64_t offset, int64_t bytes,
                                      BdrvRequestFlags flags)
{
    int ret = check_request(blk, offset, bytes);
    return ret < 0 ? ret
                   : bdrv_co_pwrite_zeroes(blk->root, blk->offset + offset, bytes,
                                           flags | blk->write_flags);
}

int coroutine_fn blk_co_flush(BlockBackend *blk)
{
    return bdrv_co_flush(blk->root);
}

int coroutine_fn blk_co_block_status(BlockBackend *blk, int64_t offset, int64_t bytes,
                                     int64_t *pnum)
{
    int ret = check_request(blk, offset, bytes);

    *pnum = 0;
    return ret < 0 ? ret
                   : bdrv_co_block_status_above(blk->root, NULL, blk->offset + offset,
                                                bytes, pnum, NULL, NULL, NULL);
}

bool coroutine_fn blk_co_read(BlockBackend *blk, int64_t offset, int64_t bytes, void *buf,
                              const char *what, GError **errp)
{
    int64_t disk_length = bdrv_length(blk->root);

    if (check_request(blk, offset, bytes) < 0) {
        uint64_t end = (uint64_t)blk->offset + MIN(blk->length, disk_length);
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: %s: %" G_GINT64_FORMAT " bytes at offset 0x%" G_GINT64_MODIFIER
                    "x reach past the end (0x%" G_GINT64_MODIFIER "x)", blk_name(blk), what,
                    bytes, (uint64_t)blk->offset + (uint64_t)offset,
                    MIN(end, (uint64_t)disk_length));
        return false;
    }
    int ret = blk_co_pread(blk, offset, bytes, buf);
    if (ret >= 0) {
        return true;
    }
    GError *error = bdrv_take_error(blk->root);
    if (error) {
        g_propagate_prefixed_error(errp, error, "%s: ", what);
        return false;
    }
    error_set_errno(errp, -ret, "%s: %s: cannot read %" G_GINT64_FORMAT
                    " bytes at offset 0x%" G_GINT64_MODIFIER "x", blk_name(blk), what, bytes,
                    blk->offset + offset);
    return false;
}
