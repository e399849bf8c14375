/*
 * raw: the disk is the file, or a part of it.
 */
#include <errno.h>
#include "block/block-int.h"
#include "qapi/qapi-visit.h"

enum { SECTOR_BYTES = 512 };

typedef struct RawState {
    int64_t offset;         /* of the disk in the file */
    bool has_size;          /* it was said how much of the file it is */
} RawState;

/* The fallback: fits any content, worse than any format that knows its own. */
static int raw_probe(const uint8_t *buf, size_t len)
{
    return BDRV_PROBE_RAW_SCORE;
}

static int coroutine_fn raw_co_open(BlockDriverState *bs, const BlockdevOptions *options,
                                    int flags, GError **errp)
{
    RawState *s = bs->opaque;
    uint64_t length = bdrv_length(bs->file);
    const BlockdevOptionsRaw *raw = options ? &options->u.raw : NULL;
    uint64_t offset = raw && raw->has_offset ? raw->offset : 0;

    /* What passes through is aligned by the file. */
    bs->limits.opt_transfer = bs->file->limits.opt_transfer;
    if (offset > length) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'%s': offset %" G_GUINT64_FORMAT " is past the end of the file (%"
                    G_GUINT64_FORMAT " bytes)", bs->filename, offset, length);
        return -EINVAL;
    }
    s->offset = offset;
    if (!raw || !raw->has_size) {
        /* A last sector that is cut off reads as if it were filled up. */
        length = MIN(length - offset, (uint64_t)(G_MAXINT64 - SECTOR_BYTES) - offset);
        bs->total_bytes = round_up_pow2(length, SECTOR_BYTES);
        return 0;
    }
    if (raw->size % SECTOR_BYTES || !range_fits(offset, raw->size, length)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'%s': size %" G_GUINT64_FORMAT " from offset %" G_GUINT64_FORMAT
                    " must be a multiple of %d within the file (%" G_GUINT64_FORMAT
                    " bytes)", bs->filename, raw->size, offset, SECTOR_BYTES, length);
        return -EINVAL;
    }
    s->has_size = true;
    bs->total_bytes = raw->size;
    return 0;
}

static int coroutine_fn raw_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                      const IOVector *iov, size_t iov_offset,
                                      BdrvRequestFlags flags)
{
    RawState *s = bs->opaque;

    bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_READ_AIO);
    return bdrv_co_preadv(bs->file, s->offset + offset, bytes, iov, iov_offset, flags);
}

static int coroutine_fn raw_co_pwritev(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                       const IOVector *iov, size_t iov_offset,
                                       BdrvRequestFlags flags)
{
    RawState *s = bs->opaque;

    bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_WRITE_AIO);
    return bdrv_co_pwritev(bs->file, s->offset + offset, bytes, iov, iov_offset, flags);
}

static int coroutine_fn raw_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset,
                                             int64_t bytes, BdrvRequestFlags flags)
{
    RawState *s = bs->opaque;
    return bdrv_co_pwrite_zeroes(bs->file, s->offset + offset, bytes, flags);
}

static int coroutine_fn raw_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    RawState *s = bs->opaque;
    return bdrv_co_pdiscard(bs->file, s->offset + offset, bytes);
}

static int coroutine_fn raw_co_truncate(BlockDriverState *bs, int64_t length,
                                        PreallocMode preallocation, GError **errp)
{
    RawState *s = bs->opaque;

    if (s->has_size) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s: a part of a file, of fixed size, cannot be resized", bs->filename);
        return -ENOTSUP;
    }
    return bdrv_co_truncate(bs->file, s->offset + length, preallocation, errp);
}

static int coroutine_fn raw_co_block_status(BlockDriverState *bs, int64_t offset,
                                            int64_t bytes, int64_t *pnum, int64_t *map,
                                            BlockDriverState **file)
{
    RawState *s = bs->opaque;

    *pnum = bytes;
    *map = s->offset + offset;
    *file = bs->file;
    return BDRV_BLOCK_RAW | BDRV_BLOCK_OFFSET_VALID;
}

static bool raw_has_zero_init(BlockDriverState *bs)
{
    return bdrv_has_zero_init(bs->file);
}

static int coroutine_fn raw_co_create(const char *filename, int64_t length,
                                      const char *keyval, GError **errp)
{
    return bdrv_find_driver("file")->bdrv_co_create(filename, length, keyval, errp);
}

static int coroutine_fn raw_co_measure(BlockDriverState *src, int64_t length,
                                       const char *keyval, BlockMeasureInfo *info,
                                       GError **errp)
{
    g_autoptr(BlockdevCreateOptionsRaw) options =
        blockdev_create_options_raw_from_keyval(keyval ? keyval : "", NULL, errp);

    if (!options) {
        return -EINVAL;
    }
    info->required = info->fully_allocated = round_up_pow2(length, SECTOR_BYTES);
    return 0;
}

static BlockDriver bdrv_raw = {
    .format_name          = "raw",
    .instance_size        = sizeof(RawState),
    .bdrv_probe           = raw_probe,
    .bdrv_co_open         = raw_co_open,
    .bdrv_co_preadv       = raw_co_preadv,
    .bdrv_co_pwritev      = raw_co_pwritev,
    .bdrv_co_pwrite_zeroes = raw_co_pwrite_zeroes,
    .bdrv_co_pdiscard     = raw_co_pdiscard,
    .bdrv_co_truncate     = raw_co_truncate,
    .bdrv_co_block_status = raw_co_block_status,
    .bdrv_has_zero_init   = raw_has_zero_init,
    .bdrv_co_create       = raw_co_create,
    .bdrv_co_measure      = raw_co_measure,
};
block_init(bdrv_raw)
