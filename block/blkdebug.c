/*
 * The blkdebug driver.
 */
#include <errno.h>
#include "blkdebug.h"
#include "qapi/qapi-visit.h"

enum { ALIGN_MIN = 512, ALIGN_MAX = 1 << 30 };

/* *value, if given, is a power of two in the range; 0 if not. */
static bool take_limit(const char *name, bool given, uint64_t value, uint64_t multiple,
                       GError **errp)
{
    if (!given || value == 0) {
        return true;
    }
    if (value % multiple || value > G_MAXINT32) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "Cannot meet constraints with %s %" G_GUINT64_FORMAT, name, value);
        return false;
    }
    return true;
}

static bool take_limits(BlockDriverState *bs, const BlockdevOptionsBlkdebug *o, GError **errp)
{
    BlockLimits *limits = &bs->limits;
    uint64_t align = o->has_align ? o->align : 0;

    if (o->has_align &&
        (!is_pow2(align) || align < ALIGN_MIN || align >= ALIGN_MAX)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "Cannot meet constraints with align %" G_GUINT64_FORMAT, align);
        return false;
    }
    limits->request_alignment = MAX(align, bs->file->limits.request_alignment);
    limits->max_transfer = o->has_max_transfer ? o->max_transfer : 0;
    limits->zero_alignment = o->has_opt_write_zero ? o->opt_write_zero : 0;
    limits->max_zero = o->has_max_write_zero ? o->max_write_zero : 0;
    limits->discard_alignment = o->has_opt_discard ? o->opt_discard : 0;
    limits->max_discard = o->has_max_discard ? o->max_discard : 0;
    align = limits->request_alignment;
    return take_limit("max-transfer", o->has_max_transfer, o->max_transfer, align, errp) &&
           take_limit("opt-write-zero", o->has_opt_write_zero, o->opt_write_zero, align,
                      errp) &&
           take_limit("max-write-zero", o->has_max_write_zero, o->max_write_zero,
                      MAX(align, (uint64_t)limits->zero_alignment), errp) &&
           take_limit("opt-discard", o->has_opt_discard, o->opt_discard, align, errp) &&
           take_limit("max-discard", o->has_max_discard, o->max_discard,
                      MAX(align, (uint64_t)limits->discard_alignment), errp);
}

static int coroutine_fn blkdebug_co_open(BlockDriverState *bs, const BlockdevOptions *options,
                                         int flags, GError **errp)
{
    BlkdebugState *s = bs->opaque;

    blkdebug_rules_init(s);
    if (!options) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "blkdebug needs a description of its node");
        return -EINVAL;
    }
    const BlockdevOptionsBlkdebug *o = &options->u.blkdebug;
    if (o->config) {
        BlkdebugRules *rules = blkdebug_read_config(o->config, errp);
        if (!rules) {
            return -EINVAL;
        }
        blkdebug_add_rules(s, rules);
    }
    BlkdebugRules own = { .inject_error = o->inject_error, .set_state = o->set_state };
    blkdebug_add_rules(s, blkdebug_rules_copy(&own));
    bs->total_bytes = bdrv_length(bs->file);
    bs->identity = bs->file->identity;
    if (!take_limits(bs, o, errp)) {
        return -EINVAL;
    }
    blkdebug_co_event(bs, BLKDEBUG_EVENT_NONE);
    return 0;
}

static void blkdebug_close(BlockDriverState *bs)
{
    blkdebug_rules_clear(bs->opaque);
}

static int coroutine_fn blkdebug_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                           const IOVector *iov, size_t iov_offset,
                                           BdrvRequestFlags flags)
{
    int ret = blkdebug_co_check(bs, BLKDEBUG_IO_TYPE_READ, offset, bytes);
    return ret < 0 ? ret : bdrv_co_preadv(bs->file, offset, bytes, iov, iov_offset, flags);
}

