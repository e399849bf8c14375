#include "try-volumes.h"

#include "fs/volume.h"
#include "qapi/qapi-types.h"

enum { READ_BYTES = 4096, MAX_READS = 64 };

typedef struct Input {
    const uint8_t *data;
    size_t size;
} Input;

static void check_text(const char *text)
{
    g_assert_true(!text || g_utf8_validate(text, -1, NULL));
}

static void coroutine_fn check_volume(const Volume *volume, const Volume *before,
                                      bool read)
{
    const VolumeInfo *info = volume->info;
    g_autofree uint8_t *buf = g_malloc(READ_BYTES);
    int64_t length = blk_length(volume->blk);

    g_assert_true(!before || before->info->number < info->number || !info->number);
    g_assert_true((int64_t)info->size == length || info->problem);
    g_assert_cmpuint(info->offset, <=, G_MAXINT64 - info->size);
    g_assert_nonnull(info->type);
    check_text(info->type);
    check_text(info->type_name);
    check_text(info->partition_name);
    check_text(info->partition_uuid);
    check_text(info->label);
    check_text(info->uuid);
    if (read && length) {
        blk_co_pread(volume->blk, 0, MIN(length, READ_BYTES), buf);
    }
}

static void coroutine_fn try_table(void *opaque)
{
    const Input *input = opaque;
    g_autoptr(GBytes) bytes = g_bytes_new_static(input->data, input->size);
    g_autoptr(BlockDriverState) bs = bdrv_new_memory(bytes, "fuzz");
    g_autoptr(BlockBackend) disk = blk_new(bs);
    g_autoptr(GError) error = NULL;
    g_autoptr(VolumeTable) table = volume_table_co_open(disk, &error);

    if (!table) {
        g_assert_nonnull(error);
        check_text(error->message);
        return;
    }
    g_assert_null(error);
    for (guint i = 0; i < table->volumes->len; i++) {
        const Volume *volume = g_ptr_array_index(table->volumes, i);
        const Volume *before = i ? g_ptr_array_index(table->volumes, i - 1) : NULL;

        check_volume(volume, before, i < MAX_READS);
        g_assert_true(volume_table_find(table, volume->info->path,
                                        strlen(volume->info->path)) == volume);
    }
    for (guint i = 0; i < table->warnings->len; i++) {
        check_text(g_ptr_array_index(table->warnings, i));
    }
}

void try_volumes(const uint8_t *data, size_t size)
{
    static AioContext *ctx;
    Input input = {data, size};

    if (!ctx) {
        ctx = aio_context_new(AIO_BACKEND_AUTO, NULL);
        g_assert_nonnull(ctx);
    }
    aio_run(ctx, try_table, &input);
}
