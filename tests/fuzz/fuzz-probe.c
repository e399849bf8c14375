/* Asks what is on a volume: all that is recognised, whether it can be read or not. */
#include "fs/fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Input {
    const uint8_t *data;
    size_t size;
} Input;

static void coroutine_fn try_volume(void *opaque)
{
    const Input *input = opaque;
    g_autoptr(GBytes) bytes = g_bytes_new_static(input->data, input->size);
    g_autoptr(BlockDriverState) bs = bdrv_new_memory(bytes, "fuzz");
    g_autoptr(BlockBackend) blk = blk_new(bs);
    g_auto(FsIdent) ident = {0};

    if (fs_co_probe(blk, &ident)) {
        g_assert_nonnull(ident.type);
        g_assert_true(!ident.label || g_utf8_validate(ident.label, -1, NULL));
        g_assert_true(!ident.uuid || g_utf8_validate(ident.uuid, -1, NULL));
    } else {
        g_assert_null(ident.type);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static AioContext *ctx;
    Input input = {data, size};

    if (!ctx) {
        ctx = aio_context_new(AIO_BACKEND_AUTO, NULL);
        g_assert_nonnull(ctx);
    }
    aio_run(ctx, try_volume, &input);
    return 0;
}
