/*
 * concat: several disks, one behind the other.
 */
#include <errno.h>
#include "block/block-int.h"
#include "block/concat.h"

typedef struct ConcatState {
    GPtrArray *parts;           /* of BlockDriverState */
} ConcatState;

static int coroutine_fn concat_co_open(BlockDriverState *bs, const BlockdevOptions *options,
                                       int flags, GError **errp)
{
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                "'%s': driver concat cannot be opened by name", bs->filename);
    return -ENOTSUP;
}

static void concat_close(BlockDriverState *bs)
{
    ConcatState *s = bs->opaque;

    g_clear_pointer(&s->parts, g_ptr_array_unref);
}

/* The part that offset lies in, which becomes that in the part; *bytes: that lie in it. */
static BlockDriverState *find(BlockDriverState *bs, int64_t *offset, int64_t *bytes)
{
    ConcatState *s = bs->opaque;
    guint i = 0;

    while (*offset >= bdrv_length(g_ptr_array_index(s->parts, i))) {
        *offset -= bdrv_length(g_ptr_array_index(s->parts, i));
        i++;
    }
    BlockDriverState *part = g_ptr_array_index(s->parts, i);
    *bytes = MIN(*bytes, bdrv_length(part) - *offset);
    return part;
}

/* The reason is in the part, where nobody looks. */
static int note(BlockDriverState *bs, BlockDriverState *part, int ret)
{
    GError *error = ret < 0 ? bdrv_take_error(part) : NULL;

    if (error) {
        bdrv_note_error(bs, error);
    }
    return ret;
}

static int coroutine_fn concat_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                         const IOVector *iov, size_t iov_offset,
                                         BdrvRequestFlags flags)
{
    while (bytes > 0) {
        int64_t at = offset, n = bytes;
        BlockDriverState *part = find(bs, &at, &n);
        int ret = bdrv_co_preadv(part, at, n, iov, iov_offset, flags);
        if (ret < 0) {
            return note(bs, part, ret);
        }
        offset += n;
        iov_offset += n;
        bytes -= n;
    }
    return 0;
}

static int coroutine_fn concat_co_block_status(BlockDriverState *bs, int64_t offset,
                                               int64_t bytes, int64_t *pnum, int64_t *map,
                                               BlockDriverState **file)
{
    BlockDriverState *part = find(bs, &offset, &bytes);
    int ret =
        bdrv_co_block_status_above(part, NULL, offset, bytes, pnum, NULL, NULL, NULL);

    return ret < 0 ? note(bs, part, ret) : ret & (BDRV_BLOCK_DATA | BDRV_BLOCK_ZERO);
}

static BlockDriver bdrv_concat = {
    .format_name          = "concat",
    .instance_size        = sizeof(ConcatState),
    .bdrv_co_open         = concat_co_open,
    .bdrv_close           = concat_close,
    .bdrv_co_preadv       = concat_co_preadv,
    .bdrv_co_block_status = concat_co_block_status,
};
block_init(bdrv_concat)

BlockDriverState *bdrv_new_concat(const GPtrArray *parts, GError **errp)
{
    g_autoptr(GPtrArray) own = g_ptr_array_new_with_free_func((GDestroyNotify)bdrv_unref);
    BlockDriverState *first = g_ptr_array_index(parts, 0);
    int64_t length = 0;

    for (guint i = 0; i < parts->len; i++) {
        BlockDriverState *part = g_ptr_array_index(parts, i);
        if (__builtin_add_overflow(length, bdrv_length(part), &length)) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                        "'%s': the disks together are longer than %" G_GINT64_FORMAT " bytes",
                        bdrv_filename(part), G_MAXINT64);
            return NULL;
        }
        g_ptr_array_add(own, bdrv_ref(part));
    }
    BlockDriverState *bs = bdrv_new_node(&bdrv_concat, bdrv_filename(first), 0, NULL);
    ConcatState *s = bs->opaque;
    s->parts = g_steal_pointer(&own);
    bs->total_bytes = length;
    bs->limits.opt_transfer = first->limits.opt_transfer;
    return bs;
}
