/*
 * A protocol over bytes in memory: images for tests and fuzzers.
 */
#include "block/block-int.h"

typedef struct MemoryState {
    GBytes *bytes;
} MemoryState;

static int coroutine_fn memory_co_open(BlockDriverState *bs, const BlockdevOptions *options,
                                       int flags, GError **errp)
{
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                "'%s': driver memory cannot be opened by name", bs->filename);
    return -ENOTSUP;
}

static void memory_close(BlockDriverState *bs)
{
    MemoryState *s = bs->opaque;
    g_clear_pointer(&s->bytes, g_bytes_unref);
}

static int coroutine_fn memory_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                         const IOVector *iov, size_t iov_offset,
                                         BdrvRequestFlags flags)
{
    MemoryState *s = bs->opaque;
    const uint8_t *data = g_bytes_get_data(s->bytes, NULL);

    iovector_from_buf(iov, iov_offset, data + offset, bytes);
    return 0;
}

static int64_t coroutine_fn memory_co_allocated_size(BlockDriverState *bs)
{
    return bs->total_bytes;
}

static BlockDriver bdrv_memory = {
    .format_name            = "memory",
    .is_protocol            = true,
    .instance_size          = sizeof(MemoryState),
    .bdrv_co_open           = memory_co_open,
    .bdrv_close             = memory_close,
    .bdrv_co_preadv         = memory_co_preadv,
    .bdrv_co_allocated_size = memory_co_allocated_size,
};
block_init(bdrv_memory)

BlockDriverState *bdrv_new_memory(GBytes *bytes, const char *name)
{
    BlockDriverState *bs = bdrv_new_node(&bdrv_memory, name, 0, NULL);
    MemoryState *s = bs->opaque;

    s->bytes = g_bytes_ref(bytes);
    bs->total_bytes = g_bytes_get_size(bytes);
    return bs;
}