static int coroutine_fn blkdebug_co_pwritev(BlockDriverState *bs, int64_t offset,
                                            int64_t bytes, const IOVector *iov,
                                            size_t iov_offset, BdrvRequestFlags flags)
{
    int ret = blkdebug_co_check(bs, BLKDEBUG_IO_TYPE_WRITE, offset, bytes);
    return ret < 0 ? ret : bdrv_co_pwritev(bs->file, offset, bytes, iov, iov_offset, flags);
}

static int coroutine_fn blkdebug_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset,
                                                  int64_t bytes, BdrvRequestFlags flags)
{
    int ret = blkdebug_co_check(bs, BLKDEBUG_IO_TYPE_WRITE_ZEROES, offset, bytes);
    return ret < 0 ? ret : bdrv_co_pwrite_zeroes(bs->file, offset, bytes, flags);
}

static int coroutine_fn blkdebug_co_pdiscard(BlockDriverState *bs, int64_t offset,
                                             int64_t bytes)
{
    int ret = blkdebug_co_check(bs, BLKDEBUG_IO_TYPE_DISCARD, offset, bytes);
    return ret < 0 ? ret : bdrv_co_pdiscard(bs->file, offset, bytes);
}

static int coroutine_fn blkdebug_co_flush(BlockDriverState *bs)
{
    return blkdebug_co_check(bs, BLKDEBUG_IO_TYPE_FLUSH, 0, 0);
}

static int coroutine_fn blkdebug_co_truncate(BlockDriverState *bs, int64_t length,
                                             PreallocMode preallocation, GError **errp)
{
    return bdrv_co_truncate(bs->file, length, preallocation, errp);
}

static bool blkdebug_set_permissions(BlockDriverState *bs, unsigned used, unsigned unshared,
                                     GError **errp)
{
    BlockDriverState *file = bs->file;
    return !file->drv->bdrv_set_permissions ||
           file->drv->bdrv_set_permissions(file, used, unshared, errp);
}

static int coroutine_fn blkdebug_co_block_status(BlockDriverState *bs, int64_t offset,
                                                 int64_t bytes, int64_t *pnum, int64_t *map,
                                                 BlockDriverState **file)
{
    int ret = blkdebug_co_check(bs, BLKDEBUG_IO_TYPE_BLOCK_STATUS, offset, bytes);

    *pnum = bytes;
    *map = offset;
    *file = bs->file;
    return ret < 0 ? ret : BDRV_BLOCK_RAW | BDRV_BLOCK_OFFSET_VALID;
}

static bool blkdebug_has_zero_init(BlockDriverState *bs)
{
    return bdrv_has_zero_init(bs->file);
}

static BlockDriver bdrv_blkdebug = {
    .format_name          = "blkdebug",
    .is_protocol          = true,
    .instance_size        = sizeof(BlkdebugState),
    .bdrv_co_open         = blkdebug_co_open,
    .bdrv_close           = blkdebug_close,
    .bdrv_co_preadv       = blkdebug_co_preadv,
    .bdrv_co_pwritev      = blkdebug_co_pwritev,
    .bdrv_co_pwrite_zeroes = blkdebug_co_pwrite_zeroes,
    .bdrv_co_pdiscard     = blkdebug_co_pdiscard,
    .bdrv_co_flush        = blkdebug_co_flush,
    .bdrv_co_truncate     = blkdebug_co_truncate,
    .bdrv_set_permissions = blkdebug_set_permissions,
    .bdrv_co_block_status = blkdebug_co_block_status,
    .bdrv_has_zero_init   = blkdebug_has_zero_init,
    .bdrv_co_debug_event  = blkdebug_co_event,
    .bdrv_debug_break     = blkdebug_break,
    .bdrv_debug_remove_break = blkdebug_remove_break,
    .bdrv_debug_resume    = blkdebug_resume,
    .bdrv_debug_is_stopped = blkdebug_is_stopped,
    .bdrv_debug_co_wait_for_stop = blkdebug_co_wait_for_stop,
};
block_init(bdrv_blkdebug)
